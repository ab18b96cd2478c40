/** The root of the mesh replaced while requests run, step by step, with leaves that end every few seconds; and proxies that slept through all of it. */

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { RootPlan } from '../../src/api/mesh-api.ts'
import { canCapture } from '../../src/io/namespace.ts'
import { Load, startServer, tell } from '../harness/load.ts'
import { Mesh, type Running } from '../harness/mesh.ts'

const verdict = await canCapture()
const skip = verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`
const rate = Number(process.env['RATE'] ?? 300)

async function until(mesh: Mesh, holds: (plan: RootPlan) => boolean, seconds = 60): Promise<RootPlan> {
  const end = performance.now() + seconds * 1000
  for (;;) {
    const plan = await mesh.client.rootPlan()
    if (holds(plan)) return plan
    if (performance.now() > end) assert.fail(`not within ${seconds} s: ${JSON.stringify(plan)}`)
    await pause(200)
  }
}

test(`no request of ${rate} a second fails while the root is replaced, and at the end only the new one is trusted`, {
  skip,
}, async context => {
  await using mesh = await Mesh.start({ control: ['--leaf-life', '10s'] })
  startServer(mesh, 'server', { instance: 'server', tcp: true })
  await mesh.healthy('server')
  await using load = new Load(mesh, { to: 'http://server:8080', rate, ticks: 2, tcp: 'tcp://server:7000' })
  await load.answers(rate)
  const before = await mesh.client.rootPlan()
  assert.equal(before.stage, 'steady')

  const cert = (...args: string[]) => mesh.weft('cert', ...args)
  const told = await cert('rotate-root')
  assert.match(told.stdout, /stage\s+steady/)
  assert.match(told.stdout, /▸ introduce/)

  const introduced = JSON.parse((await cert('rotate-root', '--step', '-o', 'json')).stdout) as RootPlan
  assert.equal(introduced.stage, 'introduced')
  assert.equal(introduced.root.sha256, before.root.sha256)
  const early = await cert('rotate-root', '--step')
  assert.equal(early.code, 1)
  assert.match(early.stderr, /the next step waits: the last step was taken a moment ago/)

  await until(mesh, plan => plan.waitsFor.length === 0)
  const signing = JSON.parse((await cert('rotate-root', '--step', '-o', 'json')).stdout) as RootPlan
  assert.equal(signing.stage, 'signing')
  assert.equal(signing.root.sha256, introduced.other?.sha256)
  await until(mesh, plan => plan.waitsFor.length === 0)
  const after = JSON.parse((await cert('rotate-root', '--step', '-o', 'json')).stdout) as RootPlan
  assert.equal(after.stage, 'steady')
  assert.equal(after.root.sha256, signing.root.sha256)
  assert.equal(after.other, undefined)
  // More than one life of a leaf: nobody lives on what the old root signed.
  await pause(11_000)

  const report = await load.stop()
  context.diagnostic(tell(report))
  assert.deepEqual(report.failed, {})
  assert.deepEqual(report.cut, [])
  assert.ok(report.ok > rate * 10, `only ${report.ok}`)

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

/** A workload whose join token is soon of no use any more. */
async function briefly(mesh: Mesh): Promise<Running> {
  const { token } = await mesh.client.createToken({ namespace: 'default', serviceAccount: 'sleeper', ttlSeconds: 3 })
  return startServer(mesh, 'sleeper', { instance: 'sleeper', flags: ['--token', token] })
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
  const sleeper = await briefly(mesh)
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
  await sleep(async () => pause(5000))
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
  const sleeper = await briefly(mesh)
  await mesh.healthy('sleeper')
  await mesh.control.stop()
  await pause(4000)
  await mesh.startControl()
  await mesh.until('a refusal', () => /takes no expired ones; make a join token with: weft token create/.test(sleeper.stderr))
})
