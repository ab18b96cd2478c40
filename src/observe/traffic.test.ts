import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { Metric, MetricFamily, MetricSource } from '#model/metrics'
import { metricNames } from '#model/metrics'
import { Traffic } from './traffic.ts'

const t0 = 1_800_000_000_000
const front: MetricSource = {
  service: 'front',
  namespace: 'shop',
  identity: 'spiffe://weft.local/ns/shop/sa/front',
  workload: 'front-1',
  version: 'v1',
}
const cart: MetricSource = {
  service: 'cart',
  namespace: 'shop',
  identity: 'spiffe://weft.local/ns/shop/sa/cart',
  workload: 'cart-1',
  version: 'v2',
}
const toCart = {
  direction: 'outbound',
  destination_service: 'cart',
  destination_namespace: 'shop',
  destination_workload: 'cart-1.shop',
  protocol: 'http',
  mtls: 'true',
}

const counter = (name: string, ...metrics: Metric[]): MetricFamily => ({ name, type: 'counter', metrics })
const requests = (value: number, labels: Record<string, string> = {}): MetricFamily =>
  counter(metricNames.requests, { labels: { ...toCart, code: '200', ...labels }, value })
const started = (at: number): MetricFamily => ({ name: metricNames.startTime, type: 'gauge', metrics: [{ labels: {}, value: at / 1000 }] })
const near = (actual: number | undefined, expected: number, within = 0.001): void =>
  assert.ok(actual !== undefined && Math.abs(actual - expected) <= within, `${actual} is not near ${expected}`)

test('the rate of an edge is what was counted between pushes, per second', () => {
  const traffic = new Traffic({ since: t0 })
  for (let second = 0; second <= 60; second += 5) traffic.ingest('front-1.shop', front, [requests(1_000 + second * 40)], t0 + second * 1000)
  const [edge] = traffic.topology(30, t0 + 61_000).edges
  near(edge?.rate, 40)
  assert.equal(edge?.source.identity, front.identity)
  assert.deepEqual({ ...edge?.destination }, { service: 'cart', namespace: 'shop' })
  assert.equal(edge?.mtls, true)
  assert.equal(edge?.success, 1)
})

test('what a proxy had counted before the control plane started is not traffic of now', () => {
  const traffic = new Traffic({ since: t0 })
  traffic.ingest('front-1.shop', front, [started(t0 - 60_000), requests(1_000_000)], t0 + 1_000)
  assert.deepEqual(traffic.topology(60, t0 + 2_000).edges, [])
})

test('the first push of a proxy that started under this control plane counts whole', () => {
  const traffic = new Traffic({ since: t0 })
  traffic.ingest('front-1.shop', front, [started(t0 + 1_000), requests(80)], t0 + 5_000)
  near(traffic.topology(60, t0 + 5_500).edges[0]?.rate, 20)
})

test('a label set that appears later counts from zero', () => {
  const traffic = new Traffic({ since: t0 })
  traffic.ingest('front-1.shop', front, [], t0)
  traffic.ingest('front-1.shop', front, [requests(50)], t0 + 5_000)
  near(traffic.topology(60, t0 + 5_000).edges[0]?.rate, 10)
})

test('a counter that shrinks has begun again', () => {
  const traffic = new Traffic({ since: t0 })
  for (const [second, value] of [
    [0, 500],
    [5, 600],
    [10, 30],
  ] as const)
    traffic.ingest('front-1.shop', front, [requests(value)], t0 + second * 1000)
  near(traffic.topology(60, t0 + 10_000).edges[0]?.rate, 13)
})

test('a restarted proxy counts from zero even when it has already passed its old count', () => {
  const traffic = new Traffic({ since: t0 })
  traffic.ingest('front-1.shop', front, [started(t0 - 9_000), requests(10)], t0)
  traffic.ingest('front-1.shop', front, [started(t0 + 1_000), requests(100)], t0 + 10_000)
  near(traffic.topology(60, t0 + 10_000).edges[0]?.rate, 10)
})

test('what piled up while nobody listened is spread over that time', () => {
  const traffic = new Traffic({ since: t0 })
  traffic.ingest('front-1.shop', front, [started(t0), requests(0)], t0)
  traffic.ingest('front-1.shop', front, [started(t0), requests(600)], t0 + 60_000)
  const rates = traffic.series('front.shop', 50, 'outbound', t0 + 62_000).points.map(point => Math.round(point.rate))
  assert.deepEqual(rates, Array(10).fill(10))
})

