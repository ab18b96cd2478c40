import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metricNames } from '#model/metrics'
import { Calls } from './calls.ts'

const source = { service: 'cart', namespace: 'shop', identity: '', workload: 'cart-1', version: '' }
const labels = { source_identity: 'spiffe://a/ns/shop/sa/web', port: '80', protocol: 'http', method: 'GET', path: '/', outcome: 'allowed' }
const push = (value: number, more: object = {}) => [
  { name: metricNames.calls, type: 'counter' as const, metrics: [{ labels: { ...labels, ...more }, value }] },
]

test('calls of all instances of a service are told together, restarts and all, and those of long ago are left out where asked for', () => {
  const calls = new Calls(1_000)
  calls.take('cart-1.shop', source, push(3), 2_000)
  calls.take('cart-1.shop', source, push(5), 3_000)
  calls.take('cart-2.shop', source, push(2), 4_000)
  calls.take('cart-1.shop', source, push(1), 9_000)
  calls.take('cart-1.shop', source, push(4, { path: '/old' }), 2_500)
  const [one, ...others] = calls.read(5_000, 10_000).calls
  assert.deepEqual(
    [one?.service, one?.port, one?.count, one?.firstAt, one?.lastAt, others.length],
    ['cart.shop', 80, 8, '1970-01-01T00:00:02.000Z', '1970-01-01T00:00:09.000Z', 0],
  )
  assert.equal(calls.read(0, 10_000).calls.length, 2)
})

test('decisions are told by rule; what a proxy had no room for is told as dropped', () => {
  const calls = new Calls(0)
  const decided = { policy: 'shop/a', rule: '0', action: 'deny' }
  calls.take('cart-1.shop', source, [{ name: metricNames.access, type: 'counter', metrics: [{ labels: decided, value: 2 }] }], 10)
  calls.take('cart-1.shop', source, push(7, { source_identity: 'others' }), 20)
  const { decisions, dropped } = calls.read(0, 30)
  assert.deepEqual(decisions, [{ ...decided, count: 2, lastAt: '1970-01-01T00:00:00.010Z' }])
  assert.equal(dropped, 7)
})
