import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { RateLimit } from '#model/rate-limit'
import { Limiter } from './rate-limit.ts'

const limit: RateLimit = { name: 'default/api', requests: 10, intervalMs: 1000, burst: 5 }

test('a burst comes through at once, then as many as tokens come back', () => {
  const limiter = new Limiter()
  const taken = (at: number) => limiter.take(limit.name, limit, [], at).isTaken
  assert.deepEqual(
    [0, 0, 0, 0, 0, 0, 99, 100, 101, 200].map(at => taken(at)),
    [true, true, true, true, true, false, false, true, false, true],
  )
  const { nextMs, remaining } = limiter.take(limit.name, limit, [], 201)
  assert.deepEqual([Math.round(nextMs), remaining], [99, 0])
})

test('in any time no more come through than the burst and what came back meanwhile', () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 200 })
  const shape = fc.record({
    requests: fc.integer({ min: 1, max: 50 }),
    intervalMs: fc.integer({ min: 50, max: 5000 }),
    burst: fc.integer({ min: 1, max: 20 }),
  })
  fc.assert(
    fc.property(gaps, shape, (gaps, { requests, intervalMs, burst }) => {
      const limiter = new Limiter()
      let now = 1000
      let through = 0
      for (const gap of gaps) if (limiter.take('x', { requests, intervalMs, burst }, [], (now += gap)).isTaken) through++
      return through <= burst + ((now - 1000) * requests) / intervalMs + 1e-6
    }),
  )
})

test('each key has a bucket; beyond ten thousand, new keys share one until others are full again', () => {
  const limiter = new Limiter()
  const one: RateLimit = { ...limit, burst: 1, by: [{ type: 'header', name: 'x-tenant' }] }
  for (let at = 0; at < 10_000; at++) assert.ok(limiter.take(one.name, one, [`tenant ${at}`], 0).isTaken)
  assert.ok(!limiter.take(one.name, one, ['tenant 3'], 1).isTaken)
  assert.ok(limiter.take(one.name, one, ['new'], 1).isTaken)
  assert.ok(!limiter.take(one.name, one, ['newer'], 2).isTaken, 'new names must not buy more requests')
  assert.ok(limiter.take(one.name, one, ['later'], 1000).isTaken)
  assert.ok(limiter.take(one.name, one, ['later still'], 1000).isTaken)
})

test('a smaller burst holds at once, and a bucket outlives its limit', () => {
  const limiter = new Limiter()
  for (let at = 0; at < 5; at++) limiter.take(limit.name, limit, [], 0)
  assert.ok(!limiter.take(limit.name, { ...limit }, [], 0).isTaken)
  assert.equal(limiter.take(limit.name, { ...limit, burst: 2 }, [], 10_000).remaining, 1)
})