test('answers of 5xx, gRPC faults and failures of the mesh lower success; refusals by a rule do not', () => {
  const traffic = new Traffic({ since: t0 })
  const push = (n: number): MetricFamily[] => [
    counter(
      metricNames.requests,
      { labels: { ...toCart, code: '200' }, value: 94 * n },
      { labels: { ...toCart, code: '500' }, value: 2 * n },
      { labels: { ...toCart, code: '200', grpc_status: '14' }, value: n },
      { labels: { ...toCart, code: '503', reason: 'connect-refused' }, value: n },
      { labels: { ...toCart, code: '403', reason: 'access-denied' }, value: n },
      { labels: { ...toCart, code: '404' }, value: n },
    ),
  ]
  traffic.ingest('front-1.shop', front, push(0), t0)
  traffic.ingest('front-1.shop', front, push(5), t0 + 5_000)
  near(traffic.topology(60, t0 + 5_000).edges[0]?.success, 0.96)
})

test('latency quantiles are interpolated inside the bucket', () => {
  const traffic = new Traffic({ since: t0 })
  const labels = { direction: 'outbound', destination_service: 'cart', destination_namespace: 'shop', code_class: '2xx' }
  const push = (n: number): MetricFamily[] => [
    requests(100 * n),
    {
      name: metricNames.duration,
      type: 'histogram',
      metrics: [
        {
          labels,
          histogram: {
            count: 100 * n,
            sum: n,
            buckets: [
              { upperBound: 0.005, cumulativeCount: 0 },
              { upperBound: 0.01, cumulativeCount: 90 * n },
              { upperBound: 0.1, cumulativeCount: 100 * n },
            ],
          },
        },
      ],
    },
  ]
  traffic.ingest('front-1.shop', front, push(0), t0)
  traffic.ingest('front-1.shop', front, push(3), t0 + 5_000)
  const [edge] = traffic.topology(60, t0 + 5_000).edges
  near(edge?.p50, 7.5 + (2.5 * 50) / 90, 0.1)
  near(edge?.p99, 75 + 25 * 0.9, 0.1)
})

test('the outbound view of an edge wins, and takes from the inbound one the identity that it lacks', () => {
  const traffic = new Traffic({ since: t0 })
  const inbound = {
    direction: 'inbound',
    source_service: 'front',
    source_namespace: 'shop',
    source_identity: front.identity,
    protocol: 'http',
    mtls: 'true',
  }
  for (const n of [0, 1]) {
    traffic.ingest('front-1.shop', front, [requests(100 * n)], t0 + n * 5_000)
    traffic.ingest(
      'cart-1.shop',
      cart,
      [counter(metricNames.requests, { labels: { ...inbound, code: '200' }, value: 90 * n })],
      t0 + n * 5_000,
    )
  }
  const { edges, services } = traffic.topology(60, t0 + 5_000)
  assert.equal(edges.length, 1)
  near(edges[0]?.rate, 20)
  assert.equal(edges[0]?.destination.identity, cart.identity)
  assert.deepEqual(
    edges[0]?.versions.map(row => [row.workload, row.version, row.rate]),
    [['cart-1.shop', 'v2', 20]],
  )
  assert.deepEqual(
    services.map(service => [service.name, service.workloads.map(workload => workload.name)]),
    [
      ['cart', ['cart-1']],
      ['front', ['front-1']],
    ],
  )
})

test('a call to a version of a service is an edge to the service, with its latency', () => {
  const traffic = new Traffic({ since: t0 })
  const labels = { ...toCart, destination_service: 'cart-v2' }
  for (const n of [0, 1]) {
    traffic.ingest('cart-1.shop', cart, [], t0 + n * 5_000)
    const timed = { direction: 'outbound', destination_service: 'cart-v2', destination_namespace: 'shop' }
    const histogram = { count: 10 * n, sum: n, buckets: [{ upperBound: 0.01, cumulativeCount: 10 * n }] }
    const families: MetricFamily[] = [
      requests(10 * n, labels),
      { name: metricNames.duration, type: 'histogram', metrics: [{ labels: timed, histogram }] },
    ]
    traffic.ingest('front-1.shop', front, families, t0 + n * 5_000)
  }
  const { edges } = traffic.topology(60, t0 + 5_000)
  assert.deepEqual(
    edges.map(edge => [edge.destination.service, edge.versions.map(row => row.version), edge.p50 !== undefined]),
    [['cart', ['v2'], true]],
  )
})

