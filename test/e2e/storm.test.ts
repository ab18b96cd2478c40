/** Storms, long enough to be sure: a failing backend at a thousand requests a second, brown-outs of five seconds, and what else callers are spared; `npm test` has shorter forms in outliers.test.ts. */

import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import { backendPolicy, recovery, routePolicy, Storm, sum } from '../harness/storm.ts'

const verdict = await canCapture()
const webs = ['web-1', 'web-2', 'web-3'] as const

describe('storms', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let storm: Storm
  before(async () => {
    storm = await Storm.start({ web: 3, spare: 1 })
  })
  after(async () => {
    await storm?.[Symbol.asyncDispose]()
  })
  beforeEach(() => storm.set('200', ...webs, 'spare-1'))

  const by = (tally: Readonly<Record<string, number>>, name: string): number =>
    Object.entries(tally).reduce((total, [told, count]) => total + (told.endsWith(name) ? count : 0), 0)

  test('the same one is found by its success rate, compared with the others', async () => {
    await storm.apply(
      backendPolicy({
        balance: 'RoundRobin',
        outlierDetection: {
          consecutive5xx: 0,
          interval: '1s',
          baseEjectionTime: '50s',
          successRate: { stdevFactor: 1000, minimumHosts: 3, requestVolume: 20 },
        },
      }),
    )
    storm.set('30%', 'web-3')
    await storm.call(150, 3)
    const { tally } = await storm.call(150, 1)
    assert.equal(by(tally, 'web-3'), 0, JSON.stringify(tally))
    assert.equal(sum(await storm.metric('weft_ejections_total'), 'cause="successRate"', 'outcome="ejected"'), 1)
  })

  test('one that answers 429 is spared for its Retry-After, and asked again afterwards', async () => {
    await storm.apply(
      backendPolicy({ balance: 'RoundRobin', outlierDetection: { consecutive5xx: 0, tooManyRequests: { longestPause: '3s' } } }),
    )
    storm.set('429 60', 'web-1')
    const { tally } = await storm.call(100, 2)
    // Once, and what was under way at that moment.
    assert.ok((tally['429 web-1'] ?? 0) >= 1 && tally['429 web-1']! <= 20, JSON.stringify(tally))
    storm.set('200', 'web-1')
    await storm.mesh.until('it back', async () => sum(await storm.metric('weft_endpoints_ejected')) === 0)
    assert.ok(by((await storm.call(60, 1)).tally, 'web-1') >= 15)
  })

  test('a second try beside the first spares callers the slow endpoint', async () => {
    await storm.apply(
      backendPolicy({ balance: 'RoundRobin', retryConstraint: { budget: { percent: 100 }, minRetryRate: { count: 1000 } } }),
      routePolicy({ hedge: { after: '50ms' } }),
    )
    storm.set('slow 2000', 'web-2')
    const { tally, seconds } = await storm.call(60, 2)
    assert.equal(by(tally, 'web-2'), 0, JSON.stringify(tally))
    assert.ok(seconds < 4)
    const won = sum(await storm.metric('weft_hedges_total'), 'outcome="won"')
    assert.ok(won >= 30 && won <= 80, String(won))
    await storm.apply(routePolicy({ timeouts: { request: '30s' } }))
  })

  test('a workload takes in what it answers without a queue, whoever calls, and the limit of now can be seen', async () => {
    await storm.apply(backendPolicy({ adaptiveConcurrency: { interval: '50ms', maxLimit: 50, roundTrip: { requests: 10 } } }))
    storm.set('slow 40', ...webs)
    const { tally } = await storm.call(200, 4)
    assert.deepEqual(
      [...new Set(Object.keys(tally).map(told => told.replace(/web-\d/, 'web')))].sort(),
      ['200 web', '503 concurrency-limit'].filter(told => told.startsWith('200') || '503 concurrency-limit' in tally),
      JSON.stringify(tally),
    )
    const { client } = storm.mesh
    await storm.mesh.until('the operator API to tell it', async () => (await client.resilience('web.default')).concurrency.length === 3)
    for (const { limit, roundTripMs, listener } of (await client.resilience('web.default')).concurrency) {
      assert.equal(listener, 'inbound/8080')
      assert.ok(limit >= 3 && limit <= 50 && (roundTripMs === 0 || roundTripMs >= 39), `${limit} ${roundTripMs}`)
    }
    await storm.apply(backendPolicy({ connectTimeout: '5s' }))
  })

  test('at 1,000 requests a second a failing backend gets no more than its callers ask and the budget', async t => {
    await storm.apply(backendPolicy({ limits: {} }), routePolicy({ retry: { attempts: 5, on: ['ServerError'], backoff: { base: '1ms' } } }))
    storm.set('503', ...webs)
    const from = storm.seen(...webs)
    const { asked, seconds, tally } = await storm.call(1000, 12)
    const load = storm.seen(...webs) - from
    t.diagnostic(
      `${asked} requests in ${seconds.toFixed(1)} s (${Math.round(asked / seconds)} a second) came to ${load} at the backend: ${(load / asked).toFixed(3)} times`,
    )
    assert.deepEqual(
      Object.keys(tally).filter(told => !told.startsWith('503 web-')),
      [],
      JSON.stringify(tally),
    )
    // A fifth of them, and two per cent for the edges of the windows in which they are counted.
    assert.ok(load > asked && load <= asked * 1.22, `${load} for ${asked}`)
    assert.ok(sum(await storm.metric('weft_retries_total'), 'outcome="budget"') > asked / 2)
  })

  for (const [how, mode] of [
    ['fail every request', '503'],
    ['do not answer at all', 'hang'],
  ] as const)
    test(`five seconds in which all endpoints ${how} are over when they are over, without anybody's help`, async t => {
      storm.set('200', ...webs)
      await storm.apply(
        backendPolicy({
          outlierDetection: { consecutive5xx: 5, interval: '1s', baseEjectionTime: '1s', maxEjectionTime: '2s', maxEjectionPercent: 100 },
          limits: { requests: 1000 },
        }),
        routePolicy({
          timeouts: { request: '2s', try: '500ms' },
          retry: { attempts: 2, on: ['ServerError', 'Reset'], backoff: { base: '10ms' } },
        }),
      )
      await storm.mesh.until('they are back', async () => sum(await storm.metric('weft_endpoints_ejected')) === 0)
      const from = storm.seen(...webs)
      const calling = storm.call(1000, 20)
      await new Promise(resolve => setTimeout(resolve, 4000))
      storm.set(mode, ...webs)
      await new Promise(resolve => setTimeout(resolve, 5000))
      storm.set('200', ...webs)
      const told = await calling
      // The caller's program started a moment later than it was told to: its own clock says when it began to suffer.
      const began = told.tenths.findIndex(({ asked, well }) => well < asked / 2)
      const recovered = recovery(told, began + 50)
      const load = (storm.seen(...webs) - from) / told.asked
      t.diagnostic(
        `suffered from ${began / 10} s on; ${((recovered?.tenths ?? Number.NaN) / 10).toFixed(1)} s after the five seconds all were served again; ${Math.round(told.asked / told.seconds)} requests a second, ${load.toFixed(2)} times as many at the backend`,
      )
      assert.ok(began > 0 && began < 90, `${began}`)
      // An ejection of two seconds, and what waits in timeouts.
      assert.ok(recovered !== undefined && recovered.tenths <= 60, JSON.stringify(told.tenths))
      assert.ok(load <= 1.2)
    })
})
