/** A workload's certificate from end to end: join token, first certificate, renewal over mutual TLS, restart without the control plane. */

import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { systemClock, TestClock } from '../../src/base/clock.ts'
import { type Log, silent } from '../../src/base/log.ts'
import { openAuthority, type Authority } from '../../src/control/authority.ts'
import { certificateService } from '../../src/control/certificate-service.ts'
import { makeCsr } from '../../src/identity/csr.ts'
import { newKey } from '../../src/identity/key.ts'
import { workloadId } from '../../src/identity/spiffe.ts'
import { BadToken } from '../../src/identity/token.ts'
import { temporaryFolder } from '../../src/io/files.ts'
import { connectGrpc, type GrpcServer, RpcError, serveGrpc } from '../../src/io/grpc.ts'
import { keepCertificate, NoCertificate, type KeepCertificate } from '../../src/proxy/certificate.ts'
import { createCertificate } from '../../src/xds/rpcs.ts'

const trustDomain = 'test.mesh'
const orders = workloadId(trustDomain, { namespace: 'default', serviceAccount: 'orders' })
const cart = workloadId(trustDomain, { namespace: 'default', serviceAccount: 'cart' })
const hour = 3_600_000

async function controlPlane(
  folder: string,
  port = 0,
  clock = systemClock as import('../../src/base/clock.ts').Clock,
): Promise<{ authority: Authority; server: GrpcServer; [Symbol.asyncDispose](): Promise<void> }> {
  let server: GrpcServer | undefined
  const authority = await openAuthority({ folder, trustDomain, clock, log: silent, onServerCertificate: () => server?.setCertificate() })
  server = await serveGrpc({
    host: '127.0.0.1',
    port,
    certificate: authority.serverCertificate,
    clientRoots: authority.roots,
    identify: authority.identify,
    services: [certificateService(authority, silent)],
    log: silent,
  })
  const close = async (): Promise<void> => {
    authority.close()
    await server.close()
  }
  return { authority, server, [Symbol.asyncDispose]: close }
}

const tokenFor = async (plane: { authority: Authority; server: GrpcServer }, identity = orders): Promise<string> =>
  (await plane.authority.issueToken({ identity, xds: `127.0.0.1:${plane.server.port}` })).token

function options(folder: string, port: number, more: Partial<KeepCertificate> = {}): KeepCertificate {
  return { folder, channel: tls => connectGrpc({ host: '127.0.0.1', port, ...tls }), clock: systemClock, log: silent, ...more }
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (holds()) return
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  assert.fail('it did not come to pass in ten seconds')
}

test('a token gets the certificate of its identity and no other, and the key never leaves', async () => {
  await using folder = await temporaryFolder()
  await using plane = await controlPlane(`${folder.path}/ca`)
  const kept = await keepCertificate(options(`${folder.path}/own`, plane.server.port, { token: await tokenFor(plane) }))
  const own = kept.current()
  kept.stop()
  assert.equal(own.identity, orders)
  assert.deepEqual(own.roots, plane.authority.roots())
  assert.ok(Math.abs(own.notAfter - Date.now() - 24 * hour) < 60_000)
  assert.equal((await stat(`${folder.path}/own/certificate.pem`)).mode & 0o777, 0o600)

  const channel = connectGrpc({
    host: '127.0.0.1',
    port: plane.server.port,
    certificate: () => undefined,
    trust: () => ({ roots: own.roots }),
  })
  const authorization = `Bearer ${await tokenFor(plane)}`
  const call = async (identity: typeof orders, metadata: Record<string, string>): Promise<unknown> =>
    channel.unary(createCertificate, { csr: makeCsr(await newKey(), identity), validitySeconds: 60 }, { metadata })
  await assert.rejects(call(cart, { authorization }), /asks for spiffe:\/\/test\.mesh\/ns\/default\/sa\/cart, but its sender is .*orders/)
  await assert.rejects(
    call(orders, {}),
    (error: Error) => error instanceof RpcError && error.code === 16 && /showed neither/.test(error.message),
  )
  channel.close()
  const renewing = connectGrpc({ host: '127.0.0.1', port: plane.server.port, certificate: () => own, trust: () => ({ roots: own.roots }) })
  const renew = async (identity: typeof orders) =>
    renewing.unary(createCertificate, { csr: makeCsr(await newKey(), identity), validitySeconds: 60 })
  assert.equal((await renew(orders)).chain.length, 3)
  await assert.rejects(renew(cart), /but its sender is .*orders/)
  renewing.close()
})

test('the certificate is renewed over mutual TLS after two thirds of its life, with a new key', async () => {
  await using folder = await temporaryFolder()
  await using plane = await controlPlane(`${folder.path}/ca`)
  const clock = new TestClock(Date.now())
  const changes: string[] = []
  const kept = await keepCertificate(
    options(`${folder.path}/own`, plane.server.port, {
      token: await tokenFor(plane),
      clock,
      lifeMs: 600_000,
      onChange: own => void changes.push(own.serial),
    }),
  )
  const first = kept.current()
  clock.advance(300_000)
  assert.equal(kept.state(), 'held')
  clock.advance(140_000)
  await until(() => changes.length === 1)
  assert.notEqual(kept.current().serial, first.serial)
  assert.notEqual(kept.current().key, first.key)
  assert.equal(kept.state(), 'held')
  kept.stop()
})

