/** Envoy's own rate limit service (in Go, with Redis) counts for our proxies: by limits that it was configured with, and by those that policies send along. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import { goCommand, installed } from '../conformance/peers.ts'
import { freePort } from '../harness/machine.ts'
import { Mesh, type Shell } from '../harness/mesh.ts'
import { apply, call, remove, serve } from './route-filters/shop.ts'

const verdict = await canCapture()
const redis = installed('redis-server')
const service = goCommand('ratelimit', 'github.com/envoyproxy/ratelimit/src/service_cmd@v1.4.1-0.20260122083618-3fb702589d36')
const missing = [redis, service].find(each => 'missing' in each)
const skip = !verdict.ok ? `${verdict.why}: ${verdict.remedy}` : missing !== undefined && 'missing' in missing ? missing.missing : false

const config = `domain: shop
descriptors:
  - key: policy
    value: default/known
    descriptors:
      - key: header.x-tenant
        rate_limit: { unit: day, requests_per_unit: 3 }
`

describe("Envoy's rate limit service", { skip, timeout: 180_000 }, () => {
  const ends: (() => Promise<unknown>)[] = []
  const folder = mkdtempSync(join(tmpdir(), 'weft-rls-'))
  let mesh: Mesh
  let caller: Shell

  const start = async (path: string, args: readonly string[], port: number, env: Readonly<Record<string, string>> = {}): Promise<void> => {
    const child = spawn(path, args, { stdio: 'ignore', env: { ...process.env, ...env } })
    ends.push(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    })
    const end = Date.now() + 30_000
    for (;;) {
      const isOpen = await new Promise<boolean>(resolve => {
        const socket = net.connect(port, '127.0.0.1', () => (socket.destroy(), resolve(true)))
        socket.on('error', () => resolve(false))
      })
      if (isOpen) return
      if (Date.now() > end || child.exitCode !== null) throw new Error(`${path} does not listen`)
      await new Promise(done => setTimeout(done, 50))
    }
  }

  before(async () => {
    const [redisPort, grpcPort, port, debugPort] = [await freePort(), await freePort(), await freePort(), await freePort()]
    mkdirSync(join(folder, 'ratelimit', 'config'), { recursive: true })
    writeFileSync(join(folder, 'ratelimit', 'config', 'shop.yaml'), config)
    await start((redis as { path: string }).path, ['--port', String(redisPort), '--bind', '127.0.0.1', '--save', ''], redisPort)
    await start((service as { path: string }).path, [], grpcPort, {
      USE_STATSD: 'false',
      REDIS_SOCKET_TYPE: 'tcp',
      REDIS_URL: `127.0.0.1:${redisPort}`,
      RUNTIME_ROOT: folder,
      RUNTIME_SUBDIRECTORY: 'ratelimit',
      RUNTIME_WATCH_ROOT: 'false',
      HOST: '127.0.0.1',
      PORT: String(port),
      GRPC_HOST: '127.0.0.1',
      GRPC_PORT: String(grpcPort),
      DEBUG_HOST: '127.0.0.1',
      DEBUG_PORT: String(debugPort),
    })
    mesh = await Mesh.start()
    for (const name of ['web-1', 'web-2']) serve(mesh, name, 'web')
    await mesh.healthy('web', 2)
    caller = mesh.shell('caller')
    await caller.says('true')
    await apply(mesh, 'Mesh', 'default', { rateLimits: { address: `127.0.0.1:${grpcPort}`, domain: 'shop', timeout: '5s' } })
  })
  after(async () => {
    await caller?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
    for (const end of ends.reverse()) await end()
    rmSync(folder, { recursive: true, force: true })
  })

  const passed = (tally: Readonly<Record<string, number>>): number =>
    Object.entries(tally).reduce((total, [key, times]) => total + (/^(200|grpc undefined) web-/.test(key) ? times : 0), 0)

  test('its own limits hold for each value of a key', async () => {
    await apply(mesh, 'RateLimitPolicy', 'known', {
      targetRefs: [{ name: 'web' }],
      by: [{ type: 'Header', header: 'X-Tenant' }],
      global: { failOpen: false },
    })
    for (const tenant of ['a', 'b']) {
      const { tally, first, last } = await call(caller, { times: 9, width: 1, headers: { 'x-tenant': tenant } })
      assert.equal(passed(tally), 3, JSON.stringify(tally))
      assert.equal(tally['429 rate-limited'], 6)
      assert.equal(first['ratelimit-policy'], '"default/known";q=3;w=86400')
      assert.match(first['ratelimit'] ?? '', /^"default\/known";r=2;t=\d+$/)
      assert.match(last['retry-after'] ?? '', /^\d+$/)
    }
    await remove(mesh, 'RateLimitPolicy', 'known')
  })

  for (const by of ['1', '2', 'grpc'] as const)
    test(`a limit that a policy sends along holds for two proxies together (${by === 'grpc' ? 'gRPC' : `HTTP/${by}`})`, async () => {
      const name = `sent-${by}`
      await apply(mesh, 'RateLimitPolicy', name, {
        targetRefs: [{ name: 'web' }],
        global: { requests: 7, interval: '24h', failOpen: false },
      })
      const { tally } = await call(caller, { times: 20, width: 4, by })
      assert.equal(passed(tally), 7, JSON.stringify(tally))
      assert.equal(tally[by === 'grpc' ? 'grpc 8 rate-limited' : '429 rate-limited'], 13)
      await remove(mesh, 'RateLimitPolicy', name)
    })
})
