import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import type { Fault } from '#model/fault'
import { inboundSide, materials, outboundSide, remote } from '../../../test/harness/pair.ts'
import { counted } from '../../../test/harness/versions.ts'
import { delayedBy, hitBy } from './fault.ts'

const half: Fault = {
  policy: 'default/half',
  delay: { ms: 100, jitterMs: 20, share: 500_000 },
  abort: { type: 'http', status: 503, share: 250_000 },
}
const rolls = (...values: readonly number[]) => {
  let at = 0
  return () => values[at++] ?? 0
}

test('delay and abort befall a request by a chance of their own each', () => {
  assert.equal(hitBy(half, rolls(0.5, 0.25), 0), undefined)
  assert.deepEqual(hitBy(half, rolls(0.49, 0.25, 0.5), 0), { delayMs: 100, abort: undefined, line: undefined })
  assert.deepEqual(hitBy(half, rolls(0.5, 0.24), 0), { delayMs: 0, abort: half.abort, line: undefined })
  assert.deepEqual(hitBy(half, rolls(0, 0, 0), 0), { delayMs: 80, abort: half.abort, line: undefined })
})

test('a share of nothing spares everybody, of all nobody', () => {
  const all: Fault = { policy: 'x', abort: { type: 'reset', share: 1_000_000 } }
  assert.notEqual(
    hitBy(all, () => 0.999_999_9, 0),
    undefined,
  )
  assert.equal(
    hitBy({ policy: 'x', abort: { type: 'reset', share: 0 } }, () => 0, 0),
    undefined,
  )
})

test('what has ended does nothing, whoever still has it', () => {
  assert.notEqual(
    hitBy({ ...half, endsAt: 1000 }, () => 0, 999),
    undefined,
  )
  assert.equal(
    hitBy({ ...half, endsAt: 1000 }, () => 0, 1000),
    undefined,
  )
})

test('an opaque connection is held up or reset, and the reset says who did it in the count', { timeout: 30_000 }, async () => {
  const server = net.createServer(socket => socket.on('error', () => {}).pipe(socket))
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const certificates = await materials('web', 'shop')
  const inside = await inboundSide('web', (server.address() as net.AddressInfo).port, 'tcp', certificates['web']!, undefined, 'tcp')
  const parts = remote('web', [inside.port], { protocol: 'tcp' })
  await using outside = await outboundSide('shop', certificates['shop']!, 'tcp', parts)
  const base = outside.core.view.listeners['out']!
  const broken = (fault: Fault) => outside.swap({ listeners: { out: { ...base, fault } } })
  const echo = () =>
    new Promise<{ said: string; ms: number }>((resolve, reject) => {
      const began = performance.now()
      const socket = net.connect(outside.port, '127.0.0.1', () => socket.write('hello'))
      socket.on('error', reject)
      socket.once('data', said => {
        resolve({ said: said.toString(), ms: performance.now() - began })
        socket.destroy()
      })
    })
  try {
    broken({ policy: 'default/late', delay: { ms: 300, share: 1_000_000 } })
    const { said, ms } = await echo()
    assert.equal(said, 'hello')
    assert.ok(ms >= 295, `${ms} ms`)
    broken({ policy: 'default/gone', abort: { type: 'reset', share: 1_000_000 } })
    await assert.rejects(echo(), { code: 'ECONNRESET' })
    assert.equal(counted(outside, 'weft_tcp_connections_closed_total', /reason="fault-injected"/), 1)
    assert.equal(counted(outside, 'weft_faults_injected_total', /policy="default\/gone".*fault="reset"/), 1)
    broken({ policy: 'default/over', endsAt: 1, abort: { type: 'reset', share: 1_000_000 } })
    assert.equal((await echo()).said, 'hello')
  } finally {
    server.close()
    await inside.core[Symbol.asyncDispose]()
  }
})

test('delays are spread as they are asked to be: by their mean, their deviation and their tail', () => {
  // A generator with a known seed (mulberry32), so that the figures are the same each time.
  let seed = 42
  const random = () => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const drawn = (spread?: 'normal' | 'exponential' | 'pareto') => {
    const delay = { ms: 1000, jitterMs: 100, share: 1_000_000, ...(spread === undefined ? {} : { spread }) }
    const all = Array.from({ length: 20_000 }, () => delayedBy(delay, random)).sort((a, b) => a - b)
    const mean = all.reduce((sum, each) => sum + each, 0) / all.length
    const deviation = Math.sqrt(all.reduce((sum, each) => sum + (each - mean) ** 2, 0) / all.length)
    return { mean, deviation, least: all[0]!, at99: all[19_800]!, most: all.at(-1)! }
  }
  const near = (found: number, expected: number, tolerance: number) => assert.ok(Math.abs(found - expected) < tolerance, `${found}`)
  const even = drawn()
  near(even.mean, 1000, 3)
  assert.ok(even.least >= 900 && even.most <= 1100)
  const normal = drawn('normal')
  near(normal.mean, 1000, 5)
  near(normal.deviation, 100, 3)
  const exponential = drawn('exponential')
  near(exponential.mean, 1100, 5)
  near(exponential.at99, 1000 + 100 * Math.log(100), 40)
  assert.ok(exponential.least >= 1000)
  const pareto = drawn('pareto')
  near(pareto.mean, 1100, 10)
  near(pareto.at99, 1000 + 200 * (100 ** (1 / 3) - 1), 60)
  assert.ok(pareto.least >= 1000 && pareto.most > exponential.most)
})
