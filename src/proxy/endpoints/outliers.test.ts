import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OutlierDetection } from '#model/endpoint-health'
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
  assert.deepEqual(after(it, 'a', [500]), { address: 'a', cause: 'consecutive5xx', outcome: 'ejected', forMs: 30_000 })
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
  assert.deepEqual(after(it, 'b', [500, 500, 500]), { address: 'b', cause: 'consecutive5xx', outcome: 'forbidden', forMs: undefined })
  assert.deepEqual([...it.out(0)], ['a'])
  assert.equal(after(it, 'b', [500, 500, 500], 0, 4)?.forMs, 30_000)
  assert.equal(after(outliers(), 'only', [500, 500, 500], 0, 1)?.forMs, undefined)
})

/** So many answers of an endpoint, of which the first so many failed. */
function burst(it: Outliers, address: string, total: number, failed: number, now: number, count = 6): void {
  for (let at = 0; at < total; at++) it.answered(address, at < failed ? 500 : 200, count, now)
}
const comparing = { consecutive5xx: 0, successRate: { minimumHosts: 5, requestVolume: 100, stdevThousandths: 1900 } }
const names = ['a', 'b', 'c', 'd', 'e'] as const

test('at the end of an interval the one that answers well much more rarely than the others is left out', () => {
  const it = outliers(comparing)
  assert.equal(it.dueAt, undefined)
  for (const name of names) burst(it, name, 100, name === 'c' ? 30 : 1, 500)
  assert.equal(it.dueAt, 10_500)
  assert.deepEqual(it.compare(10_500), [{ address: 'c', cause: 'successRate', outcome: 'ejected', forMs: 30_000 }])
  assert.deepEqual(it.leftOut(10_500), [{ address: 'c', cause: 'successRate', until: 40_500 }])
  assert.equal(it.dueAt, undefined, 'the next interval begins with the next answer')
  assert.deepEqual(it.compare(20_500), [])
})

test('nothing is compared with too few endpoints, too few requests, or where all are alike', () => {
  const few = outliers(comparing)
  for (const name of names.slice(1)) burst(few, name, 100, name === 'c' ? 60 : 0, 0)
  burst(few, 'a', 99, 90, 0)
  assert.deepEqual(few.compare(10_000), [])
  const alike = outliers(comparing)
  for (const name of names) burst(alike, name, 100, 40, 0)
  assert.deepEqual(alike.compare(10_000), [])
  const off = outliers()
  burst(off, 'a', 100, 2, 0)
  assert.equal(off.dueAt, undefined)
})

test('an endpoint of whose answers too many failed is left out, the worst first and not above the allowed part', () => {
  const it = outliers({ consecutive5xx: 0, failurePercentage: { percent: 30, minimumHosts: 3, requestVolume: 50 } })
  for (const [name, failed] of [
    ['a', 15],
    ['b', 40],
    ['c', 14],
    ['d', 20],
  ] as const)
    burst(it, name, 50, failed, 0, 4)
  assert.deepEqual(
    it.compare(10_000).map(({ address, outcome }) => [address, outcome]),
    [
      ['b', 'ejected'],
      ['d', 'ejected'],
      ['a', 'forbidden'],
    ],
  )
  // Those that are out are neither judged nor compared with.
  for (const name of ['a', 'b', 'c', 'd']) burst(it, name, 50, 40, 12_000, 40)
  assert.deepEqual(it.compare(22_000), [])
})

test('where local origins are split off, what gave no answer is compared apart from bad answers', () => {
  const it = outliers({
    consecutive5xx: 0,
    consecutiveLocalOriginFailures: 0,
    splitsLocalOrigin: true,
    maxEjectionPercent: 100,
    failurePercentage: { percent: 50, minimumHosts: 1, requestVolume: 10 },
  })
  for (let at = 0; at < 10; at++) {
    it.answered('silent', at < 5 ? undefined : 200, 4, 0)
    it.answered('ill', at < 5 ? 500 : 200, 4, 0)
    it.answered('both', at < 4 ? undefined : at < 8 ? 500 : 200, 4, 0)
  }
  assert.deepEqual(
    it.compare(10_000).map(({ address, cause }) => [address, cause]),
    // Of the six answers of `both` four were bad, but six are too few; and four of ten without an answer are not half.
    [
      ['ill', 'failurePercentage'],
      ['silent', 'localOriginFailurePercentage'],
    ],
  )
})

test('what is enforced only sometimes is spared by chance, and told as that', () => {
  const draws = [0.29, 0.31]
  const it = new Outliers({ ...settings, enforcing: { consecutive5xx: 30 } }, () => draws.shift()!)
  assert.equal(after(it, 'a', [500, 500, 500])?.outcome, 'ejected')
  assert.deepEqual(after(it, 'b', [500, 500, 500], 0, 4), { address: 'b', cause: 'consecutive5xx', outcome: 'spared', forMs: undefined })
})

test('an endpoint that has too much to do is spared for as long as it asks, and no later ejection is longer for it', () => {
  const it = outliers({ tooManyRequests: { pauseMs: 1000, longestMs: 5000 } })
  assert.equal(it.answered('a', 429, 2, 0, 3000)?.forMs, 3000)
  assert.equal(it.answered('a', 429, 2, 100, 3000), undefined, 'what was under way says nothing new')
  assert.deepEqual(it.leftOut(2999), [{ address: 'a', cause: 'tooManyRequests', until: 3000 }])
  assert.equal(it.answered('a', 429, 2, 4000, 60_000)?.forMs, 5000)
  assert.equal(it.answered('b', 429, 2, 4000)?.outcome, 'forbidden', 'somebody must serve')
  assert.equal(it.answered('a', 429, 2, 10_000)?.forMs, 1000)
  assert.equal(after(it, 'a', [500, 500, 500], 20_000)?.forMs, 30_000)
  assert.equal(outliers().answered('a', 429, 2, 0, 3000), undefined)
})
