import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OutlierDetection } from '#model/view'
import { Outliers } from './outliers.ts'

const settings: OutlierDetection = {
  consecutive5xx: 3,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 2,
  splitsLocalOrigin: false,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionMs: 70_000,
  maxEjectionPercent: 50,
}
const outliers = (change: Partial<OutlierDetection> = {}) => new Outliers({ ...settings, ...change })

/** Answers in turn at one moment; what the last one came to. */
function after(it: Outliers, address: string, statuses: readonly (number | undefined)[], now = 0, count = 2) {
  let last: ReturnType<Outliers['answered']>
  for (const status of statuses) last = it.answered(address, status, count, now)
  return last
}

test('so many answers of 5xx on end leave an endpoint out, and a good one in between does not', () => {
  const it = outliers()
  assert.equal(after(it, 'a', [500, 503, 200, 500, 404, 500, 500]), undefined)
  assert.deepEqual(after(it, 'a', [500]), { cause: 'consecutive5xx', forMs: 30_000 })
  assert.deepEqual([...it.out(29_999)], ['a'])
  assert.deepEqual([...it.out(30_000)], [])
})

test('no answer counts as 5xx, or by itself where local origins are split off', () => {
  assert.equal(after(outliers(), 'a', [undefined, 500, undefined])?.cause, 'consecutive5xx')
  const split = outliers({ splitsLocalOrigin: true })
  assert.equal(after(split, 'a', [undefined, 500, 500, undefined]), undefined)
  assert.equal(after(split, 'a', [undefined])?.cause, 'consecutiveLocalOriginFailures')
})

test('gateway errors have a count of their own, which other 5xx break', () => {
  const it = outliers({ consecutive5xx: 0, consecutiveGatewayErrors: 2 })
  assert.equal(after(it, 'a', [500, 500, 500, 502, 500, 503]), undefined)
  assert.equal(after(it, 'a', [504])?.cause, 'consecutiveGatewayErrors')
})

test('each further time lasts longer, up to the longest, and good service makes it shorter again', () => {
  const it = outliers()
  assert.equal(after(it, 'a', [500, 500, 500], 0)?.forMs, 30_000)
  assert.equal(after(it, 'a', [500, 500, 500], 30_000)?.forMs, 60_000)
  assert.equal(after(it, 'a', [500, 500, 500], 90_000)?.forMs, 70_000)
  assert.equal(after(it, 'a', [200, 500, 500, 500], 180_000)?.forMs, 60_000)
  assert.equal(after(it, 'a', [200, 500, 500, 500], 1_000_000)?.forMs, 30_000)
})

test('what comes late from an endpoint that is out changes nothing', () => {
  const it = outliers()
  assert.equal(after(it, 'a', [500, 500, 500, 500, 500, 500, 500, 500], 0), undefined)
  assert.deepEqual([...it.out(29_000)], ['a'])
  assert.equal(after(it, 'a', [200], 1000), undefined)
  assert.deepEqual([...it.out(29_000)], ['a'])
})

test('never more than the allowed part of the endpoints is out at once', () => {
  const it = outliers()
  assert.equal(after(it, 'a', [500, 500, 500])?.forMs, 30_000)
  assert.deepEqual(after(it, 'b', [500, 500, 500]), { cause: 'consecutive5xx', forMs: undefined })
  assert.deepEqual([...it.out(0)], ['a'])
  assert.equal(after(it, 'b', [500, 500, 500], 0, 4)?.forMs, 30_000)
  assert.deepEqual(after(outliers(), 'only', [500, 500, 500], 0, 1)?.forMs, undefined)
})
