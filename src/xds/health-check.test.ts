import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import type { Backend } from '../model/backend.ts'
import type { HealthCheck, HealthQuestion } from '../model/endpoint-health.ts'
import { decodeBackend } from './decode/cluster.ts'
import { encodeBackend } from './encode/cluster.ts'
import { HealthCheckSchema } from './gen/envoy/config/core/v3/health_check_pb.ts'

const backend: Backend = {
  name: 'default/web:80',
  service: 'web.default',
  type: 'endpoints',
  port: 80,
  protocol: 'http1',
  balance: 'least-request',
  connectTimeoutMs: 5000,
  identities: ['spiffe://weft.local/ns/default/sa/web'],
}
const often = { intervalMs: 10_000, timeoutMs: 1_500, unhealthyAfter: 3, healthyAfter: 2, jitterPercent: 10 }
const get: HealthQuestion = { type: 'http', method: 'GET', path: '/healthz', headers: [], statuses: [{ first: 200, last: 299 }] }
const head: HealthQuestion = {
  type: 'http',
  method: 'HEAD',
  path: '/a?b=c',
  host: 'shop.example',
  headers: [{ name: 'x-check', value: 'yes' }],
  statuses: [
    { first: 204, last: 204 },
    { first: 300, last: 399 },
  ],
}

const checks: readonly (readonly [Backend['protocol'], HealthCheck])[] = [
  ['http1', { ...often, ask: get }],
  ['http2', { ...often, ask: head, jitterPercent: 0, idleMs: 10_000 }],
  ['downstream', { ...often, ask: get, idleMs: 60_000 }],
  ['http2', { ...often, ask: { type: 'grpc', service: 'shop.Cart' } }],
  ['tcp', { ...often, ask: { type: 'tcp', send: '50494e47', expect: ['4f4b', '00ff'] } }],
  ['tcp', { ...often, ask: { type: 'tcp', expect: [] } }],
]

for (const [protocol, healthCheck] of checks)
  test(`a health check by ${healthCheck.ask.type} of a backend of ${protocol} comes out of Envoy's messages as it went in`, () => {
    const said = { ...backend, protocol, healthCheck }
    assert.deepEqual(decodeBackend(encodeBackend(said)), said)
  })

test('what Envoy does when nothing is said is done: the endpoints of idle clusters are asked each minute, and 200 alone is good', () => {
  const cluster = encodeBackend(backend)
  cluster.healthChecks = [
    create(HealthCheckSchema, {
      interval: { seconds: 5n },
      timeout: { seconds: 1n },
      unhealthyThreshold: 2,
      healthyThreshold: 1,
      healthChecker: { case: 'httpHealthCheck', value: { path: '/' } },
    }),
  ]
  const { healthCheck } = decodeBackend(cluster)
  assert.equal(healthCheck?.idleMs, 60_000)
  assert.deepEqual(healthCheck.ask.type === 'http' && healthCheck.ask.statuses, [{ first: 200, last: 200 }])
})

test('what is asked for and not done is refused by name', () => {
  const refused = (change: (cluster: ReturnType<typeof encodeBackend>) => void): string => {
    const cluster = encodeBackend({ ...backend, healthCheck: { ...often, ask: get } })
    change(cluster)
    try {
      decodeBackend(cluster)
    } catch (thrown) {
      return (thrown as { reason: string }).reason
    }
    return 'taken'
  }
  assert.match(
    refused(cluster => cluster.healthChecks.push(cluster.healthChecks[0]!)),
    /^health_checks: only one/,
  )
  assert.match(
    refused(cluster => (cluster.healthChecks[0]!.eventLogPath = '/tmp/x')),
    /^health_checks\[0\]\.event_log_path/,
  )
  assert.match(
    refused(cluster => (cluster.healthChecks[0]!.healthChecker = { case: undefined })),
    /^health_checks\[0\]: one of http_health_check/,
  )
})
