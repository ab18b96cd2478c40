/** A mesh that was switched off for a week, and one whose root ends: the clock of its processes is moved, the real one of this machine is not. */

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { canCapture } from '../../src/io/namespace.ts'
import { startServer } from '../harness/load.ts'
import { Mesh } from '../harness/mesh.ts'

const verdict = await canCapture()
const library = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(arch => `/usr/lib/${arch}/faketime/libfaketimeMT.so.1`).find(existsSync)
const skip = !verdict.ok
  ? `${verdict.why}: ${verdict.remedy}`
  : library === undefined
    ? 'faketime is not on this machine: apt-get install faketime'
    : false

const week = 7 * 86_400
const year = 365 * 86_400

/** A clock that can be moved while programs run by it. offset: seconds from now. */
function movable(): { readonly env: Readonly<Record<string, string>>; readonly move: (offset: number) => void } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), 'weft-clock-'))
  const file = join(folder, 'clock')
  const move = (offset: number): void => {
    writeFileSync(`${file}.new`, `+${offset}s\n`)
    renameSync(`${file}.new`, file)
  }
  move(0)
  return {
    env: { LD_PRELOAD: library ?? '', FAKETIME_TIMESTAMP_FILE: file, FAKETIME_CACHE_DURATION: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' },
    move,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}

const ask = 'curl -s -m 2 -o /dev/null -w "%{http_code}" http://server:8080/'

test('after a week with the mesh switched off, proxies that start before the control plane, and one that only slept, serve within five seconds of its return', {
  skip,
}, async context => {
  using clock = movable()
  await using mesh = await Mesh.start({ env: clock.env })
  const server = startServer(mesh, 'server', { instance: 'server' })
  const caller = mesh.shell('caller')
  const sleeper = mesh.shell('sleeper')
  for (const each of ['server', 'caller', 'sleeper']) await mesh.healthy(each)
  for (const each of [caller, sleeper]) assert.equal(await each.says(ask), '200')

  await mesh.control.stop()
  server.child.kill('SIGKILL')
  caller.running.child.kill('SIGKILL')
  sleeper.running.child.kill('SIGSTOP')
  await Promise.all([server.exited, caller.running.exited])
  clock.move(week)
  const awake = startServer(mesh, 'server', { instance: 'server' })
  const again = mesh.shell('caller')
  sleeper.running.child.kill('SIGCONT')
  // Long enough for every attempt to be as rare as it gets.
  await pause(12_000)
  assert.equal(again.running.child.exitCode, null, `who was in the mesh before waits:\n${again.running.stderr}`)

  await mesh.startControl()
  let back = performance.now()
  const served = async (shell: typeof again): Promise<number> => {
    for (;;) {
      // A shell of a workload that is not in the mesh yet has not started.
      const { output } = await shell.do(ask)
      if (output === '200') return performance.now() - back
      if (performance.now() - back > 60_000) assert.fail(`${output}\n${mesh.logs()}`)
      await pause(50)
    }
  }
  const took = await Promise.all([served(again), served(sleeper)])
  context.diagnostic(`served after ${took.map(ms => `${Math.round(ms)} ms`).join(' and ')}`)
  assert.ok(Math.max(...took) < 5000, `served after ${took.map(Math.round).join(' and ')} ms`)
  assert.match(mesh.control.stderr, /"proof":"expired certificate"/)

  // As a laptop that was closed: all of it stands still, the control plane too.
  const all = [mesh.control.child, awake.child, again.running.child, sleeper.running.child]
  for (const each of all) each.kill('SIGSTOP')
  clock.move(2 * week)
  await pause(1500)
  for (const each of all) each.kill('SIGCONT')
  back = performance.now()
  // Until the processes have looked at the clock again, their own certificates seem good to them; what is asked is when all is well for good.
  await pause(1500)
  const opened = await Promise.all([served(again), served(sleeper)])
  context.diagnostic(`and ${opened.map(ms => `${Math.round(ms)} ms`).join(' and ')} after the lid was opened`)
  assert.ok(Math.max(...opened) < 6000, `served ${opened.map(Math.round).join(' and ')} ms after the lid was opened`)
  await mesh.until('certificates that are good', async () => (await mesh.weft('cert', 'doctor')).code === 0)
})

test('a root that ends is spoken of half a year before, a month before and on the day, each time with what mends it; and that mends it', {
  skip,
}, async () => {
  using clock = movable()
  await using mesh = await Mesh.start({ env: clock.env })
  const { notAfter } = (await mesh.client.rootPlan()).root
  const left = (Date.parse(notAfter) - Date.now()) / 1000
  assert.ok(left > 9 * year && left < 11 * year)
  const told = async (...args: string[]): Promise<string> => {
    const { stdout, code } = await mesh.weft(...args)
    return `${code}\n${stdout}`
  }
  // A mesh that was off until then: its certificates in between are renewed at the start.
  const at = async (offset: number): Promise<void> => {
    await mesh.control.stop()
    clock.move(offset)
    await mesh.startControl()
  }
  assert.match(await told('cert', 'doctor'), /^0\n/)
  await at(left - year / 3)
  assert.match(await told('cert', 'doctor'), /^1\n[\s\S]*! root .*expires within half a year: weft cert rotate-root --auto/)
  await at(left - week)
  assert.match(await told('cert', 'doctor'), /^1\n[\s\S]*! root .*expires soon: weft cert rotate-root --auto/)
  assert.match(await told('status'), /^1\n[\s\S]*! the root certificate expires in 6d/)
  assert.match(mesh.control.stderr, /the root certificate ends in 6 days.*weft cert rotate-root --auto/)

  clock.move(left + 86_400)
  await mesh.until('the log says it', () => /the root certificate has expired.*weft cert doctor/.test(mesh.control.stderr))
  const over = await told('cert', 'doctor')
  assert.match(
    over,
    /^1\n[\s\S]*! root .*expired: nobody is trusted any more: stop the control plane, move its folder "authority" away and start it/,
  )
  assert.match(await told('status'), /! the root certificate expired 24h ago/)
  await mesh.control.stop()
  await assert.rejects(mesh.startControl(), /the root certificate in .* expired at .*; move .*authority away to begin anew/)
  renameSync(join(mesh.folder, 'control/authority'), join(mesh.folder, 'control/authority.old'))
  await mesh.startControl()
  assert.match(await told('cert', 'doctor'), /^0\n/)
  startServer(mesh, 'server', { instance: 'server' })
  await mesh.healthy('server')
  const caller = mesh.shell('caller')
  await mesh.healthy('caller')
  assert.equal(await caller.says(ask), '200')
})
