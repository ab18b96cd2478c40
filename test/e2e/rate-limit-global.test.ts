/** Limits of all workloads together as callers see them: three proxies share one, whoever counts, and without an answer requests go on or not, as the policy says. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import { Mesh, type Shell } from '../harness/mesh.ts'
import { installed } from '../conformance/peers.ts'
import { freePort } from '../harness/machine.ts'
import { apply, call, remove, serve } from './route-filters/shop.ts'

const verdict = await canCapture()
const redis = installed('redis-server')

/** What was said to be over is not asked about for a second. */
const remembered = () => new Promise(done => setTimeout(done, 1100))

/** All that the three say together. */
const sum = async (mesh: Mesh, ...labels: readonly string[]): Promise<number> => {
  let total = 0
  for (const proxy of await mesh.client.proxies()) {
    if (proxy.service !== 'web') continue
    const text = await (await fetch(`${proxy.admin}/metrics`)).text()
    for (const line of text.split('\n'))
      if (line.startsWith('weft_rate_limits_total{') && labels.every(label => line.includes(label))) total += Number(line.split(' ').at(-1))
  }
  return total
}

async function startRedis(port: number): Promise<ChildProcess> {
  const path = 'path' in redis ? redis.path : ''
  const child = spawn(path, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], { stdio: 'ignore' })
  const end = Date.now() + 20_000
  while (Date.now() < end) {
    const isOpen = await new Promise<boolean>(resolve => {
      const socket = net.connect(port, '127.0.0.1', () => (socket.destroy(), resolve(true)))
      socket.on('error', () => resolve(false))
    })
    if (isOpen) return child
    await new Promise(done => setTimeout(done, 50))
  }
  throw new Error('redis-server does not listen')
}
async function stopRedis(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}

