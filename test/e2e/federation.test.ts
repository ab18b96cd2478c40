/** Two meshes of different trust domains that believe each other: calls by mutual TLS, what they may, what forged certificates get, a new root under load, and a bundle endpoint that is gone. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import tls from 'node:tls'
import { issueLeaf, openSigner } from '../../src/identity/issue.ts'
import { newKey, readKey } from '../../src/identity/key.ts'
import { isSpiffeId } from '../../src/identity/spiffe.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { goProgram, installed } from '../conformance/peers.ts'
import { certify } from '../harness/certify.ts'
import { Load, startServer, tell } from '../harness/load.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh, root, type Shell } from '../harness/mesh.ts'
import { apply, remove } from './policies/shop.ts'

const verdict = await canCapture()
const openssl = installed('openssl')
const skip = verdict.ok ? ('missing' in openssl ? openssl.missing : false) : `${verdict.why}: ${verdict.remedy}`
const goSpiffe = goProgram('workload-api', join(root, 'test/e2e/workload-api/go'))
const trustDomains = { group: 'weft.dev', version: 'v1alpha1', plural: 'trustdomains', namespaced: false }
const server = 'spiffe://two.test/ns/default/sa/server'

describe('two trust domains', { skip, timeout: 240_000 }, () => {
  let one: Mesh
  let two: Mesh
  let web: Shell
  let place: { readonly host: string; readonly port: number }
  const ports = { one: 0, two: 0 }

  before(async () => {
    ports.one = await freePort()
    ports.two = await freePort()
    one = new Mesh({
      control: [
        '--trust-domain',
        'one.test',
        '--bundle-port',
        String(ports.one),
        '--bundle-refresh',
        '1s',
        '--bundle-cert',
        'web.crt',
        '--bundle-key',
        'web.key',
      ],
    })
    const at = (name: string): string => join(one.folder, name)
    certify({ key: at('web.key'), cert: at('web.crt'), subject: '/CN=localhost', names: ['DNS:localhost'] })
    await one.startControl()
    two = await Mesh.start({
      control: ['--trust-domain', 'two.test', '--leaf-life', '20s', '--bundle-port', String(ports.two), '--bundle-refresh', '1s'],
    })
    startServer(two, 'server', { instance: 'two' })
    startServer(two, 'other', { instance: 'other' })
    web = one.shell('web')
    await Promise.all([two.healthy('server'), two.healthy('other'), web.says('true')])
    const { items } = await two.client.list(kinds.workload, { labelSelector: 'app=server' })
    const [port] = (
      items[0] as Resource<{ readonly ports: readonly { readonly bind: { readonly host: string; readonly port: number } }[] }>
    ).spec!.ports
    place = port!.bind
    for (const mesh of [one, two])
      await mesh.client.apply(
        { group: '', version: 'v1', plural: 'namespaces', namespaced: false },
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'weft-system' } },
        { force: true },
      )
  })
  after(async () => {
    await web?.[Symbol.asyncDispose]()
    await one?.[Symbol.asyncDispose]()
    await two?.[Symbol.asyncDispose]()
  })

  const believe = (mesh: Mesh, name: string, spec: object): Promise<unknown> =>
    mesh.client.apply(trustDomains, { apiVersion: 'weft.dev/v1alpha1', kind: 'TrustDomain', metadata: { name }, spec }, { force: true })
  type Status = {
    readonly conditions: readonly { readonly type: string; readonly status: string; readonly message: string }[]
    readonly roots: readonly { readonly sha256: string }[]
    readonly sequence: number
  }
  const statusOf = async (mesh: Mesh, name: string): Promise<Status | undefined> =>
    (await mesh.client.get(trustDomains, name)).status as Status | undefined
  const holds = async (mesh: Mesh, name: string, type: string): Promise<boolean> =>
    (await statusOf(mesh, name))?.conditions?.find(each => each.type === type)?.status === 'True'
  const external = (endpoint: { readonly host: string; readonly port: number }): Promise<void> =>
    apply(one, 'ExternalService', 'server-of-two', {
      hosts: ['server.two.example'],
      ports: [{ port: 8080, protocol: 'HTTP', tls: { mode: 'Mesh', identities: [server] } }],
      resolution: 'Static',
      endpoints: [{ address: endpoint.host, port: endpoint.port }],
    })
  const calls = (): Promise<string> =>
    web.says(`curl -s -m 10 -o /dev/null -w '%{http_code} %header{x-weft-error} %header{x-answered-by}' http://server.two.example:8080/`)
  const answers = (wanted: RegExp, patienceMs = 30_000): Promise<void> =>
    one.until(String(wanted), async () => wanted.test(await calls()), patienceMs)

  test('bundles are fetched by both profiles: proven by the Web, and by a SPIFFE id', async () => {
    const { stdout: bundle } = await two.weft('cert', 'bundle')
    await believe(one, 'two', {
      trustDomain: 'two.test',
      bundle,
      bundleEndpoint: {
        url: `https://localhost:${ports.two}/`,
        profile: 'HTTPSSPIFFE',
        spiffeID: 'spiffe://two.test/ns/weft-system/sa/control',
      },
    })
    await believe(two, 'one', {
      trustDomain: 'one.test',
      bundleEndpoint: { url: `https://localhost:${ports.one}/`, certificateAuthorities: readFileSync(join(one.folder, 'web.crt'), 'utf8') },
    })
    await one.until('the bundle of two', () => holds(one, 'two', 'Fetched'))
    await two.until('the bundle of one', () => holds(two, 'one', 'Fetched'))
    const { roots, sequence } = (await statusOf(one, 'two'))!
    assert.equal(roots.length, 1)
    assert.ok(sequence >= 1)
  })

  test('a bundle endpoint that proves another id than the one that is expected is not believed', async () => {
    await believe(one, 'three', {
      trustDomain: 'three.test',
      bundle: await (await fetch(`${two.url}/weft/v1/trust-bundle`)).text(),
      bundleEndpoint: {
        url: `https://localhost:${ports.two}/`,
        profile: 'HTTPSSPIFFE',
        spiffeID: 'spiffe://three.test/ns/weft-system/sa/control',
      },
    })
    await one.until('a failed fetch', async () =>
      /of the trust domain two\.test, not three\.test/.test(
        (await statusOf(one, 'three'))?.conditions?.find(({ type }) => type === 'Fetched')?.message ?? '',
      ),
    )
    await one.client.delete(trustDomains, 'three')
  })

  test('a workload of the other mesh is who it is, and may do nothing until an AccessPolicy names its trust domain', async () => {
    await external(place)
    await answers(/^403 access-denied/)
    assert.match(two.logs(), /it is of another trust domain, and no AccessPolicy here names that/)
    // What allows everybody allows everybody of this mesh.
    await apply(two, 'AccessPolicy', 'server', { targetRefs: [{ name: 'server' }], rules: [{}] })
    assert.match(await calls(), /^403 access-denied/)
    await apply(two, 'AccessPolicy', 'server', {
      targetRefs: [{ name: 'server' }],
      rules: [{}, { from: [{ trustDomains: ['one.test'], namespaces: ['default'] }] }],
    })
    await answers(/^200 +two/)
    const told = await two.weft('explain', 'request', '--from', 'other', '--to', 'server:8080', 'GET', '/', '-o', 'json')
    assert.equal((JSON.parse(told.stdout) as { explanation: { arrives: string } }).explanation.arrives, 'always', told.stdout)
  })

  /** A certificate of any name, by the authority of that mesh. */
  async function forged(mesh: Mesh, trustDomain: string, id: string): Promise<{ readonly key: string; readonly cert: string }> {
    assert.ok(isSpiffeId(id))
    const kept = readFileSync(join(mesh.folder, 'control/authority/intermediate.pem'), 'utf8')
    const [key = '', pem = ''] = kept.split(/(?=-----BEGIN CERTIFICATE)/)
    const signer = openSigner(trustDomain, readKey(key), pem, await (await fetch(`${mesh.url}/weft/v1/trust-bundle`)).text())
    const own = await newKey()
    const { chain } = issueLeaf(signer, own.public, id, Date.now())
    return { key: own.pem, cert: chain.slice(0, -1).join('') }
  }
  const asks = (
    material: { readonly key: string; readonly cert: string; readonly session?: Buffer },
    told?: (session: Buffer) => void,
  ): Promise<string> =>
    new Promise(resolve => {
      const socket = tls.connect({ ...place, ...material, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
      if (told !== undefined) socket.on('session', told)
      socket.on('secureConnect', () => assert.equal(socket.isSessionReused(), false, 'without its chain a caller could not be judged'))
      let text = ''
      socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n'))
      socket.on('data', chunk => (text += chunk))
      socket.on('error', () => {})
      socket.on('close', () => resolve(text.split('\r\n')[0] ?? ''))
    })

  test('the authority of one mesh cannot speak for the other, neither as a caller nor as a server', async () => {
    const good = await forged(one, 'one.test', 'spiffe://one.test/ns/default/sa/web')
    const sessions: Buffer[] = []
    assert.match(await asks(good, session => sessions.push(session)), /200/)
    assert.match(await asks({ ...good, ...(sessions[0] === undefined ? {} : { session: sessions[0] }) }), /200/)
    assert.equal(await asks(await forged(one, 'one.test', 'spiffe://two.test/ns/default/sa/other')), '')
    assert.match(two.logs(), /spiffe:\/\/two\.test\/ns\/default\/sa\/other is not signed by a root of its own trust domain two\.test/)
    assert.equal(await asks(await forged(two, 'two.test', 'spiffe://one.test/ns/default/sa/web')), '')
    assert.equal(await asks(await forged(one, 'one.test', 'spiffe://four.test/ns/default/sa/web')), '')
    assert.match(two.logs(), /of the trust domain four\.test, which this mesh does not believe/)

    const impostor = tls.createServer({ ...(await forged(one, 'one.test', server)), ALPNProtocols: ['http/1.1'] }, socket =>
      socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'),
    )
    impostor.on('tlsClientError', () => {})
    impostor.listen(0, '127.0.0.1')
    await new Promise(resolve => impostor.once('listening', resolve))
    try {
      await external({ host: '127.0.0.1', port: (impostor.address() as { port: number }).port })
      await answers(/^503 identity-mismatch/)
      await external(place)
      await answers(/^200 +two/)
    } finally {
      impostor.close()
    }
  })

  test('go-spiffe is given the bundles of both', { skip: 'missing' in goSpiffe ? goSpiffe.missing : false }, async () => {
    const client = `${'path' in goSpiffe ? goSpiffe.path : ''} bundles`
    const done = await one.job('reader', ['/bin/sh', '-c', `until [ "$(${client} | wc -l)" = 2 ]; do sleep 0.1; done; ${client}`])
    assert.deepEqual(done.stdout.trim().split('\n').sort(), ['one.test 1', 'two.test 1'], done.stderr)
  })

  test('the root of one is replaced while the other calls it, and no request fails', async context => {
    await using load = new Load(one, { to: 'http://server.two.example:8080', rate: 40 })
    await load.answers(40)
    const first = (await statusOf(one, 'two'))!
    const step = async (): Promise<void> => {
      await two.until('the next step waits for nothing', async () => (await two.client.rootPlan()).waitsFor.length === 0, 90_000)
      await two.client.replaceRoot({ action: 'step' })
    }
    await two.client.replaceRoot({ action: 'step' })
    await one.until('one knows both roots', async () => (await statusOf(one, 'two'))!.roots.length === 2)
    await step()
    await step()
    await one.until('one knows the new root only', async () => (await statusOf(one, 'two'))!.roots.length === 1)
    const last = (await statusOf(one, 'two'))!
    assert.notEqual(last.roots[0]!.sha256, first.roots[0]!.sha256)
    assert.ok(last.sequence > first.sequence)
    await answers(/^200 +two/)
    const report = await load.stop()
    context.diagnostic(tell(report))
    assert.deepEqual(report.failed, {})
    assert.ok(report.ok > 100, `only ${report.ok}`)
  })

  test('with the bundle endpoint gone the last bundle stays, and status says so', async () => {
    await two.control.stop()
    await one.until('a failed fetch', async () => !(await holds(one, 'two', 'Fetched')))
    const { conditions, roots } = (await statusOf(one, 'two'))!
    assert.match(conditions.find(({ type }) => type === 'Fetched')!.message, /does not answer.*the last good bundle stays in use/)
    assert.equal(roots.length, 1)
    assert.match(await calls(), /^200 +two/)
    const doctor = await one.weft('cert', 'doctor')
    assert.equal(doctor.code, 1, doctor.stdout)
    assert.match(doctor.stdout, /bundle two\.test is not fetched: .*the last good one stays in use/)
    await two.startControl()
    await one.until('it is fetched again', () => holds(one, 'two', 'Fetched'), 90_000)
  })

  test('a trust domain that is believed no more is cut off, on open connections too', async () => {
    const revoked = await two.weft('cert', 'revoke', '--trust-domain', 'one.test', '--reason', 'AffiliationChanged')
    assert.equal(revoked.code, 0, revoked.stderr)
    await two.until('its connections end by that', () =>
      /an open connection of a caller of inbound\/8080 was ended: \S+one\.test\S+ was revoked by Revocation trust-domain-one\.test/.test(
        two.logs(),
      ),
    )
    await answers(/^50\d /)
    assert.equal((await two.weft('cert', 'revoke', '--trust-domain', 'one.test', '--undo')).code, 0)
    await answers(/^200 +two/)
    await using load = new Load(one, { to: 'http://server.two.example:8080', rate: 20 })
    await load.answers(20)
    await remove(two, 'TrustDomain', 'one')
    await two.until('its connections end', () =>
      /an open connection of a caller of inbound\/8080 was ended: \S+one\.test\S+ is of the trust domain one\.test, which this mesh does not believe any more/.test(
        two.logs(),
      ),
    )
    await answers(/^50\d /)
    await load.stop()
  })
})
