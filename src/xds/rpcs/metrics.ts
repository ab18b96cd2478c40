/** The metrics service: what a proxy counts, pushed as Prometheus metric families, cumulative. */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { Rpc } from '#base/rpc'
import type { Metric, MetricFamily } from '#model/metrics'
import { StreamMetricsMessageSchema, StreamMetricsResponseSchema } from '../gen/envoy/service/metrics/v3/metrics_service_pb.ts'
import { type Metric as WireMetric, MetricType } from '../gen/io/prometheus/client/metrics_pb.ts'
import type { Node } from '../node.ts'

/** node: on the first message of a stream. */
export type MetricsMessage = { readonly node?: Node | undefined; readonly families: readonly MetricFamily[] }
/** The one reply, after the last message. */
export type MetricsReply = Readonly<Record<string, never>>

const typeOf = { counter: MetricType.COUNTER, gauge: MetricType.GAUGE, histogram: MetricType.HISTOGRAM } as const

function encodeMetric(type: MetricFamily['type'], { labels, value = 0, histogram }: Metric) {
  return {
    label: Object.entries(labels).map(([name, value]) => ({ name, value })),
    ...(type === 'counter' ? { counter: { value } } : {}),
    ...(type === 'gauge' ? { gauge: { value } } : {}),
    ...(type === 'histogram' && histogram
      ? {
          histogram: {
            sampleCount: BigInt(histogram.count),
            sampleSum: histogram.sum,
            bucket: histogram.buckets.map(({ upperBound, cumulativeCount }) => ({ upperBound, cumulativeCount: BigInt(cumulativeCount) })),
          },
        }
      : {}),
  }
}

function decodeMetric(metric: WireMetric): Metric {
  const labels = Object.fromEntries(metric.label.map(({ name, value }) => [name, value]))
  const { histogram } = metric
  if (histogram === undefined) return { labels, value: (metric.counter ?? metric.gauge ?? metric.untyped)?.value ?? 0 }
  return {
    labels,
    histogram: {
      count: Number(histogram.sampleCount),
      sum: histogram.sampleSum,
      buckets: histogram.bucket.map(({ upperBound, cumulativeCount }) => ({ upperBound, cumulativeCount: Number(cumulativeCount) })),
    },
  }
}

export const streamMetrics: Rpc<MetricsMessage, MetricsReply> = {
  path: '/envoy.service.metrics.v3.MetricsService/StreamMetrics',
  kind: 'client-stream',
  request: {
    encode: ({ node, families }) =>
      toBinary(
        StreamMetricsMessageSchema,
        create(StreamMetricsMessageSchema, {
          ...(node === undefined ? {} : { identifier: { node } }),
          envoyMetrics: families.map(({ name, type, metrics }) => ({
            name,
            type: typeOf[type],
            metric: metrics.map(metric => encodeMetric(type, metric)),
          })),
        }),
      ),
    decode: bytes => {
      const { identifier, envoyMetrics } = fromBinary(StreamMetricsMessageSchema, bytes)
      return {
        node: identifier?.node,
        // Summaries have no place in the model: their quantiles cannot be added up.
        families: envoyMetrics
          .filter(({ type }) => type !== MetricType.SUMMARY)
          .map(({ name, type, metric }) => ({
            name,
            type: type === MetricType.COUNTER ? 'counter' : type === MetricType.HISTOGRAM ? 'histogram' : 'gauge',
            metrics: metric.map(decodeMetric),
          })),
      }
    },
  },
  reply: { encode: () => toBinary(StreamMetricsResponseSchema, create(StreamMetricsResponseSchema)), decode: () => ({}) },
}
