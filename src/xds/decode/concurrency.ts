/** envoy.filters.http.adaptive_concurrency → the concurrency limit that is found out. */

import type { Any } from '@bufbuild/protobuf/wkt'
import type { AdaptiveConcurrency } from '#model/listener'
import {
  AdaptiveConcurrencySchema,
  GradientControllerConfig_ConcurrencyLimitCalculationParamsSchema,
  GradientControllerConfig_MinimumRTTCalculationParamsSchema,
  GradientControllerConfigSchema,
} from '../gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.ts'
import { carries, msOf, refuse, typeName, unpack } from './carried.ts'

const checkFilter = carries(AdaptiveConcurrencySchema, ['gradient_controller_config'])
const checkGradient = carries(GradientControllerConfigSchema, [
  'sample_aggregate_percentile',
  'concurrency_limit_params',
  'min_rtt_calc_params',
])
const checkLimit = carries(GradientControllerConfig_ConcurrencyLimitCalculationParamsSchema, [
  'max_concurrency_limit',
  'concurrency_update_interval',
])
const checkRoundTrip = carries(GradientControllerConfig_MinimumRTTCalculationParamsSchema, [
  'interval',
  'request_count',
  'jitter',
  'min_concurrency',
  'buffer',
])

/** Undefined where it is another filter. What is absent is as Envoy has it. */
export function decodeConcurrency(any: Any, where: string): AdaptiveConcurrency | undefined {
  if (typeName(any) !== AdaptiveConcurrencySchema.typeName) return undefined
  const filter = unpack(any, AdaptiveConcurrencySchema, where)
  checkFilter(filter, where)
  const gradient = filter.concurrencyControllerConfig.value ?? refuse(where, 'gradient_controller_config is needed')
  checkGradient(gradient, where)
  const { concurrencyLimitParams: limit, minRttCalcParams: roundTrip, sampleAggregatePercentile } = gradient
  if (limit?.concurrencyUpdateInterval === undefined || roundTrip?.interval === undefined)
    return refuse(where, 'concurrency_update_interval and the interval of min_rtt_calc_params are needed')
  checkLimit(limit, `${where}.concurrency_limit_params`)
  checkRoundTrip(roundTrip, `${where}.min_rtt_calc_params`)
  return {
    percentile: sampleAggregatePercentile?.value ?? 50,
    intervalMs: msOf(limit.concurrencyUpdateInterval),
    mostLimit: limit.maxConcurrencyLimit ?? 1000,
    roundTrip: {
      intervalMs: msOf(roundTrip.interval),
      requests: roundTrip.requestCount ?? 50,
      jitterPercent: roundTrip.jitter?.value ?? 15,
      limit: roundTrip.minConcurrency ?? 3,
      bufferPercent: roundTrip.buffer?.value ?? 25,
    },
  }
}
