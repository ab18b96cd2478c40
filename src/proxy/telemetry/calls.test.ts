import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Listener } from '#model/listener'
import { Calls, isCall } from './calls.ts'
import type { Entry } from './entry.ts'
import { Registry } from '../registry.ts'

const web = 'spiffe://weft.local/ns/default/sa/web'
const entry = (name: string, direction: Listener['direction'], peer: string | undefined = web): Entry =>
  ({ listener: { name, direction }, peer }) as Entry
const told = (registry: Registry) =>
  registry
    .collect('all')
    .flatMap(({ metrics }) => metrics)
    .map(({ labels, value }) => `${Object.values(labels).join(' ')}: ${value}`)

test('calls are counted by caller, port, method and kind of path, denied ones apart', () => {
  const registry = new Registry()
  const calls = new Calls(registry)
  const inbound = entry('inbound/8080', 'inbound')
  for (const path of ['/orders/1', '/orders/2', '/orders/2', '//orders/./3', '/health'])
    calls.of(inbound, 'http', false)!.count('GET', path)
  calls.of(inbound, 'http', true)!.count('DELETE', '/orders/1')
  calls.of(inbound, 'http', false)!.count('GET', '/health')
  calls.of(entry('inbound/53/udp', 'inbound'), 'udp', false)!.count('', '')
  assert.deepEqual(told(registry), [
    `${web} 8080 http GET /orders/* allowed: 4`,
    `${web} 8080 http GET /health allowed: 2`,
    `${web} 8080 http DELETE /orders/* denied: 1`,
    `${web} 53 udp   allowed: 1`,
  ])
})

test('what leaves the workload, what is no valid request and paths that mean nothing certain are no calls', () => {
  const registry = new Registry()
  const calls = new Calls(registry)
  assert.equal(calls.of(entry('outbound/a', 'outbound'), 'http', false), undefined)
  assert.deepEqual(['', 'access-denied', 'identity-required', 'overload', 'bad-request'].map(isCall), [true, true, false, true, false])
  calls.of(entry('inbound/8080', 'inbound'), 'http', false)!.count('GET', '/a%00')
  assert.deepEqual(told(registry), [])
})

test('a caller that makes paths up fills no memory: beyond sixty kinds it has any path', () => {
  const registry = new Registry()
  const calls = new Calls(registry).of(entry('inbound/80', 'inbound'), 'http', false)!
  const letters = 'abcdefghij'
  for (let at = 0; at < 5_000; at++)
    calls.count(`M${letters[at % 10]}`, `/${[...String(at)].map(digit => letters[Number(digit)]).join('')}`)
  const samples = told(registry)
  assert.ok(samples.length <= 76, String(samples.length))
  const sum = samples.reduce((total, line) => total + Number(line.split(': ')[1]), 0)
  assert.equal(sum, 5_000)
  assert.ok(samples.some(line => line.includes(' /* ')))
})