test('a proxy starts from its kept certificate while the control plane is gone, with an expired token too', async () => {
  await using folder = await temporaryFolder()
  const plane = await controlPlane(`${folder.path}/ca`)
  const { port } = plane.server
  const short = await plane.authority.issueToken({ identity: orders, xds: `127.0.0.1:${port}`, lifeMs: 2_000 })
  const first = await keepCertificate(options(`${folder.path}/own`, port, { token: short.token }))
  first.stop()
  await plane[Symbol.asyncDispose]()
  await new Promise(resolve => setTimeout(resolve, Math.max(0, short.expiresAt - Date.now() + 50)))
  for (const more of [{}, { identity: orders }, { token: short.token }]) {
    const again = await keepCertificate(options(`${folder.path}/own`, port, more))
    again.stop()
    assert.equal(again.current().serial, first.current().serial)
    assert.equal(again.current().key, first.current().key)
  }
})

test('a kept certificate of another workload, or a damaged one, is not used', async () => {
  await using folder = await temporaryFolder()
  await using plane = await controlPlane(`${folder.path}/ca`)
  const own = `${folder.path}/own`
  const first = await keepCertificate(options(own, plane.server.port, { token: await tokenFor(plane) }))
  first.stop()
  await assert.rejects(
    keepCertificate(options(own, plane.server.port, { identity: cart })),
    /is that of .*orders, not of .*cart; make a join token/,
  )
  const second = await keepCertificate(options(own, plane.server.port, { token: await tokenFor(plane, cart) }))
  second.stop()
  assert.equal(second.current().identity, cart)

  const text = await readFile(`${own}/certificate.pem`, 'utf8')
  await writeFile(`${own}/certificate.pem`, text.slice(0, text.length / 2))
  await assert.rejects(keepCertificate(options(own, plane.server.port)), NoCertificate)
  const third = await keepCertificate(options(own, plane.server.port, { token: await tokenFor(plane) }))
  third.stop()
  assert.equal(third.current().identity, orders)
})

test('while the control plane is down a new proxy waits and tries again, and gets its certificate when it is back', async () => {
  await using folder = await temporaryFolder()
  const plane = await controlPlane(`${folder.path}/ca`)
  const { port } = plane.server
  const token = await tokenFor(plane)
  await plane[Symbol.asyncDispose]()
  const tries: string[] = []
  const log: Log = { ...silent, warn: (_says, fields) => void tries.push(String(fields?.['reason'])) }
  const waiting = keepCertificate(options(`${folder.path}/own`, port, { token, log }))
  await until(() => tries.length > 0)
  assert.match(tries[0]!, /ECONNREFUSED/)
  await using _back = await controlPlane(`${folder.path}/ca`, port)
  const kept = await waiting
  kept.stop()
  assert.equal(kept.current().identity, orders)
})

test('a stop while waiting ends the wait', async () => {
  await using folder = await temporaryFolder()
  const plane = await controlPlane(`${folder.path}/ca`)
  const token = await tokenFor(plane)
  await plane[Symbol.asyncDispose]()
  const stop = new AbortController()
  const waiting = keepCertificate(options(folder.path, plane.server.port, { token, signal: stop.signal }))
  setTimeout(() => stop.abort(), 50)
  await assert.rejects(waiting, /stopped before/)
})

test('tokens that cannot be used are refused at once, each with one sentence', async () => {
  await using folder = await temporaryFolder()
  await using plane = await controlPlane(`${folder.path}/ca`)
  await using other = await controlPlane(`${folder.path}/other-ca`)
  const good = await tokenFor(plane)
  const get = (token: string): Promise<unknown> => keepCertificate(options(`${folder.path}/own`, plane.server.port, { token }))

  const { token: expired } = await plane.authority.issueToken({ identity: orders, xds: 'x:1', lifeMs: -5_000 })
  await assert.rejects(
    get(expired),
    (error: Error) => error instanceof BadToken && /expired at 20\d\d-.*; make a new one/.test(error.message),
  )
  await assert.rejects(get(good.slice(0, 40)), /malformed/)
  await assert.rejects(
    get(await tokenFor(other)),
    /does not belong to the root certificate that the join token names; is it the control plane that made the token\?/,
  )

  const [header, payload, signature] = good.split('.') as [string, string, string]
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
  const forged = [header, Buffer.from(JSON.stringify({ ...claims, sub: cart })).toString('base64url'), signature].join('.')
  await assert.rejects(get(forged), /not signed by this control plane; was it made by another one\?/)
  const wrongAudience = [header, Buffer.from(JSON.stringify({ ...claims, aud: 'kubernetes' })).toString('base64url'), signature].join('.')
  await assert.rejects(get(wrongAudience), /is for "kubernetes" and not for joining/)
  await assert.rejects(
    keepCertificate(options(`${folder.path}/own`, plane.server.port)),
    /no join token and .* keeps no certificate; make a join token/,
  )
})

test("the control plane's own certificate is replaced in time and shown to new connections", async () => {
  await using folder = await temporaryFolder()
  const clock = new TestClock(Date.now() - 17 * hour)
  await using plane = await controlPlane(`${folder.path}/ca`, 0, clock)
  const before = plane.authority.serverCertificate().cert
  clock.advance(17 * hour)
  await until(() => plane.authority.serverCertificate().cert !== before)
  const seen: string[] = []
  const channel = connectGrpc({
    host: '127.0.0.1',
    port: plane.server.port,
    certificate: () => undefined,
    trust: () => ({ roots: plane.authority.roots() }),
    expectedServer: leaf => void seen.push(Buffer.from(leaf).toString('base64')),
  })
  await channel.unary(createCertificate, { csr: '', validitySeconds: 0 }).catch(() => {})
  channel.close()
  assert.ok(plane.authority.serverCertificate().cert.replaceAll('\n', '').includes(seen[0]!))
  assert.ok(!before.replaceAll('\n', '').includes(seen[0]!))
})
