/**
 * The certificates of a mesh replaced under a load, all kinds at once: leaves every ten seconds, the intermediate, and the root in its three steps; and proxies
 * that slept through all of it. One file as a whole, because one load of two minutes proves all of the first. `FOR=3600 RATE=1000` makes it longer and heavier.
 */

import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { RootPlan } from '../../src/api/mesh-api.ts'
import { createIntermediate, openSigner } from '../../src/identity/issue.ts'
import { newKey, readKey } from '../../src/identity/key.ts'
import { canCapture } from '../../src/io/namespace.ts'
import { Load, startServer, tell } from '../harness/load.ts'
import { Mesh, root, type Running } from '../harness/mesh.ts'

const verdict = await canCapture()
const skip = verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`
const rate = Number(process.env['RATE'] ?? 500)
const seconds = Number(process.env['FOR'] ?? 120)

async function until(mesh: Mesh, holds: (plan: RootPlan) => boolean, seconds = 60): Promise<RootPlan> {
  const end = performance.now() + seconds * 1000
  for (;;) {
    const plan = await mesh.client.rootPlan()
    if (holds(plan)) return plan
    if (performance.now() > end) assert.fail(`not within ${seconds} s: ${JSON.stringify(plan)}`)
    await pause(200)
  }
}

/** The control plane of that mesh, started anew, signs by an intermediate that is good for so long, and renewed at two thirds of that. */
async function shortenIntermediate(mesh: Mesh, lifeMs: number): Promise<void> {
  await mesh.control.stop()
  const folder = join(mesh.folder, 'control/authority')
  const pem = await readFile(join(folder, 'root.pem'), 'utf8')
  const [key = '', certificate = ''] = pem.split(/(?=-----BEGIN CERTIFICATE)/)
  const short = createIntermediate(openSigner('weft.local', readKey(key), certificate, certificate), await newKey(), Date.now(), lifeMs)
  await writeFile(join(folder, 'intermediate.pem'), short.key.pem + short.chain[0]!, { mode: 0o600 })
  await mesh.startControl()
}

type Outcome = { readonly sent: number; readonly ok: number; readonly failed: object; readonly out: number }

/** Told to stop, it says what became of what it sent. */
async function outcomeOf({ child, exited }: Running): Promise<Outcome> {
  child.stdin!.write('stop\n')
  return JSON.parse((await exited).stdout) as Outcome
}

test(`no request of ${rate} a second over HTTP/1.1, HTTP/2 and gRPC fails, and no long connection is cut, in ${seconds} s in which leaves change every ten seconds, the intermediate is renewed and the root is replaced`, {
  skip,
  timeout: (seconds + 180) * 1000,
}, async context => {
  await using mesh = await Mesh.start({ control: ['--leaf-life', '15s'] })
  await shortenIntermediate(mesh, 45_000)
  const ofIntermediate = async (): Promise<readonly string[]> =>
    (await mesh.client.status()).certificates.filter(({ use }) => use === 'intermediate').map(({ notAfter }) => notAfter)
  const [short] = await ofIntermediate()
  startServer(mesh, 'server', { instance: 'server', tcp: true })
  mesh.run('calls', [process.execPath, join(root, 'test/e2e/grpc-route/server.ts'), '9000'], { flags: ['--port', 'grpc:9000/grpc'] })
  await mesh.healthy('server')
  await mesh.healthy('calls')
  const third = String(Math.round(rate * 0.3))
  await using load = new Load(mesh, { to: 'http://server:8080', rate: rate - 2 * Number(third), ticks: 2, tcp: 'tcp://server:7000' })
  const program = (name: string, to: string): Running =>
    mesh.run(`load-${name.split('.')[0]}`, [process.execPath, join(root, 'test/harness/load', name)], { env: { TO: to, RATE: third } })
  const [http2, grpc] = [program('http2.mjs', 'http://server:8080'), program('grpc.ts', 'calls:9000')]
  await load.answers(rate)
  const began = performance.now()
  const rest = (): number => began + seconds * 1000 - performance.now()

  const serials = new Map<string, Set<string>>()
  const watched = (async () => {
    while (rest() > 0) {
      for (const { admin, service } of await mesh.client.proxies()) {
        const text = await (await fetch(`${admin}/metrics`)).text()
        const [, serial] = /certificate_expiry_seconds\{serial="([0-9a-f]+)"/.exec(text) ?? []
        if (serial !== undefined) serials.set(service, (serials.get(service) ?? new Set()).add(serial))
      }
      await pause(1000)
    }
  })()
  // Where the test fails before it is awaited, that is what is told.
  watched.catch(() => {})

  // The intermediate first: a new root brings one of its own.
  await mesh.until('a new intermediate', async () => (await ofIntermediate()).length > 1)
  assert.ok((await ofIntermediate()).every(notAfter => notAfter === short || Date.parse(notAfter) > Date.now() + 86_400_000))

  const before = await mesh.client.rootPlan()
  assert.equal(before.stage, 'steady')
  const cert = (...args: string[]) => mesh.weft('cert', ...args)
  /** Between the plan and the step a proxy may have to wait for something anew. */
  const next = async (): Promise<RootPlan> => {
    for (;;) {
      await until(mesh, plan => plan.waitsFor.length === 0)
      const { code, stdout, stderr } = await cert('rotate-root', '--step', '-o', 'json')
      if (code === 0) return JSON.parse(stdout) as RootPlan
      assert.match(stderr, /the next step waits/)
    }
  }
  const told = await cert('rotate-root')
  assert.match(told.stdout, /stage\s+steady/)
  assert.match(told.stdout, /▸ introduce/)
  const introduced = JSON.parse((await cert('rotate-root', '--step', '-o', 'json')).stdout) as RootPlan
  assert.equal(introduced.stage, 'introduced')
  assert.equal(introduced.root.sha256, before.root.sha256)
  // On a machine that was busy for two seconds the step would not be early any more.
  if (Date.now() - Date.parse(introduced.since) < 1000)
    await assert.rejects(mesh.client.replaceRoot({ action: 'step' }), /the next step waits: the last step was taken a moment ago/)
  const signing = await next()
  assert.equal(signing.stage, 'signing')
  assert.equal(signing.root.sha256, introduced.other?.sha256)
  const after = await next()
  assert.equal(after.stage, 'steady')
  assert.equal(after.root.sha256, signing.root.sha256)
  assert.equal(after.other, undefined)
  // More than one life of a leaf: nobody lives on what the old root signed.
  assert.ok(rest() > 16_000 || seconds < 120, `only ${rest()} ms are left`)
  await pause(Math.max(rest(), 16_000))
  await watched

  const report = await load.stop()
  const [over2, calls] = [await outcomeOf(http2), await outcomeOf(grpc)]
  const counts = [...serials].map(([service, seen]) => `${service} ${seen.size}`).join(', ')
  context.diagnostic(`${tell(report)}; HTTP/2 ${JSON.stringify(over2)}; gRPC ${JSON.stringify(calls)}; certificates: ${counts}`)
  const events = mesh.control.stderr.split('\n').filter(line => !line.includes('issued a certificate'))
  assert.deepEqual([report.failed, over2.failed, calls.failed], [{}, {}, {}], events.join('\n'))
  assert.deepEqual([report.sent - report.ok, over2.sent - over2.ok, calls.sent - calls.ok], [0, 0, 0])
  assert.deepEqual(report.cut, [])
  assert.ok(report.echoes > 0 && report.ticks > 0)
  // A machine that is busy with other tests holds some back; half is proof enough.
  for (const { ok } of [report, over2, calls]) assert.ok(ok > (rate * 0.3 * seconds) / 2, `only ${ok}`)
  assert.equal(serials.size, 5, counts)
  for (const [service, seen] of serials) assert.ok(seen.size >= seconds / 10 - 1, `${service} had only ${seen.size} certificates`)

  const files = await readdir(join(mesh.folder, 'control', 'authority'))
  assert.deepEqual(
    files.filter(file => file.startsWith('root')).length,
    2, // the new root and the index: the key of the old one is gone
    files.join(', '),
  )
  const healthy = await cert('doctor')
  assert.equal(healthy.code, 0, healthy.stdout)
  assert.match(healthy.stdout, /root .* ok/)
})

/** Resolves when the proxy of that service is in sync and shows a certificate that is good. */
async function isBack(mesh: Mesh, wanted: string, seconds: number): Promise<void> {
  await mesh.until(
    `a good certificate of ${wanted}`,
    async () => {
      const proxy = (await mesh.client.proxies()).find(({ service }) => service === wanted)
      return proxy?.state === 'synced' && Date.parse(proxy.certificate?.notAfter ?? '') > Date.now()
    },
    seconds * 1000,
  )
}

/** A workload whose join token is of no use any more when `isLost` resolves. */
async function briefly(mesh: Mesh): Promise<{ readonly sleeper: Running; readonly isLost: () => Promise<void> }> {
  const { token, expiresAt } = await mesh.client.createToken({ namespace: 'default', serviceAccount: 'sleeper', ttlSeconds: 12 })
  const sleeper = startServer(mesh, 'sleeper', { instance: 'sleeper', flags: ['--token', token] })
  return { sleeper, isLost: () => pause(Math.max(0, Date.parse(expiresAt) - Date.now() + 500)) }
}

test('by itself, through a restart of the control plane', { skip }, async () => {
  await using mesh = await Mesh.start({ control: ['--leaf-life', '6s'] })
  startServer(mesh, 'server', { instance: 'server' })
  await mesh.healthy('server')
  const first = (await mesh.client.rootPlan()).root.sha256
  const started = await mesh.client.replaceRoot({ action: 'start' })
  assert.equal(started.stage, 'introduced')
  await mesh.control.stop('SIGKILL')
  await mesh.startControl()
  const done = await until(mesh, plan => plan.stage === 'steady')
  assert.notEqual(done.root.sha256, first)
  await isBack(mesh, 'server', 20)
})

test('a proxy that slept longer than its certificate lived comes back by itself, also when the root has changed meanwhile', {
  skip,
}, async () => {
  await using mesh = await Mesh.start({ control: ['--leaf-life', '4s'] })
  startServer(mesh, 'server', { instance: 'server' })
  const { sleeper, isLost } = await briefly(mesh)
  await mesh.healthy('server')
  await mesh.healthy('sleeper')
  const sleep = async (during: () => Promise<void>): Promise<void> => {
    sleeper.child.kill('SIGSTOP')
    try {
      await during()
    } finally {
      sleeper.child.kill('SIGCONT')
    }
  }
  // The whole mesh was off: nobody's certificate is good any more.
  await mesh.control.stop()
  await sleep(async () => void (await Promise.all([pause(5000), isLost()])))
  await mesh.startControl()
  await isBack(mesh, 'sleeper', 20)
  await isBack(mesh, 'server', 20)
  assert.match(mesh.control.stderr, /sa\/sleeper.*"proof":"expired certificate"/)

  await sleep(async () => {
    await mesh.client.replaceRoot({ action: 'step' })
    await pause(2500)
    await mesh.client.replaceRoot({ action: 'step', force: true })
    await pause(3000)
    await mesh.control.stop()
    await mesh.startControl()
  })
  await isBack(mesh, 'sleeper', 40)
  await until(mesh, plan => plan.waitsFor.length === 0)
  assert.equal((await mesh.client.replaceRoot({ action: 'step' })).stage, 'steady')
})

test('where expired certificates are of no use, the log says how to come back', { skip }, async () => {
  await using mesh = await Mesh.start({ control: ['--leaf-life', '3s', '--rejoin-within', '0'] })
  const { sleeper, isLost } = await briefly(mesh)
  await mesh.healthy('sleeper')
  await mesh.control.stop()
  await Promise.all([pause(4000), isLost()])
  await mesh.startControl()
  await mesh.until('a refusal', () => /takes no expired ones; make a join token with: weft token create/.test(sleeper.stderr))
})
