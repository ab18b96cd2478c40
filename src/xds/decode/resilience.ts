/** CircuitBreakers and OutlierDetection of a Cluster → what keeps a backend's endpoints from harm. */

import type { JsonObject } from '@bufbuild/protobuf'
import type { Backend } from '#model/backend'
import type { EjectionCause } from '#model/endpoint-health'
import type { RetryConstraint } from '#model/retry'
import {
  CircuitBreakers_Thresholds_RetryBudgetSchema,
  type CircuitBreakers_Thresholds,
  CircuitBreakers_ThresholdsSchema,
  CircuitBreakersSchema,
} from '../gen/envoy/config/cluster/v3/circuit_breaker_pb.ts'
import type { Cluster } from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import { OutlierDetectionSchema } from '../gen/envoy/config/cluster/v3/outlier_detection_pb.ts'
import { RoutingPriority } from '../gen/envoy/config/core/v3/base_pb.ts'
import { carries, msOf, refuse } from './carried.ts'

const checkBreakers = carries(CircuitBreakersSchema, ['thresholds'])
const checkThresholds = carries(CircuitBreakers_ThresholdsSchema, [
  'priority',
  'max_connections',
  'max_pending_requests',
  'max_requests',
  'max_retries',
  'retry_budget',
  'track_remaining',
])
const checkBudget = carries(CircuitBreakers_Thresholds_RetryBudgetSchema, ['budget_percent', 'min_retry_concurrency'])
const checkDetection = carries(OutlierDetectionSchema, [
  'consecutive_5xx',
  'enforcing_consecutive_5xx',
  'consecutive_gateway_failure',
  'enforcing_consecutive_gateway_failure',
  'split_external_local_origin_errors',
  'consecutive_local_origin_failure',
  'enforcing_consecutive_local_origin_failure',
  'enforcing_success_rate',
  'enforcing_local_origin_success_rate',
  'success_rate_minimum_hosts',
  'success_rate_request_volume',
  'success_rate_stdev_factor',
  'failure_percentage_threshold',
  'enforcing_failure_percentage',
  'enforcing_failure_percentage_local_origin',
  'failure_percentage_minimum_hosts',
  'failure_percentage_request_volume',
  'interval',
  'base_ejection_time',
  'max_ejection_time',
  'max_ejection_percent',
])

type Kept = Pick<Backend, 'retryConstraint' | 'limits' | 'outlierDetection'>

/** labels: those of Weft on the cluster. */
export function decodeResilience(message: Cluster, labels: JsonObject): Kept {
  const outlierDetection = detectionOf(message, labels)
  return { ...breakersOf(message, labels), ...(outlierDetection === undefined ? {} : { outlierDetection }) }
}

function breakersOf({ circuitBreakers }: Cluster, labels: JsonObject): Pick<Kept, 'retryConstraint' | 'limits'> {
  if (circuitBreakers === undefined) return {}
  checkBreakers(circuitBreakers, 'circuit_breakers')
  const [thresholds, ...others] = circuitBreakers.thresholds
  if (thresholds === undefined) return {}
  const where = 'circuit_breakers.thresholds'
  if (others.length > 0 || thresholds.priority !== RoutingPriority.DEFAULT)
    refuse(where, 'only those of the default priority are carried out')
  checkThresholds(thresholds, `${where}[0]`)
  const { maxConnections, maxPendingRequests, maxRequests, maxRetries } = thresholds
  const limits = {
    ...(maxConnections === undefined ? {} : { connections: maxConnections }),
    ...(maxPendingRequests === undefined ? {} : { pendingRequests: maxPendingRequests }),
    ...(maxRequests === undefined ? {} : { requests: maxRequests }),
    ...(maxRetries === undefined ? {} : { retries: maxRetries }),
  }
  const retryConstraint = constraintOf(thresholds, labels, `${where}[0].retry_budget`)
  return {
    ...(retryConstraint === undefined ? {} : { retryConstraint }),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  }
}

/** Without a label, as others write it: the tries that Envoy allows at once are allowed each second, and the part is of ten seconds. */
function constraintOf({ retryBudget }: CircuitBreakers_Thresholds, labels: JsonObject, where: string): RetryConstraint | undefined {
  if (retryBudget === undefined) return undefined
  checkBudget(retryBudget, where)
  const label = labels['retryConstraint']
  const said = typeof label === 'object' && label !== null && !Array.isArray(label) ? label : {}
  const number = (name: string, otherwise: number): number => (typeof said[name] === 'number' ? said[name] : otherwise)
  const percent = retryBudget.budgetPercent?.value ?? 20
  if (!(percent >= 0 && percent <= 100)) refuse(`${where}.budget_percent`, `${percent} is no part of a hundred`)
  return {
    percent,
    intervalMs: number('intervalMs', 10_000),
    least: { count: number('count', retryBudget.minRetryConcurrency ?? 3), intervalMs: number('countMs', 1000) },
  }
}

