/** The concurrency limit that is found out → envoy.filters.http.adaptive_concurrency, in front of what a port takes in. */

import { create } from '@bufbuild/protobuf'
import type { AdaptiveConcurrency } from '#model/listener'
import { AdaptiveConcurrencySchema } from '../gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.ts'
import { duration, typed } from './source.ts'

export const concurrencyFilter = 'envoy.filters.http.adaptive_concurrency'

export function encodeConcurrency(said: AdaptiveConcurrency | undefined) {
  if (said === undefined) return []
  const { percentile, intervalMs, mostLimit, roundTrip } = said
  const message = create(AdaptiveConcurrencySchema, {
    concurrencyControllerConfig: {
      case: 'gradientControllerConfig',
      value: {
        sampleAggregatePercentile: { value: percentile },
        concurrencyLimitParams: { maxConcurrencyLimit: mostLimit, concurrencyUpdateInterval: duration(intervalMs) },
        minRttCalcParams: {
          interval: duration(roundTrip.intervalMs),
          requestCount: roundTrip.requests,
          jitter: { value: roundTrip.jitterPercent },
          minConcurrency: roundTrip.limit,
          buffer: { value: roundTrip.bufferPercent },
        },
      },
    },
  })
  return [{ name: concurrencyFilter, configType: typed(AdaptiveConcurrencySchema, message) }]
}
