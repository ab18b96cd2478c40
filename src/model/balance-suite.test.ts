import assert from 'node:assert/strict'
import type { Endpoint } from './backend.ts'
import { test } from 'node:test'
import { counted, endpoint, isHash, keys, policies, some, unevenness, World } from '../../test/harness/balancers.ts'
import { makeBalancer, type Policy } from './balance.ts'

// What one interface promises of every way of choosing, at every size; what each does besides is in balance.test.ts.

const sizes = [1, 2, 100, 10_000]
const isScan = ({ balancing }: Policy): boolean => balancing?.choices === 'all'
/** Five for each endpoint at least; a scan of ten thousand takes so long that there are fewer, and then nothing is said of how even they are. */
const picksFor = (policy: Policy, size: number): number => (isScan(policy) && size > 1_000 ? 500 : Math.max(20_000, 5 * size))
const isOneInFour = (_: Endpoint, at: number): boolean => at % 4 === 0

function assertEven(policy: Policy & { readonly called: string }, got: readonly number[], parts: readonly number[], what: string): void {
  const { statistic, most } = unevenness(got, parts, policy)
  assert.ok(statistic <= most, `${policy.called}, ${what}: chi-square ${statistic.toFixed(1)} of at most ${most.toFixed(1)}`)
}

for (const policy of policies)
  for (const size of sizes) {
    const isEven = !isScan(policy) || size <= 1_000

    test(`${policy.called} among ${size}: equal parts by chi-square, and by weight where weights differ`, () => {
      const among = some(size)
      const got = counted(makeBalancer(among, policy, new World()), among, picksFor(policy, size))
      if (isEven && size > 1)
        assertEven(
          policy,
          got,
          among.map(() => 1),
          'equal',
        )
      // Of idle ones a scan takes the heaviest: it keeps what is under way in proportion, which balance.test.ts shows.
      if (isScan(policy) || size === 1) return
      const heavy = among.map((each, at) => (isOneInFour(each, at) ? { ...each, weight: 3 } : each))
      const parts = heavy.map(({ weight }) => weight)
      assertEven(policy, counted(makeBalancer(heavy, policy, new World()), heavy, picksFor(policy, size)), parts, 'by weight')
    })

    test(`${policy.called} among ${size}: when one goes and another comes, nobody else gets much more or less`, () => {
      if (size === 1) return
      const before = some(size)
      const after = [...before.slice(1), endpoint(65_000)]
      const got = counted(makeBalancer(after, policy, new World()), after, picksFor(policy, size))
      if (isEven)
        assertEven(
          policy,
          got,
          after.map(() => 1),
          'after a change',
        )
      if (!isHash(policy)) return
      // Those of the one that went must move, and those that the new one gets: 1/N each, unevenly; a table moves a few besides.
      const [old, fresh] = [makeBalancer(before, policy, new World()), makeBalancer(after, policy, new World())]
      const asked = keys(20_000)
      const moved = asked.filter(key => old.pick(key)!.host !== fresh.pick(key)!.host).length
      const bound = policy.balance === 'ring-hash' ? 2.8 / size + 0.002 : 2.2 / size + 0.02
      assert.ok(moved / asked.length <= bound, `${moved} of ${asked.length} keys moved, at most ${(bound * 100).toFixed(2)} %`)
    })

    test(`${policy.called} among ${size}: the unhealthy and degraded get nothing while others serve, all do in a panic`, () => {
      const health = ['healthy', 'unhealthy', 'degraded', 'draining'] as const
      const among = some(size).map((each, at) => ({ ...each, health: health[at % 4]! }))
      const picks = Math.min(5_000, picksFor(policy, size))
      const got = counted(makeBalancer(among, policy, new World()), among, picks)
      assert.equal(
        got.reduce((sum, count, at) => sum + (among[at]!.health === 'healthy' ? count : 0), 0),
        picks,
      )
      const worn = among.map(each => ({ ...each, health: each.health === 'healthy' ? ('degraded' as const) : ('unhealthy' as const) }))
      const last = counted(makeBalancer(worn, policy, new World()), worn, 200)
      assert.ok(last.every((count, at) => count === 0 || worn[at]!.health === 'degraded'))
      if (size === 1) return
      const panic = { ...policy, balancing: { ...policy.balancing, panicPercent: 90 } }
      const all = counted(makeBalancer(among, panic, new World()), among, picks)
      assert.ok(all.some((count, at) => count > 0 && among[at]!.health === 'unhealthy'))
      assert.ok(
        all.every((count, at) => count === 0 || among[at]!.health !== 'draining'),
        'what goes away is not used in a panic either',
      )
    })

    if (policy.balance === 'round-robin' || policy.balance === 'peak-ewma' || policy.balance === 'least-request')
      test(`${policy.called} among ${size}: with slow start those that have just come get a tenth at first and all at the end`, () => {
        if (size === 1 || size > 1_000) return
        const among = some(size)
        const world = new World()
        for (const each of among.filter(isOneInFour)) world.arrived.set(each, 1_000)
        const balancer = makeBalancer(among, { ...policy, balancing: { ...policy.balancing, slowStartMs: 10_000 } }, world)
        for (const [clock, part] of [
          [1_000, 0.1],
          [11_000, 1],
        ] as const) {
          world.clock = clock
          const got = counted(balancer, among, 20_000)
          const fresh = among.filter(isOneInFour).length
          const share = got.reduce((sum, count, at) => sum + (isOneInFour(among[at]!, at) ? count : 0), 0) / 20_000
          const expected = (fresh * part) / (fresh * part + size - fresh)
          // A scan takes the least burdened for its part: idle, that is never one of those that warm up.
          const least = isScan(policy) && part < 1 ? 0 : expected * 0.8 - 0.01
          assert.ok(share >= least && share <= expected * 1.2 + 0.01, `at ${clock}: ${share} of ${expected}`)
        }
      })

    test(`${policy.called} among ${size}: what is to be avoided is picked only where there is nothing else`, () => {
      const among = some(size)
      const balancer = makeBalancer(among, policy, new World())
      const few = keys(size > 1_000 ? 20 : 100)
      for (const key of few) {
        const first = balancer.pick(key)!
        const next = balancer.pick(key, new Set([first]))!
        assert.equal(next === first, size === 1)
      }
      const [only, ...rest] = among
      if (size <= 100) assert.equal(balancer.pick(few[0], new Set(rest)), only)
    })
  }