for (const counted of ['the control plane', 'Redis'] as const) {
  const skip = !verdict.ok ? `${verdict.why}: ${verdict.remedy}` : counted === 'Redis' && 'missing' in redis ? redis.missing : false
  describe(`limits that ${counted} counts`, { skip, timeout: 300_000 }, () => {
    let mesh: Mesh
    let caller: Shell
    let other: Shell
    let server: ChildProcess | undefined
    let redisPort = 0

    before(async () => {
      if (counted === 'Redis') server = await startRedis((redisPort = await freePort()))
      mesh = await Mesh.start(counted === 'Redis' ? { control: ['--redis', `redis://127.0.0.1:${redisPort}`] } : {})
      for (const name of ['web-1', 'web-2', 'web-3']) serve(mesh, name, 'web')
      await mesh.healthy('web', 3)
      caller = mesh.shell('caller')
      other = mesh.shell('other')
      await Promise.all([caller.says('true'), other.says('true')])
      // Two slow cores: what is tested here is what is counted, not how fast.
      await apply(mesh, 'Mesh', 'default', { rateLimits: { timeout: '5s' } })
    })
    after(async () => {
      await caller?.[Symbol.asyncDispose]()
      await other?.[Symbol.asyncDispose]()
      await mesh?.[Symbol.asyncDispose]()
      await stopRedis(server)
    })

    let count = 0
    const limit = async (global: object, more: object = {}): Promise<string> => {
      if (count > 0) await remove(mesh, 'RateLimitPolicy', `limit-${count}`)
      const name = `limit-${++count}`
      await apply(mesh, 'RateLimitPolicy', name, { targetRefs: [{ name: 'web' }], global, ...more })
      return `default/${name}`
    }
    const through = (tally: Readonly<Record<string, number>>): number =>
      Object.entries(tally).reduce((total, [key, times]) => total + (/^(200|grpc undefined) web-/.test(key) ? times : 0), 0)

    for (const by of ['1', '2', 'grpc'] as const)
      test(`three proxies let in one limit, exactly (${by === 'grpc' ? 'gRPC' : `HTTP/${by}`})`, async () => {
        const name = await limit({ requests: 30, interval: '1h' })
        const { tally, first, last } = await call(caller, { times: 90, by, width: 8 })
        assert.equal(through(tally), 30, JSON.stringify(tally))
        assert.equal(tally[by === 'grpc' ? 'grpc 8 rate-limited' : '429 rate-limited'], 60, JSON.stringify(tally))
        const served = Object.keys(tally).filter(key => / web-\d$/.test(key))
        assert.equal(served.length, 3, 'each of them served some')
        if (by !== 'grpc') assert.equal(first['ratelimit-policy'], `"${name}";q=30;w=3600`)
        if (by !== 'grpc') assert.match(last['retry-after'] ?? '', /^1[12]\d$/)
        assert.equal(await sum(mesh, `policy="${name}"`, 'scope="global"', 'outcome="allowed"'), 30)
        assert.equal(await sum(mesh, `policy="${name}"`, 'scope="global"', 'outcome="limited"'), 60)
      })

    test('a policy that limits each workload and all together tells both, by two names', async () => {
      const name = await limit({ requests: 30, interval: '1h' }, { local: { requests: 20, interval: '1h' } })
      const { first } = await call(caller, { times: 1 })
      assert.equal(first['ratelimit-policy'], `"${name}";q=20;w=3600, "${name}/global";q=30;w=3600`)
      assert.match(first['ratelimit'] ?? '', new RegExp(`^"${name}";r=19;t=\\d+, "${name}/global";r=29;t=\\d+$`))
    })

    test('tokens come back evenly, for all together', async t => {
      await limit({ requests: 50, interval: '1s', burst: 10 })
      const began = performance.now()
      let passed = 0
      while (performance.now() - began < 3000) passed += through((await call(caller, { times: 100, width: 8 })).tally)
      const seconds = (performance.now() - began) / 1000
      t.diagnostic(`${passed} in ${seconds.toFixed(2)} s`)
      assert.ok(passed <= 10 + 50 * seconds + 1, `${passed} in ${seconds} s`)
      // While nobody asks, between two programs, no more than the burst is saved.
      assert.ok(passed >= 10 + 0.3 * 50 * seconds, `${passed} in ${seconds} s`)
    })

    test('each caller and path has its own, and some have more', async () => {
      await limit(
        { requests: 4, interval: '1h' },
        {
          by: [{ type: 'Identity' }, { type: 'Path' }],
          overrides: [
            {
              when: [
                { type: 'Identity', values: ['default/other'] },
                { type: 'Path', values: ['/dear'] },
              ],
              global: { requests: 7, interval: '1h' },
            },
          ],
        },
      )
      const passed = async (shell: Shell, path: string) => through((await call(shell, { path, times: 12, width: 2 })).tally)
      assert.equal(await passed(caller, '/dear'), 4)
      assert.equal(await passed(caller, '/cheap?x=1'), 4)
      assert.equal(await passed(other, '/dear?x=2'), 7)
      assert.equal(await passed(other, '/cheap'), 4)
    })

    if (counted === 'Redis')
      test('while Redis is down the policy decides, and counting goes on when it is there again', async () => {
        const open = await limit({ requests: 5, interval: '1h' })
        assert.equal(through((await call(caller, { times: 8, width: 1 })).tally), 5)
        await stopRedis(server)
        await remembered()
        assert.equal(through((await call(caller, { times: 12, width: 2 })).tally), 12)
        assert.equal(await sum(mesh, `policy="${open}"`, 'outcome="failed-open"'), 12)
        const closed = await limit({ requests: 5, interval: '1h', failOpen: false })
        const { tally } = await call(caller, { times: 6, width: 1 })
        assert.deepEqual(tally, { '503 rate-limit-unavailable': 6 })
        assert.deepEqual((await call(caller, { times: 3, by: 'grpc', width: 1 })).tally, { 'grpc 14 rate-limit-unavailable': 3 })
        assert.ok((await sum(mesh, `policy="${closed}"`, 'outcome="failed-closed"')) >= 9)
        server = await startRedis(redisPort)
        await mesh.until(
          'an answer of the service',
          async () => (await call(caller, { times: 1 })).tally['503 rate-limit-unavailable'] === undefined,
        )
        await limit({ requests: 6, interval: '1h', failOpen: false })
        await mesh.until('all three ask again', async () => {
          const { tally: now } = await call(other, { times: 9, width: 1, path: '/again' })
          return now['503 rate-limit-unavailable'] === undefined
        })
      })
    else
      test('while the control plane is down the policy decides, and its counts begin anew', async () => {
        const name = await limit({ requests: 5, interval: '1h' })
        assert.equal(through((await call(caller, { times: 8, width: 1 })).tally), 5)
        await mesh.control.stop('SIGKILL')
        await remembered()
        assert.equal(through((await call(caller, { times: 12, width: 2 })).tally), 12)
        await mesh.startControl()
        // A proxy that found it silent asks again after a second.
        await mesh.until(
          'somebody is limited again',
          async () => (await call(caller, { times: 12, width: 1 })).tally['429 rate-limited'] !== undefined,
        )
        assert.ok((await sum(mesh, `policy="${name}"`, 'outcome="failed-open"')) >= 12)
      })
  })
}
