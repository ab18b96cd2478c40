import assert from 'node:assert/strict'
import type { Endpoint, Health } from './backend.ts'
import { test } from 'node:test'
import { Random } from '../../fuzz/random.ts'
import { counted, endpoint, inHealth, isHash, keys, policies, some, weighing, World } from '../../test/harness/balancers.ts'
import { combined, hashOf, Latency, makeBalancer, type Policy } from './balance.ts'

/** Within four standard deviations of a binomial draw, and for ring hash within the unevenness of 160 places each. */
function assertShares(got: readonly number[], parts: readonly number[], { called, balance }: Policy & { called: string }): void {
  const picks = got.reduce((sum, each) => sum + each, 0)
  const whole = parts.reduce((sum, each) => sum + each, 0)
  for (const [at, part] of parts.entries()) {
    const share = part / whole
    const uneven = balance === 'ring-hash' ? 0.3 * share * picks : balance === 'maglev' ? 0.03 * share * picks : 0
    const tolerance = 4 * Math.sqrt(picks * share * (1 - share)) + uneven + 2
    assert.ok(Math.abs(got[at]! - picks * share) <= tolerance, `${called}: ${got.join(':')} of ${parts.join(':')}`)
  }
}

for (const policy of policies) {
  test(`${policy.called}: idle endpoints of one weight get equal parts`, () => {
    for (const count of [1, 2, 3, 100]) {
      const among = some(count)
      assertShares(
        counted(makeBalancer(among, policy, new World()), among, 20_000),
        among.map(() => 1),
        policy,
      )
    }
  })

  // Peak EWMA compares waits, and nobody waits for the idle: there only the two that are looked at are drawn by weight.
  if (policy.balance !== 'peak-ewma')
    test(`${policy.called}: idle endpoints get what their weights say`, () => {
      for (const weights of [
        [1, 2, 3],
        [10, 1],
        [1, 1, 98],
      ]) {
        const among = weighing(...weights)
        const world = new World()
        const balancer = makeBalancer(among, policy, world)
        if (policy.balance === 'least-request' && policy.balancing !== undefined) continue
        assertShares(counted(balancer, among, 20_000), weights, policy)
      }
    })

  test(`${policy.called}: at 10,000 endpoints every pick is one of them, and none gets much more than its part`, () => {
    const among = some(10_000)
    const got = counted(makeBalancer(among, policy, new World()), among, 20_000)
    assert.ok(Math.max(...got) <= 40, `${Math.max(...got)} of 20,000 picks for one`)
  })

  test(`${policy.called}: of one endpoint there is no choice, of none there is nothing, and what may not serve is not picked`, () => {
    const [only] = some(1)
    assert.equal(makeBalancer([only!], policy, new World()).pick(3), only)
    assert.equal(makeBalancer([only!], policy, new World()).pick(undefined), only)
    for (const none of [[], inHealth('unhealthy', 'draining', 'unhealthy'), weighing(0)]) {
      const balancer = makeBalancer(none, policy, new World())
      assert.equal(balancer.pick(3), undefined)
      assert.deepEqual(balancer.endpoints, [])
    }
    const among = inHealth('unhealthy', 'healthy', 'draining', 'healthy', 'degraded')
    const got = counted(makeBalancer(among, policy, new World()), among, 2_000)
    assert.deepEqual([got[0], got[2], got[4]], [0, 0, 0])
    assert.ok(got[1]! > 500 && got[3]! > 500, got.join(':'))
    const worn = inHealth('unhealthy', 'degraded')
    assert.equal(makeBalancer(worn, policy, new World()).pick(3), worn[1], 'the degraded serve where nobody is healthy')
  })

  test(`${policy.called}: what is to be avoided is picked only where there is nothing else`, () => {
    const among = some(3)
    const balancer = makeBalancer(among, policy, new World())
    for (const key of keys(200)) {
      assert.notEqual(balancer.pick(key, new Set([among[0]!])), among[0])
      assert.equal(balancer.pick(key, new Set(among.slice(0, 2))), among[2])
      assert.ok(balancer.pick(key, new Set(among)) !== undefined)
    }
  })

  test(`${policy.called}: what is left out by this proxy is not picked, and one that is out counts for the panic`, () => {
    const among = some(3)
    const isOut = (each: Endpoint) => each === among[1]
    const got = counted(makeBalancer(among, policy, new World(), isOut), among, 1_000)
    assert.equal(got[1], 0)
    const panic = { ...policy, balancing: { ...policy.balancing, panicPercent: 70 } }
    assert.ok(counted(makeBalancer(among, panic, new World(), isOut), among, 3_000).every(count => count > 0))
  })

  test(`${policy.called}: below the panic threshold all are used whatever their health, above it only the healthy`, () => {
    const among = inHealth('healthy', 'unhealthy', 'unhealthy', 'unhealthy')
    const spread = (panicPercent: number) =>
      counted(makeBalancer(among, { ...policy, balancing: { ...policy.balancing, panicPercent } }, new World()), among, 4_000)
    assert.deepEqual(spread(25), [4_000, 0, 0, 0])
    assert.ok(
      spread(26).every(count => count > 400),
      spread(26).join(':'),
    )
    const none = inHealth('unhealthy', 'unhealthy')
    assert.ok(makeBalancer(none, { ...policy, balancing: { panicPercent: 50 } }, new World()).pick(1) !== undefined)
  })
}

