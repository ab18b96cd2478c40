import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MetricFamily } from '#model/metrics'
import { Traffic } from './traffic.ts'

const source = (service: string) => ({ service, namespace: 'default', identity: '', workload: `${service}-1`, version: '' })
const gauge = (name: string, labels: Readonly<Record<string, string>>, value: number): MetricFamily => ({
  name,
  type: 'gauge',
  metrics: [{ labels, value }],
})
const out = {
  destination_service: 'web.default',
  backend: 'default/web:80',
  destination_workload: 'web-2.default',
  address: '10.0.0.2:80',
  cause: 'successRate',
}
const limit = { destination_service: 'web.default', backend: 'default/web:80', limit: 'requests' }

test('whom a proxy leaves out and what of its limits is used stands as it last said, until its time or its proxy is over', () => {
  const traffic = new Traffic({ since: 0 })
  traffic.ingest(
    'shop-1.default',
    source('shop'),
    [gauge('weft_ejection_end_seconds', out, 40), gauge('weft_backend_limit', limit, 5), gauge('weft_backend_limit_used', limit, 5)],
    10_000,
  )
  traffic.ingest(
    'web-1.default',
    source('web'),
    [gauge('weft_concurrency_limit', { listener: 'inbound/80' }, 12), gauge('weft_concurrency_used', { listener: 'inbound/80' }, 3)],
    10_000,
  )
  const told = traffic.spared('web.default', 11_000)
  assert.deepEqual(told.leftOut, [
    {
      proxy: 'shop-1.default',
      service: 'web.default',
      backend: 'default/web:80',
      workload: 'web-2.default',
      address: '10.0.0.2:80',
      cause: 'successRate',
      until: 40_000,
    },
  ])
  assert.deepEqual(told.limits, [
    { proxy: 'shop-1.default', service: 'web.default', backend: 'default/web:80', limit: 'requests', most: 5, used: 5 },
  ])
  assert.deepEqual(told.concurrency, [{ proxy: 'web-1.default', listener: 'inbound/80', limit: 12, used: 3, roundTripMs: 0 }])
  assert.deepEqual(traffic.spared('other.default', 11_000), { leftOut: [], limits: [], concurrency: [] })
  assert.equal(traffic.spared(undefined, 41_000).leftOut.length, 0)
  traffic.ingest(
    'shop-1.default',
    source('shop'),
    [gauge('weft_backend_limit_used', limit, 0), gauge('weft_ejection_end_seconds', out, 0)],
    12_000,
  )
  assert.deepEqual(traffic.spared(undefined, 12_000).limits[0]?.used, 0)
  assert.deepEqual(traffic.spared(undefined, 12_000).leftOut, [])
  traffic.ingest('shop-1.default', source('shop'), [gauge('weft_backend_limit', limit, 0)], 12_000)
  assert.equal(traffic.spared(undefined, 12_000).limits[0]?.most, 0)
  traffic.ingest('shop-1.default', source('shop'), [gauge('weft_backend_limit', limit, Number.POSITIVE_INFINITY)], 12_000)
  assert.deepEqual(traffic.spared(undefined, 12_000).limits, [])
  traffic.leave('shop-1.default', 13_000)
  assert.deepEqual(traffic.spared(undefined, 13_000).limits, [])
})
