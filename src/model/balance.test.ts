import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../fuzz/random.ts'
import { leastRequest, roundRobin, usable } from './balance.ts'
import type { Endpoint, Health } from './view.ts'

const endpoint = (at: number, weight = 1, health: Health = 'healthy'): Endpoint => ({
  host: '10.0.0.1',
  port: at,
  weight,
  health,
  mtls: true,
  workload: `w-${at}.default`,
})
const weighing = (...weights: number[]): Endpoint[] => weights.map((weight, at) => endpoint(at, weight))

function counted(endpoints: readonly Endpoint[], picks: number, pick: (turn: number) => Endpoint | undefined): number[] {
  const got = endpoints.map(() => 0)
  for (let turn = 0; turn < picks; turn++) got[endpoints.indexOf(pick(turn)!)]!++
  return got
}

test('the healthy serve, the degraded where nobody is healthy, the others and those of weight 0 never', () => {
  const of = (...list: readonly (readonly [Health, number])[]) =>
    usable(list.map(([health, weight], at) => endpoint(at, weight, health))).map(each => each.port)
  assert.deepEqual(of(['healthy', 1], ['degraded', 1], ['unhealthy', 1], ['draining', 1], ['healthy', 2]), [0, 4])
  assert.deepEqual(of(['unhealthy', 1], ['degraded', 1], ['draining', 1], ['healthy', 0]), [1])
  assert.deepEqual(of(['unhealthy', 1], ['draining', 1]), [])
})

test('round robin gives endpoints of one weight the same number of turns, one after the other', () => {
  const endpoints = weighing(3, 3, 3)
  assert.deepEqual(
    counted(endpoints, 300, turn => roundRobin(endpoints, turn)),
    [100, 100, 100],
  )
  for (let turn = 0; turn < 10; turn++) assert.notEqual(roundRobin(endpoints, turn), roundRobin(endpoints, turn + 1))
})

test('round robin honours weights to a few turns over any stretch of turns, without bursts', () => {
  for (const weights of [
    [1, 2, 3],
    [10, 1],
    [1, 1, 98],
  ]) {
    const endpoints = weighing(...weights)
    const sum = weights.reduce((total, weight) => total + weight)
    for (const start of [0, 1_000, 1_000_000]) {
      const got = counted(endpoints, 1_000, turn => roundRobin(endpoints, start + turn))
      for (const [at, weight] of weights.entries())
        assert.ok(Math.abs(got[at]! - (1_000 * weight) / sum) <= 4, `${weights.join(':')} from ${start} gave ${got.join(':')}`)
    }
  }
  const [light, heavy] = weighing(1, 3)
  let run = 0
  for (let turn = 0; turn < 1_000; turn++) {
    run = roundRobin([light!, heavy!], turn) === heavy ? run + 1 : 0
    assert.ok(run <= 4, `${run} turns of the heavier one in a row`)
  }
})

test('least request spreads idle endpoints evenly', () => {
  const endpoints = weighing(1, 1, 1, 1)
  const random = new Random(3)
  const picks = 20_000
  const got = counted(endpoints, picks, () =>
    leastRequest(
      endpoints,
      () => 0,
      () => random.next(),
    ),
  )
  for (const count of got) assert.ok(Math.abs(count - picks / 4) <= 4 * Math.sqrt((picks * 3) / 16), got.join(':'))
})

test('least request never takes the busier of the two that it looks at, so that the busiest of all gets nothing', () => {
  const endpoints = weighing(1, 1, 1, 1)
  const random = new Random(5)
  const load = (each: Endpoint) => [9, 1, 2, 3][each.port]!
  const got = counted(endpoints, 6_000, () => leastRequest(endpoints, load, () => random.next()))
  assert.equal(got[0], 0)
  // Of the six pairs the least busy is in three, the next in two, the next in one.
  for (const [at, share] of [
    [1, 1 / 2],
    [2, 1 / 3],
    [3, 1 / 6],
  ] as const)
    assert.ok(Math.abs(got[at]! - 6_000 * share) <= 4 * Math.sqrt(6_000 * share * (1 - share)), got.join(':'))
})

test('least request keeps the number in flight in proportion to the weights, and level where they are equal', () => {
  for (const weights of [
    [1, 1, 1, 1],
    [1, 3],
  ]) {
    const endpoints = weighing(...weights)
    const random = new Random(11)
    const inFlight = endpoints.map(() => 0)
    const running: number[] = []
    const [all, sum] = [400, weights.reduce((total, weight) => total + weight)]
    for (let turn = 0; turn < 20_000; turn++) {
      const at = leastRequest(
        endpoints,
        each => inFlight[each.port]!,
        () => random.next(),
      )!.port
      inFlight[at]!++
      running.push(at)
      if (running.length > all) inFlight[running.splice(random.below(running.length), 1)[0]!]!--
    }
    for (const [at, weight] of weights.entries())
      assert.ok(Math.abs(inFlight[at]! - (all * weight) / sum) <= all * 0.05, `${weights.join(':')} carry ${inFlight.join(':')}`)
  }
})

test('of one endpoint there is no choice, of none there is nothing', () => {
  const [only] = weighing(1)
  assert.equal(
    leastRequest(
      [only!],
      () => 5,
      () => 0.9,
    ),
    only,
  )
  assert.equal(roundRobin([only!], 17), only)
  assert.equal(
    leastRequest(
      [],
      () => 0,
      () => 0,
    ),
    undefined,
  )
  assert.equal(roundRobin([], 0), undefined)
})