for (const policy of policies.filter(isHash)) {
  test(`${policy.called}: a key goes to the same endpoint, in whatever order they are listed and whatever else happens`, () => {
    const among = some(10)
    const one = makeBalancer(among, policy, new World(1))
    const other = makeBalancer(among, policy, new World(2))
    const turned = makeBalancer(among.toReversed(), policy, new World(3))
    let moved = 0
    for (const key of keys(2_000)) {
      assert.equal(one.pick(key), other.pick(key))
      if (one.pick(key) !== turned.pick(key)) moved++
    }
    // The order decides only who fills a slot that two want at once.
    assert.ok(moved <= (policy.balance === 'maglev' ? 60 : 0), `${moved} of 2,000 keys`)
  })

  test(`${policy.called}: when one of N goes, no more than 1/N of the keys move and a small bound; when it comes back they return`, () => {
    for (const count of [2, 3, 10, 100]) {
      const among = some(count)
      const before = makeBalancer(among, policy, new World())
      for (const gone of [0, count >> 1, count - 1]) {
        const left = among.filter((_, at) => at !== gone)
        const after = makeBalancer(left, policy, new World())
        const back = makeBalancer([...left.slice(0, gone), among[gone]!, ...left.slice(gone)], policy, new World())
        let moved = 0
        for (const key of keys(20_000)) {
          if (before.pick(key) !== after.pick(key)) moved++
          assert.equal(back.pick(key), before.pick(key))
        }
        const bound = 1 / count + (policy.balance === 'ring-hash' ? 0.3 / count : 0.02 + 0.03 / count) + 0.005
        assert.ok(moved / 20_000 <= bound, `${moved} of 20,000 keys for one of ${count}`)
      }
    }
  })

  test(`${policy.called}: a request without a key goes anywhere`, () => {
    const among = some(4)
    assert.ok(counted(makeBalancer(among, policy, new World()), among, 4_000, false).every(count => count > 500))
  })
}

test('ring hash keeps to the bounds of its size', () => {
  const among = some(5_000)
  const balancer = makeBalancer(among, { balance: 'ring-hash', balancing: { ringSize: { max: 5_000 } } }, new World())
  assert.ok(balancer.pick(1) !== undefined)
  const few = some(2)
  const coarse = counted(makeBalancer(few, { balance: 'ring-hash', balancing: { ringSize: { min: 2, max: 2 } } }, new World()), few, 1_000)
  assert.equal(coarse[0]! + coarse[1]!, 1_000)
})

