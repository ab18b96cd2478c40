import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MetricFamily } from '#model/metrics'
import { metricNames } from '#model/metrics'
import { Traffic } from './traffic.ts'

const source = { service: 'a', namespace: 'default', identity: 'spiffe://weft.local/ns/default/sa/a', workload: 'a-1', version: '' }
const row = (tls: string, from: string, value: number, listener = 'inbound/80') => ({ labels: { listener, tls, source: from }, value })
const family = (name: string, ...metrics: ReturnType<typeof row>[]): MetricFamily => ({
  name,
  type: name === metricNames.arrivals ? 'counter' : 'gauge',
  metrics,
})
const start = () => {
  const traffic = new Traffic({ since: 0 })
  return { traffic, push: (at: number, ...families: MetricFamily[]) => traffic.ingest('a-1.default', source, families, at) }
}

test('who came in plaintext is told with the moment at which there was one more; a proxy that does not count is not watched', () => {
  const { traffic, push } = start()
  push(1_000)
  assert.equal(traffic.arrivals('a-1.default'), undefined)
  push(2_000, family(metricNames.arrivals, row('mutual', '', 0, '')))
  assert.deepEqual([traffic.arrivals('a-1.default')!.since, traffic.arrivals('a-1.default')!.by.size], [2_000, 0])
  push(3_000, family(metricNames.arrivals, row('mutual', '', 7), row('plaintext', '10.0.0.7', 1), row('refused', '10.0.0.8', 2)))
  push(9_000, family(metricNames.arrivals, row('mutual', '', 9), row('plaintext', '10.0.0.7', 1)))
  assert.deepEqual(traffic.arrivals('a-1.default')!.by.get('inbound/80'), {
    mutual: 9,
    plaintext: [{ source: '10.0.0.7', connections: 1, open: 0, lastAt: 3_000 }],
    refused: [{ source: '10.0.0.8', connections: 2, open: 0, lastAt: 3_000 }],
  })
})

test('a connection in plaintext counts until it is closed, and one of a proxy that went away is no longer open', () => {
  const { traffic, push } = start()
  const plaintext = () => traffic.arrivals('a-1.default')!.by.get('inbound/80')!.plaintext[0]!
  push(1_000, family(metricNames.arrivals, row('plaintext', '10.0.0.7', 2)), family(metricNames.arrived, row('plaintext', '10.0.0.7', 2)))
  assert.equal(plaintext().open, 2)
  push(8_000, family(metricNames.arrived, row('plaintext', '10.0.0.7', 1)))
  assert.deepEqual([plaintext().open, plaintext().lastAt], [1, 8_000])
  traffic.leave('a-1.default', 9_000)
  assert.equal(plaintext().open, 0)
})

test('a proxy that makes callers up does not fill the memory', () => {
  const { traffic, push } = start()
  push(1_000, family(metricNames.arrivals, ...Array.from({ length: 5_000 }, (_, at) => row('plaintext', `10.0.${at >> 8}.${at & 255}`, 1))))
  assert.equal(traffic.arrivals('a-1.default')!.by.get('inbound/80')!.plaintext.length, 2_000)
})
