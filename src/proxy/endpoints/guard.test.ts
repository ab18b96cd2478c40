import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Backend, Endpoint } from '#model/backend'
import { Guards } from './guard.ts'
import { Registry } from '../registry.ts'

const backend: Backend = {
  name: 'default/web:80',
  service: 'web.default',
  type: 'endpoints',
  port: 80,
  protocol: 'http1',
  balance: 'round-robin',
  connectTimeoutMs: 1000,
  identities: [],
}
const endpoint: Endpoint = { host: '10.0.0.1', port: 80, weight: 1, health: 'healthy', mtls: true, workload: 'web-1.default' }
const outlierDetection = {
  consecutive5xx: 2,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 0,
  splitsLocalOrigin: false,
  intervalMs: 10_000,
  baseEjectionMs: 50,
  maxEjectionMs: 1000,
  maxEjectionPercent: 50,
}

test('requests, those that wait and further tries are bounded each by its own limit, and room is given back', () => {
  const guard = new Guards(new Registry(), () => {}).of({ ...backend, limits: { requests: 2, pendingRequests: 1, retries: 1 } })
  assert.deepEqual([guard.enter(), guard.enter()], [undefined, undefined])
  assert.deepEqual([guard.enter()?.code, guard.enter()?.detail], ['backend-limit', 'limits.requests of 2'])
  guard.leave()
  assert.equal(guard.enter(), undefined)
  assert.equal(guard.wait(), undefined)
  assert.equal(guard.wait()?.detail, 'limits.pendingRequests of 1')
  guard.waited()
  assert.equal(guard.wait(), undefined)
  assert.deepEqual([guard.retry(0), guard.retry(0)], ['made', 'limit'])
  guard.retried()
  assert.equal(guard.retry(0), 'made')
})

test('what was counted outlives a view that says the same of the backend, and a new limit holds at once', () => {
  const guards = new Guards(new Registry(), () => {})
  const limited = { ...backend, limits: { requests: 1 } }
  assert.equal(guards.of(limited).enter(), undefined)
  assert.equal(guards.of({ ...limited }).enter()?.code, 'backend-limit')
  assert.equal(guards.of({ ...limited, limits: { requests: 2 } }).enter(), undefined)
})

test('an endpoint is left out and serves again when its time is over, or as soon as nobody asks for that any more', async () => {
  const told: string[][] = []
  const guards = new Guards(new Registry(), (name, addresses) => told.push([name, ...addresses]))
  const judged = { ...backend, outlierDetection }
  const guard = guards.of(judged)
  told.length = 0
  for (const status of [500, 503]) guard.answered(endpoint, status, 2)
  assert.deepEqual(told, [['default/web:80', '10.0.0.1:80']])
  const [left] = guards.leftOut()
  assert.deepEqual([left?.backend, left?.endpoints], ['default/web:80', ['10.0.0.1:80']])
  assert.deepEqual([left?.absent[0]?.cause, left?.absent[0]?.workload], ['consecutive5xx', 'web-1.default'])
  assert.ok(Math.abs(left!.absent[0]!.until - Date.now()) < 2000, 'until when is told by the clock on the wall')
  await new Promise(resolve => setTimeout(resolve, 200))
  assert.deepEqual(told.slice(1), [['default/web:80']])
  for (const status of [500, 503]) guard.answered(endpoint, status, 2)
  guards.of({ ...judged, outlierDetection: { ...outlierDetection, consecutive5xx: 9 } })
  assert.deepEqual(told.slice(2), [['default/web:80', '10.0.0.1:80'], ['default/web:80']])
})

test('at the end of an interval, and without a timer before anything was counted, endpoints are compared', async () => {
  const told: string[][] = []
  const guards = new Guards(new Registry(), (name, addresses) => told.push([name, ...addresses]))
  const guard = guards.of({
    ...backend,
    outlierDetection: {
      ...outlierDetection,
      consecutive5xx: 0,
      intervalMs: 30,
      baseEjectionMs: 60_000,
      maxEjectionMs: 60_000,
      failurePercentage: { percent: 30, minimumHosts: 2, requestVolume: 10 },
    },
  })
  for (let at = 0; at < 20; at++) {
    guard.answered(endpoint, at % 3 === 0 ? 500 : 200, 2)
    guard.answered({ ...endpoint, host: '10.0.0.2' }, 200, 2)
  }
  assert.deepEqual(told, [])
  for (let waited = 0; told.length === 0 && waited < 5000; waited += 20) await new Promise(resolve => setTimeout(resolve, 20))
  assert.deepEqual(told, [['default/web:80', '10.0.0.1:80']])
})

test('what a new view does not ask for any more ends at once, without a request to the backend', () => {
  const registry = new Registry()
  const left: string[][] = []
  const guards = new Guards(registry, (_, addresses) => left.push([...addresses]))
  const guard = guards.of({ ...backend, limits: { requests: 1 }, outlierDetection: { ...outlierDetection, maxEjectionPercent: 100 } })
  for (let count = 0; count < 2; count++) guard.answered(endpoint, 503, 2, undefined)
  assert.equal(guards.leftOut().length, 1)
  assert.match(registry.text(), /weft_backend_limit\{.*limit="requests"\} 1/)
  guards.adopt({ [backend.name]: backend })
  assert.deepEqual([guards.leftOut(), guards.limits(), left.at(-1)], [[], [], []])
  assert.match(registry.text(), /weft_backend_limit\{.*limit="requests"\} \+Inf\n/)
  guards.of({ ...backend, limits: { requests: 1 } })
  guards.adopt({})
  assert.deepEqual(guards.limits(), [])
})

test('limits and ejections of two ports of one service are told apart, and an end of one says nothing of the other', () => {
  const registry = new Registry()
  const guards = new Guards(registry, () => {})
  const others = { ...backend, limits: { requests: 3 }, outlierDetection: { ...outlierDetection, maxEjectionPercent: 100 } }
  const [one, two] = [guards.of(others), guards.of({ ...others, name: 'default/web:81', port: 81 })]
  for (let count = 0; count < 3; count++) one.enter()
  for (const guard of [one, two]) for (let count = 0; count < 2; count++) guard.answered(endpoint, 503, 2, undefined)
  const now = (name: string) =>
    registry
      .collect('all')
      .find(each => each.name === name)
      ?.metrics.map(({ labels, value }) => [labels['backend'], value])
  assert.deepEqual(now('weft_backend_limit_used'), [
    ['default/web:80', 3],
    ['default/web:81', 0],
  ])
  assert.deepEqual(now('weft_backend_limit'), [
    ['default/web:80', 3],
    ['default/web:81', 3],
  ])
  guards.adopt({ [backend.name]: backend, 'default/web:81': { ...others, name: 'default/web:81', port: 81 } })
  assert.deepEqual(now('weft_endpoints_ejected'), [
    ['default/web:80', 0],
    ['default/web:81', 1],
  ])
})

test('a limit of 0 is told as 0, and is not the same as none', () => {
  const registry = new Registry()
  const guards = new Guards(registry, () => {})
  guards.of({ ...backend, limits: { requests: 0 } })
  assert.match(registry.text(), /weft_backend_limit\{.*limit="requests"\} 0\n/)
  assert.doesNotMatch(registry.text(), /limit="retries"/)
  assert.equal(registry.collect('all').find(({ name }) => name === 'weft_backend_limit')?.metrics[0]?.value, 0)
})