test('round robin takes one after the other, and honours weights over any stretch of turns without bursts', () => {
  const equal = some(3)
  const world = new World()
  const turns = makeBalancer(equal, { balance: 'round-robin' }, world)
  for (let turn = 0; turn < 9; turn++) assert.equal(turns.pick(undefined), equal[turn % 3])
  for (const weights of [
    [1, 2, 3],
    [10, 1],
    [1, 1, 98],
  ]) {
    const among = weighing(...weights)
    const sum = weights.reduce((total, weight) => total + weight)
    for (const start of [0, 1_000, 1_000_000]) {
      world.turn = start
      const got = counted(makeBalancer(among, { balance: 'round-robin' }, world), among, 1_000)
      for (const [at, weight] of weights.entries())
        assert.ok(Math.abs(got[at]! - (1_000 * weight) / sum) <= 4, `${weights.join(':')} from ${start} gave ${got.join(':')}`)
    }
  }
  const pair = weighing(1, 3)
  const balancer = makeBalancer(pair, { balance: 'round-robin' }, world)
  let run = 0
  for (let turn = 0; turn < 1_000; turn++) {
    run = balancer.pick(undefined) === pair[1] ? run + 1 : 0
    assert.ok(run <= 4, `${run} turns of the heavier one in a row`)
  }
})

test('least request never takes the busier of the two that it looks at, so that the busiest of all gets nothing', () => {
  const among = some(4)
  const world = new World(5)
  for (const [at, load] of [9, 1, 2, 3].entries()) world.inFlight.set(among[at]!, load)
  const got = counted(makeBalancer(among, { balance: 'least-request' }, world), among, 6_000)
  assert.equal(got[0], 0)
  // Of the six pairs the least busy is in three, the next in two, the next in one.
  for (const [at, share] of [
    [1, 1 / 2],
    [2, 1 / 3],
    [3, 1 / 6],
  ] as const)
    assert.ok(Math.abs(got[at]! - 6_000 * share) <= 4 * Math.sqrt(6_000 * share * (1 - share)), got.join(':'))
  const scan = makeBalancer(among, { balance: 'least-request', balancing: { choices: 'all' } }, world)
  assert.deepEqual(counted(scan, among, 100), [0, 100, 0, 0], 'of all, the least busy one')
})

test('least request keeps the number in flight in proportion to the weights, and level where they are equal', () => {
  for (const weights of [
    [1, 1, 1, 1],
    [1, 3],
  ])
    for (const choices of [2, 'all'] as const) {
      const among = weighing(...weights)
      const world = new World(11)
      const random = new Random(13)
      const balancer = makeBalancer(among, { balance: 'least-request', balancing: { choices } }, world)
      const running: Endpoint[] = []
      const [all, sum] = [400, weights.reduce((total, weight) => total + weight)]
      for (let turn = 0; turn < 20_000; turn++) {
        const found = balancer.pick(undefined)!
        world.inFlight.set(found, (world.inFlight.get(found) ?? 0) + 1)
        running.push(found)
        if (running.length <= all) continue
        const done = running.splice(random.below(running.length), 1)[0]!
        world.inFlight.set(done, world.inFlight.get(done)! - 1)
      }
      for (const [at, weight] of weights.entries())
        assert.ok(
          Math.abs(world.inFlight.get(among[at]!)! - (all * weight) / sum) <= all * 0.05,
          `${weights.join(':')} carry ${among.map(each => world.inFlight.get(each)).join(':')}`,
        )
    }
})

test('peak EWMA turns away from what answers slowly at once, and comes back little by little', () => {
  const among = some(2)
  const world = new World()
  const balancer = makeBalancer(among, { balance: 'peak-ewma' }, world)
  for (const each of among) {
    const latency = new Latency()
    latency.observe(10, 0)
    world.latency.set(each, latency)
  }
  world.latency.get(among[0]!)!.observe(500, 1)
  world.clock = 2
  assert.deepEqual(counted(balancer, among, 1_000), [0, 1_000])
  // Ten times as much under way at the fast one is still the shorter wait.
  world.inFlight.set(among[1]!, 10)
  assert.deepEqual(counted(balancer, among, 1_000), [0, 1_000])
  world.inFlight.set(among[1]!, 100)
  assert.deepEqual(counted(balancer, among, 1_000), [1_000, 0])
  const latency = world.latency.get(among[0]!)!
  assert.ok(latency.read(2) > 490)
  latency.observe(10, 10_002)
  assert.ok(latency.read(10_002) > 150 && latency.read(10_002) < 250, `${latency.read(10_002)} ms after a fast answer`)
})

