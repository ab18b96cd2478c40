/** Endpoints that stand out, in a real mesh: who fails a part of its requests, asks to be spared or is slow is left alone, another Service helps out, and all of it can be seen. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import { root } from '../harness/mesh.ts'
import { backendPolicy, recovery, routePolicy, Storm, sum } from '../harness/storm.ts'

const verdict = await canCapture()
const webs = ['web-1', 'web-2', 'web-3'] as const

describe('endpoints that stand out', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
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

  test('of three servers the one that fails 30 % is left out at the end of the interval, and everybody can see why', async () => {
    await storm.apply(
      backendPolicy({
        balance: 'RoundRobin',
        outlierDetection: {
          consecutive5xx: 0,
          interval: '1s',
          baseEjectionTime: '60s',
          failurePercentage: { threshold: 20, minimumHosts: 3, requestVolume: 20 },
        },
      }),
    )
    storm.set('30%', 'web-2')
    const first = await storm.call(150, 3)
    // Some of the first second, and of the moment until the new choice is made.
    const failed = first.tally['503 web-2'] ?? 0
    assert.ok(failed >= 5 && failed <= 45, JSON.stringify(first.tally))
    const second = await storm.call(150, 2)
    assert.equal(by(second.tally, 'web-2'), 0, JSON.stringify(second.tally))
    assert.ok(Math.abs(by(second.tally, 'web-1') - 150) <= 5)

    assert.equal(sum(await storm.metric('weft_ejections_total'), 'cause="failurePercentage"', 'outcome="ejected"'), 1)
    const { client } = storm.mesh
    await storm.mesh.until('the operator API to tell it', async () => (await client.resilience('web.default')).leftOut.length === 1)
    const [out] = (await client.resilience('web.default')).leftOut
    assert.match(`${out?.workload} ${out?.proxy} ${out?.cause}`, /^web-2\S* caller\S* failurePercentage$/)
    const leftS = (Date.parse(out!.until) - Date.now()) / 1000
    assert.ok(leftS > 20 && leftS <= 61, `${leftS} s`)
    const described = await storm.mesh.weft('describe', 'service', 'web')
    assert.match(
      described.stdout,
      /web-2\S* \(\S+\) of default\/web:8080 is left out by caller\S* for \d+s more: failurePercentage/,
      described.stdout + described.stderr,
    )
    const shown = await storm.mesh.weft('proxy', 'endpoints', 'caller')
    assert.match(shown.stdout, /default\/web:8080 +\S+ +web-2\S* +left out .*failurePercentage, \d+s more/, shown.stdout + shown.stderr)
  })

  test('while all are left out, or the limit is reached, another Service answers', async () => {
    await storm.apply(
      backendPolicy({
        fallback: { name: 'spare', port: 8080 },
        outlierDetection: { consecutive5xx: 3, baseEjectionTime: '2s', maxEjectionPercent: 100 },
        limits: { requests: 200 },
      }),
    )
    storm.set('503', ...webs)
    const { tally } = await storm.call(100, 2)
    assert.ok((tally['200 spare-1'] ?? 0) >= 150, JSON.stringify(tally))
    assert.ok(sum(await storm.metric('weft_fallbacks_total'), 'fallback="spare.default"', 'reason="no-endpoint"') >= 150)
    storm.set('200', ...webs)
    await storm.mesh.until('they are back', async () => sum(await storm.metric('weft_endpoints_ejected')) === 0)
    assert.equal(by((await storm.call(60, 1)).tally, 'spare-1'), 0)
    await storm.apply(backendPolicy({ fallback: { name: 'spare', port: 8080 }, limits: { requests: 2 } }))
    storm.set('slow 300', ...webs)
    const limited = (await storm.call(50, 2)).tally
    assert.ok(
      by(limited, 'spare-1') >= 60 && by(limited, 'web-1') + by(limited, 'web-2') + by(limited, 'web-3') >= 5,
      JSON.stringify(limited),
    )
    const { limits } = await storm.mesh.client.resilience('web.default')
    assert.deepEqual(
      limits.map(({ limit, most }) => [limit, most]),
      [['requests', 2]],
    )
  })

  test('a failing backend gets no more than its callers ask and the budget, and a brown-out is over when it is over', async t => {
    await storm.apply(
      backendPolicy({ limits: {} }),
      routePolicy({ timeouts: { request: '2s', try: '300ms' }, retry: { attempts: 3, on: ['ServerError'], backoff: { base: '5ms' } } }),
    )
    storm.set('503', ...webs)
    const from = storm.seen(...webs)
    const failing = await storm.call(300, 3)
    const load = storm.seen(...webs) - from
    t.diagnostic(`${failing.asked} requests in ${failing.seconds.toFixed(1)} s came to ${load} at the backend`)
    assert.ok(load > failing.asked && load <= failing.asked * 1.2 + 20, `${load} for ${failing.asked}`)
    storm.set('200', ...webs)
    await storm.apply(
      backendPolicy({
        outlierDetection: { consecutive5xx: 5, interval: '1s', baseEjectionTime: '500ms', maxEjectionTime: '1s', maxEjectionPercent: 100 },
      }),
    )
    const calling = storm.call(200, 7)
    await new Promise(resolve => setTimeout(resolve, 1500))
    storm.set('hang', ...webs)
    await new Promise(resolve => setTimeout(resolve, 2000))
    storm.set('200', ...webs)
    const told = await calling
    // By the clock of the caller's program, which began a moment later.
    const began = told.tenths.findIndex(({ asked, well }) => well < asked / 2)
    const recovered = recovery(told, began + 20)
    assert.ok(began >= 0, 'nobody suffered')
    t.diagnostic(
      `after two seconds without any answer callers were served again within ${((recovered?.tenths ?? Number.NaN) / 10).toFixed(1)} s`,
    )
    assert.ok(recovered !== undefined && recovered.tenths <= 25, JSON.stringify(recovered))
  })

  test('the example of the guide is applied as it stands', async () => {
    const { code, stdout, stderr } = await storm.mesh.weft('apply', '-f', join(root, 'examples/resilience-more.yaml'))
    assert.equal(code, 0, stdout + stderr)
    assert.ok(readFileSync(join(root, 'docs/guide/resilience.md'), 'utf8').includes('examples/resilience-more.yaml'))
  })
})