test('callers that push before the called does are joined to its service when it comes', () => {
  const traffic = new Traffic({ since: t0 })
  const labels = { ...toCart, destination_service: 'cart-v2' }
  const open: MetricFamily = { name: metricNames.active, type: 'gauge', metrics: [{ labels, value: 4 }] }
  traffic.ingest('front-1.shop', front, [started(t0), requests(0, labels), open], t0)
  traffic.ingest('front-1.shop', front, [requests(50, labels)], t0 + 5_000)
  traffic.ingest('cart-1.shop', cart, [], t0 + 6_000)
  traffic.ingest('front-1.shop', front, [requests(100, labels)], t0 + 10_000)
  const [edge, ...others] = traffic.topology(60, t0 + 10_000).edges
  assert.deepEqual([others.length, edge?.destination.service, edge?.rate, edge?.openConnections], [0, 'cart', 10, 4])
  assert.deepEqual(edge?.versions, [{ workload: 'cart-1.shop', version: 'v2', rate: 10 }])
})

test('a caller that only the called side knows is outside; a nameless caller with a proxy of its own is not counted twice', () => {
  const traffic = new Traffic({ since: t0 })
  const inbound = { direction: 'inbound', protocol: 'http', code: '200' }
  for (const n of [0, 1]) {
    traffic.ingest('front-1.shop', front, [requests(100 * n)], t0 + n * 5_000)
    const metrics = [
      { labels: { ...inbound, mtls: 'false' }, value: 25 * n },
      { labels: { ...inbound, source_identity: front.identity, mtls: 'true' }, value: 100 * n },
    ]
    traffic.ingest('cart-1.shop', cart, [counter(metricNames.requests, ...metrics)], t0 + n * 5_000)
  }
  const edges = traffic.topology(60, t0 + 5_000).edges.map(edge => [edge.source.service, edge.rate, edge.mtls])
  assert.deepEqual(edges, [
    ['front', 20, true],
    ['outside', 5, false],
  ])
})

test('tcp edges tell connections a second, bytes and what is open', () => {
  const traffic = new Traffic({ since: t0 })
  const labels = { ...toCart, destination_service: 'redis', destination_workload: 'redis-1.shop', protocol: 'tcp' }
  for (const n of [0, 1]) {
    const families: MetricFamily[] = [
      counter(metricNames.opened, { labels, value: 10 * n }),
      counter(
        metricNames.closed,
        { labels: { ...labels, reason: '' }, value: 6 * n },
        { labels: { ...labels, reason: 'connect-refused' }, value: 2 * n },
      ),
      counter(
        metricNames.bytes,
        { labels: { ...labels, flow: 'sent' }, value: 1_000 * n },
        { labels: { ...labels, flow: 'received' }, value: 4_000 * n },
      ),
      { name: metricNames.active, type: 'gauge', metrics: [{ labels, value: 2 * n }] },
    ]
    traffic.ingest('front-1.shop', front, families, t0 + n * 5_000)
  }
  const [edge] = traffic.topology(60, t0 + 5_000).edges
  assert.deepEqual([edge?.protocol, edge?.rate, edge?.success, edge?.bytesPerSecond, edge?.openConnections], ['tcp', 2, 0.75, 1_000, 2])
  assert.equal(edge && 'p50' in edge, false)
})

test('a proxy that pushes only what changed is idle in between, and its open connections stay open', () => {
  const traffic = new Traffic({ since: t0 })
  const active: MetricFamily = { name: metricNames.active, type: 'gauge', metrics: [{ labels: toCart, value: 3 }] }
  traffic.ingest('front-1.shop', front, [started(t0), requests(0), active], t0)
  traffic.ingest('front-1.shop', front, [requests(50)], t0 + 300_000)
  assert.equal(traffic.topology(60, t0 + 301_000).edges[0]?.openConnections, 3)
  const rates = traffic.series('cart.shop', 60, 'inbound', t0 + 307_000).points.map(point => point.rate)
  assert.deepEqual(rates, [...Array(10).fill(0), 10, 0])
})

test('a counter that was still for an hour grows by what came since, and not by all it ever counted', () => {
  const traffic = new Traffic({ since: t0 })
  traffic.ingest('front-1.shop', front, [started(t0 - 5_000), requests(1_000_000)], t0)
  traffic.ingest('cart-1.shop', cart, [], t0 + 3_500_000)
  traffic.ingest('front-1.shop', front, [requests(1_000_020)], t0 + 3_600_000)
  near(traffic.topology(60, t0 + 3_600_000).edges[0]?.rate, 20 / 5)
})

