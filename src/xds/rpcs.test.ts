import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MetricFamily } from '#model/metrics'
import type { ProxyNode } from '#model/workload'
import { nodeOf, proxyNodeOf } from './node.ts'
import { callDelta, createCertificate, type HealthOrders, type HealthReport, serveDelta, streamHealthCheck, streamMetrics } from './rpcs.ts'

const proxy: ProxyNode = {
  id: 'orders-1.default',
  workload: 'orders-1',
  namespace: 'default',
  service: 'orders',
  labels: { version: 'v1' },
  ports: [
    { name: 'http', port: 8080, protocol: 'http', bind: { host: '127.0.0.1', port: 20001 } },
    { name: 'db', port: 5432, protocol: 'tcp' },
  ],
  probe: { type: 'http', port: 8080, path: '/ready' },
  locality: { region: 'eu', zone: 'a', host: 'rack-7' },
  weight: 3,
  admin: 'http://127.0.0.1:15000',
  version: '0.1.0',
}

test('a proxy reads as the same proxy from its node', () => {
  const report = streamHealthCheck.request.decode(streamHealthCheck.request.encode({ type: 'hello', node: nodeOf(proxy) }))
  assert.deepEqual(report.type === 'hello' && proxyNodeOf(report.node), proxy)
  for (const probe of [
    { type: 'none' },
    { type: 'grpc', port: 9000, service: 'shop.Cart' },
    { type: 'command', often: { intervalMs: 5000, timeoutMs: 500, failures: 3 } },
  ] as const)
    assert.deepEqual(proxyNodeOf(nodeOf({ ...proxy, probe })).probe, probe)
})

test('a node that is not described well is refused with all reasons at once', () => {
  const node = nodeOf({ ...proxy, namespace: 'No Good', ports: [{ name: 'http', port: 99_999, protocol: 'smtp' as 'http' }] })
  assert.throws(
    () => proxyNodeOf(node),
    /namespace: "No Good" must be of lower case[\s\S]*ports\[0\]\.protocol: "smtp" is none of[\s\S]*ports\[0\]\.port: must be a port/,
  )
  assert.throws(() => proxyNodeOf(nodeOf({ ...proxy, weight: 1.5 })), /weight: must be a whole number from 0 to 1000/)
  assert.throws(
    () => proxyNodeOf(nodeOf({ ...proxy, probe: { type: 'tcp', often: { intervalMs: 1, timeoutMs: 100, failures: 1 } } })),
    /probe\.often\.intervalMs: must be a whole number from 50/,
  )
  assert.throws(() => proxyNodeOf({ ...nodeOf(proxy), metadata: {} }), /metadata\.WEFT: is missing/)
})

test('requests, orders to probe and their results read as they were written', () => {
  const request = {
    typeUrl: 't',
    node: undefined,
    subscribe: ['a', '*'],
    unsubscribe: ['b'],
    initialVersions: { a: '1' },
    nonce: '7',
    error: { code: 3, message: 'a: no' },
  }
  assert.deepEqual(serveDelta.request.decode(callDelta.request.encode(request)), request)
  const orders: HealthOrders = {
    reportMs: 1500,
    probes: [
      { name: 'p', host: '127.0.0.1', port: 80, check: { type: 'tcp' }, failures: 1, timeoutMs: 100, intervalMs: 200 },
      { name: 'q', host: '::1', port: 81, check: { type: 'http', path: '/x' }, failures: 3, timeoutMs: 100, intervalMs: 200 },
      {
        name: 'r',
        host: '127.0.0.1',
        port: 82,
        check: { type: 'grpc', service: 'shop.Cart' },
        failures: 1,
        timeoutMs: 100,
        intervalMs: 200,
      },
      { name: 's', host: '127.0.0.1', port: 1, check: { type: 'command' }, failures: 2, timeoutMs: 100, intervalMs: 200 },
    ],
  }
  assert.deepEqual(streamHealthCheck.reply.decode(streamHealthCheck.reply.encode(orders)), orders)
  const report: HealthReport = {
    type: 'results',
    results: [
      { name: 'p', host: '127.0.0.1', port: 80, status: 'healthy' },
      { name: 'q', host: '::1', port: 81, status: 'timeout' },
    ],
  }
  assert.deepEqual(streamHealthCheck.request.decode(streamHealthCheck.request.encode(report)), report)
  const asked = { csr: 'pem', validitySeconds: 3600 }
  assert.deepEqual(createCertificate.request.decode(createCertificate.request.encode(asked)), asked)
})

test('metrics read as they were counted', () => {
  const families: MetricFamily[] = [
    {
      name: 'a_total',
      type: 'counter',
      metrics: [
        { labels: { code: '200' }, value: 3 },
        { labels: { code: '503' }, value: 0 },
      ],
    },
    { name: 'g', type: 'gauge', metrics: [{ labels: {}, value: -1.5 }] },
    {
      name: 'h_seconds',
      type: 'histogram',
      metrics: [
        {
          labels: { x: '' },
          histogram: {
            count: 5,
            sum: 1.25,
            buckets: [
              { upperBound: 0.1, cumulativeCount: 2 },
              { upperBound: 1, cumulativeCount: 5 },
            ],
          },
        },
      ],
    },
  ]
  assert.deepEqual(streamMetrics.request.decode(streamMetrics.request.encode({ families })).families, families)
})
