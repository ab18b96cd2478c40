import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Backend, Endpoint, EndpointSet, Health } from '#model/backend'
import { addressOf, Balancers } from './balancers.ts'
import type { Pools } from '../upstreams/pool.ts'

const backend: Backend = {
  name: 'b',
  service: 'b.default',
  type: 'endpoints',
  port: 80,
  protocol: 'http1',
  balance: 'round-robin',
  connectTimeoutMs: 1,
  identities: [],
}
const endpoint = (port: number, health: Health = 'healthy'): Endpoint => ({
  host: '127.0.0.1',
  port,
  weight: 1,
  health,
  mtls: false,
  workload: `w${port}`,
})
const set = (...endpoints: Endpoint[]): EndpointSet => ({ backend: 'b', endpoints })
/** Nothing is under way anywhere. */
const idle = { of: () => ({ inFlight: 0, latency: undefined }), guards: { follow: () => {} } } as unknown as Pools

test('a balancer is made once for a set and a policy, and round robin goes on where it was when the set changes', () => {
  const balancers = new Balancers(idle)
  const [first, second] = [set(endpoint(1), endpoint(2)), set(endpoint(1), endpoint(2), endpoint(3))]
  const balancer = balancers.of(backend, first)
  assert.equal(balancers.of(backend, first), balancer)
  assert.notEqual(balancers.of({ ...backend, balance: 'random' }, first), balancer)
  assert.equal(balancers.of(backend, first).pick(undefined)?.port, 1)
  assert.equal(balancers.of(backend, second).pick(undefined)?.port, 2)
  assert.equal(balancers.of(backend, second).pick(undefined)?.port, 3)
})

test('what is left out gets nothing until it is taken back, also when the set changes meanwhile', () => {
  const balancers = new Balancers(idle)
  const both = set(endpoint(1), endpoint(2))
  const picked = (of: EndpointSet) => new Set(Array.from({ length: 6 }, () => balancers.of(backend, of).pick(undefined)?.port))
  assert.deepEqual(picked(both), new Set([1, 2]))
  balancers.leaveOut('b', new Set([addressOf(endpoint(2))]))
  assert.deepEqual(picked(both), new Set([1]))
  assert.deepEqual(picked(set(endpoint(1), endpoint(2), endpoint(3))), new Set([1, 3]))
  assert.equal(balancers.servingAt(backend, both, '127.0.0.1:2'), undefined)
  assert.equal(balancers.of({ ...backend, name: 'other' }, set(endpoint(2))).pick(undefined)?.port, 2)
  const before = balancers.of(backend, both)
  balancers.leaveOut('b', new Set([addressOf(endpoint(2))]))
  assert.equal(balancers.of(backend, both), before, 'the same said again changes nothing')
  balancers.leaveOut('b', new Set())
  assert.deepEqual(picked(both), new Set([1, 2]))
})

test('a session may stay at any endpoint that may serve, near or far, healthy or degraded', () => {
  const balancers = new Balancers(idle)
  const all = set(endpoint(1), { ...endpoint(2), priority: 1 }, endpoint(3, 'degraded'), endpoint(4, 'unhealthy'), endpoint(5, 'draining'))
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].filter(port => balancers.servingAt(backend, all, `127.0.0.1:${port}`) !== undefined),
    [1, 2, 3],
  )
})

test('slow start holds back those that come later or become healthy, not those that were there from the first', () => {
  const balancers = new Balancers(idle)
  const slow: Backend = { ...backend, balancing: { slowStartMs: 3_600_000 } }
  const shares = (of: EndpointSet) => {
    const got = new Map<number, number>()
    for (let at = 0; at < 2_000; at++) {
      const { port } = balancers.of(slow, of).pick(undefined)!
      got.set(port, (got.get(port) ?? 0) + 1)
    }
    return got
  }
  const first = shares(set(endpoint(1), endpoint(2), endpoint(3, 'unhealthy')))
  assert.deepEqual([first.get(1), first.get(2)], [1_000, 1_000])
  const later = shares(set(endpoint(1), endpoint(2), endpoint(3), endpoint(4)))
  for (const port of [3, 4]) assert.ok(later.get(port)! < 250, `${later.get(port)} of 2,000 for one that has just come`)
  assert.ok(Math.abs(later.get(1)! - later.get(2)!) < 200)
  const anew = shares(set({ ...endpoint(1), workload: 'started anew' }, endpoint(2)))
  assert.ok(anew.get(1)! < 250, `${anew.get(1)} of 2,000 for another workload at the same address`)
})