/** What is absent is as Envoy has it. */
function detectionOf({ outlierDetection: said }: Cluster, labels: JsonObject): Backend['outlierDetection'] {
  if (said === undefined) return undefined
  const where = 'outlier_detection'
  checkDetection(said, where)
  const isSplit = said.splitExternalLocalOriginErrors
  const percents: Readonly<Partial<Record<EjectionCause, number>>> = {
    consecutive5xx: said.enforcingConsecutive5xx ?? 100,
    consecutiveGatewayErrors: said.enforcingConsecutiveGatewayFailure ?? 0,
    consecutiveLocalOriginFailures: said.enforcingConsecutiveLocalOriginFailure ?? 100,
    successRate: said.enforcingSuccessRate ?? 100,
    localOriginSuccessRate: isSplit ? (said.enforcingLocalOriginSuccessRate ?? 100) : 0,
    failurePercentage: said.enforcingFailurePercentage ?? 0,
    localOriginFailurePercentage: isSplit ? (said.enforcingFailurePercentageLocalOrigin ?? 0) : 0,
  }
  for (const [cause, percent] of Object.entries(percents))
    if (percent > 100) refuse(`${where}.enforcing`, `${percent} (${cause}) is no part of a hundred`)
  const count = (cause: EjectionCause, times: number | undefined): number => (percents[cause] === 0 ? 0 : (times ?? 5))
  const baseEjectionMs = said.baseEjectionTime === undefined ? 30_000 : msOf(said.baseEjectionTime)
  const hasRate = percents.successRate! > 0 || percents.localOriginSuccessRate! > 0
  const hasPercentage = percents.failurePercentage! > 0 || percents.localOriginFailurePercentage! > 0
  // 0 means never where nothing else tells that it was not asked for.
  const never: readonly string[] = [
    ...(hasRate ? ['successRate', ...(isSplit ? ['localOriginSuccessRate'] : [])] : []),
    ...(hasPercentage ? ['failurePercentage', ...(isSplit ? ['localOriginFailurePercentage'] : [])] : []),
  ]
  const enforcing = Object.entries(percents).filter(([cause, percent]) => percent < 100 && (percent > 0 || never.includes(cause)))
  const tooManyRequests = spareOf(labels)
  return {
    consecutive5xx: count('consecutive5xx', said.consecutive5xx),
    consecutiveGatewayErrors: count('consecutiveGatewayErrors', said.consecutiveGatewayFailure),
    consecutiveLocalOriginFailures: count('consecutiveLocalOriginFailures', said.consecutiveLocalOriginFailure),
    splitsLocalOrigin: isSplit,
    intervalMs: said.interval === undefined ? 10_000 : msOf(said.interval),
    baseEjectionMs,
    maxEjectionMs: Math.max(baseEjectionMs, said.maxEjectionTime === undefined ? 300_000 : msOf(said.maxEjectionTime)),
    maxEjectionPercent: said.maxEjectionPercent ?? 10,
    ...(hasRate
      ? {
          successRate: {
            minimumHosts: said.successRateMinimumHosts ?? 5,
            requestVolume: said.successRateRequestVolume ?? 100,
            stdevThousandths: said.successRateStdevFactor ?? 1900,
          },
        }
      : {}),
    ...(hasPercentage
      ? {
          failurePercentage: {
            percent: said.failurePercentageThreshold ?? 85,
            minimumHosts: said.failurePercentageMinimumHosts ?? 5,
            requestVolume: said.failurePercentageRequestVolume ?? 50,
          },
        }
      : {}),
    ...(tooManyRequests === undefined ? {} : { tooManyRequests }),
    ...(enforcing.length === 0 ? {} : { enforcing: Object.fromEntries(enforcing) }),
  }
}

function spareOf(labels: JsonObject): NonNullable<Backend['outlierDetection']>['tooManyRequests'] {
  const said = labels['tooManyRequests']
  if (typeof said !== 'object' || said === null || Array.isArray(said)) return undefined
  const { pauseMs, longestMs } = said
  return typeof pauseMs === 'number' && typeof longestMs === 'number' ? { pauseMs, longestMs } : undefined
}