test('a proxy that leaves takes its open connections with it; its traffic sinks and is gone after ten minutes', () => {
  const traffic = new Traffic({ since: t0 })
  const active: MetricFamily = { name: metricNames.active, type: 'gauge', metrics: [{ labels: toCart, value: 3 }] }
  for (const n of [0, 1]) traffic.ingest('front-1.shop', front, [requests(600 * n), active], t0 + n * 5_000)
  traffic.leave('front-1.shop', t0 + 6_000)
  near(traffic.topology(60, t0 + 37_000).edges[0]?.rate, 600 / 35)
  assert.equal(traffic.topology(60, t0 + 37_000).edges[0]?.openConnections, 0)
  assert.deepEqual(traffic.topology(60, t0 + 90_000).edges, [])
  traffic.ingest('cart-1.shop', cart, [], t0 + 700_000)
  assert.deepEqual(
    traffic.topology(600, t0 + 700_000).services.map(service => service.name),
    ['cart'],
  )
})

test('a proxy that comes back goes on counting where it was', () => {
  const traffic = new Traffic({ since: t0 - 60_000 })
  traffic.ingest('front-1.shop', front, [started(t0 - 30_000), requests(1_000)], t0)
  traffic.leave('front-1.shop', t0 + 1_000)
  traffic.ingest('front-1.shop', front, [started(t0 - 30_000), requests(1_200)], t0 + 20_000)
  const total = traffic.series('cart.shop', 60, 'inbound', t0 + 27_000).points.reduce((sum, point) => sum + point.rate * 5, 0)
  near(total, 1_200, 1)
})

test('memory is bounded: what goes over is dropped and counted', () => {
  const traffic = new Traffic({ since: t0, mostCounters: 10, mostEdges: 2 })
  for (let n = 0; n < 50; n++) traffic.ingest('front-1.shop', front, [requests(n, { destination_service: `s${n}` })], t0 + n)
  assert.equal(traffic.dropped.counters, 40)
  assert.equal(traffic.dropped.edges, 8)
})

test('services of the inventory are shown when they are silent', () => {
  const known = [{ name: 'mail', namespace: 'shop', workloads: [{ name: 'mail-1', health: 'unhealthy' }] }]
  assert.deepEqual(new Traffic({ since: t0 }).topology(60, t0, known).services, known)
})

test('the series of a service has a point for every five seconds, oldest first, and none that is unfinished', () => {
  const traffic = new Traffic({ since: t0 })
  for (let second = 0; second <= 120; second += 5) traffic.ingest('front-1.shop', front, [requests(second * 8)], t0 + second * 1000)
  const { points, stepSeconds } = traffic.series('cart.shop', 60, 'inbound', t0 + 121_000)
  assert.equal(stepSeconds, 5)
  assert.equal(points.length, 12)
  assert.deepEqual(
    points.map(point => point.rate),
    Array(12).fill(8),
  )
  assert.equal(points.at(-1)?.at, t0 + 110_000)
  assert.deepEqual(
    traffic.series('cart.shop', 60, 'outbound', t0 + 121_000).points.map(point => point.rate),
    Array(12).fill(0),
  )
})

test('what a proxy found out of a port that declares nothing is kept with when it was last seen, until the proxy is gone', () => {
  const traffic = new Traffic({ since: t0 })
  const detections = (count: number, outcome = 'sniffed'): MetricFamily => ({
    name: metricNames.detections,
    type: 'counter',
    metrics: [{ labels: { direction: 'outbound', listener: 'outbound/shop/cart:80', protocol: 'http', outcome }, value: count }],
  })
  const found = { direction: 'outbound', listener: 'outbound/shop/cart:80', protocol: 'http', outcome: 'sniffed' }
  traffic.ingest('front-1.shop', front, [detections(7)], t0)
  assert.deepEqual(traffic.detections('front-1.shop'), [{ ...found, count: 7 }])
  traffic.ingest('front-1.shop', front, [detections(9), detections(3, 'declared')], t0 + 5_000)
  traffic.ingest('front-1.shop', front, [detections(9)], t0 + 10_000)
  assert.deepEqual(traffic.detections('front-1.shop'), [{ ...found, count: 9, lastAt: t0 + 5_000 }])
  assert.deepEqual(traffic.detections('other.shop'), [])
})