test('peak EWMA asks an endpoint that has not answered yet once, and waits for that answer', () => {
  const among = some(2)
  const world = new World()
  const known = new Latency()
  known.observe(50, 0)
  world.latency.set(among[0]!, known)
  const balancer = makeBalancer(among, { balance: 'peak-ewma' }, world)
  assert.equal(balancer.pick(undefined), among[1])
  world.inFlight.set(among[1]!, 1)
  assert.deepEqual(counted(balancer, among, 100), [100, 0])
})

for (const policy of policies.filter(
  each => each.called === 'round robin' || each.called === 'least request' || each.called === 'peak EWMA',
))
  test(`${policy.called} with slow start: one that has just come gets a tenth at first, half in the middle, all at the end`, () => {
    const among = some(4)
    const world = new World()
    world.arrived.set(among[3]!, 1_000)
    const balancer = makeBalancer(among, { ...policy, balancing: { slowStartMs: 10_000 } }, world)
    for (const [clock, part] of [
      [1_000, 0.1],
      [6_000, 0.5],
      [11_000, 1],
      [60_000, 1],
    ] as const) {
      world.clock = clock
      const got = counted(balancer, among, 20_000)
      const share = part / (3 + part)
      assert.ok(
        Math.abs(got[3]! - 20_000 * share) <= 4 * Math.sqrt(20_000 * share * (1 - share)) + 20_000 * share * 0.1,
        `at ${clock}: ${got.join(':')}`,
      )
    }
  })

test('the near serve alone while five of seven are healthy; below that the next help with what the near cannot carry', () => {
  const near = (health: Health, at: number) => endpoint(at, { health })
  const far = some(4).map((each, at) => ({ ...each, host: `10.9.0.${at}`, priority: 1 }))
  const spread = (healthy: number) => {
    const own = Array.from({ length: 7 }, (_, at) => near(at < healthy ? 'healthy' : 'unhealthy', at))
    const got = counted(makeBalancer([...far, ...own], { balance: 'random' }, new World()), [...own, ...far], 20_000)
    return got.slice(7).reduce((sum, each) => sum + each, 0) / 20_000
  }
  assert.equal(spread(7), 0)
  assert.equal(spread(5), 0)
  for (const healthy of [4, 2, 1]) assert.ok(Math.abs(spread(healthy) - (1 - (1.4 * healthy) / 7)) < 0.02, `${healthy}: ${spread(healthy)}`)
  assert.equal(spread(0), 1)
})

test('the order of failover is kept: the third level serves only what the first two cannot carry', () => {
  const level = (priority: number, health: Health) =>
    Array.from({ length: 2 }, (_, at) => endpoint(priority * 10 + at, { priority, health }))
  const all = [...level(0, 'unhealthy'), ...level(1, 'healthy'), ...level(2, 'healthy')]
  const got = counted(makeBalancer(all, { balance: 'least-request' }, new World()), all, 1_000)
  assert.equal(got[2]! + got[3]!, 1_000)
  const last = [...level(0, 'unhealthy'), ...level(1, 'degraded'), ...level(2, 'healthy')]
  const later = counted(makeBalancer(last, { balance: 'least-request' }, new World()), last, 1_000)
  assert.equal(later[4]! + later[5]!, 1_000, 'a healthy one far away before a degraded one nearby')
})

test('a key stays at its level, and what is to be avoided at one is looked for at the others', () => {
  const near = [endpoint(0), endpoint(1, { health: 'unhealthy' })]
  const far = some(2).map((each, at) => ({ ...each, host: `10.9.0.${at}`, priority: 1 }))
  const balancer = makeBalancer([...near, ...far], { balance: 'maglev' }, new World())
  for (const key of keys(200)) {
    assert.equal(balancer.pick(key), balancer.pick(key))
    assert.notEqual(balancer.pick(key, new Set([near[0]!])), near[0])
  }
})

test('keys of several parts depend on each of them and on their order', () => {
  const [a, b] = [hashOf('a'), hashOf('b')]
  assert.equal(new Set([combined(undefined, a), combined(a, b), combined(b, a), combined(a, a)]).size, 4)
})
