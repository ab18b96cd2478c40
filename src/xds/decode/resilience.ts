/** CircuitBreakers and OutlierDetection of a Cluster → what keeps a backend's endpoints from harm. */

import type { JsonObject } from '@bufbuild/protobuf'
import type { Backend, RetryConstraint } from '#model/view'
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
  'interval',
  'base_ejection_time',
  'max_ejection_time',
  'max_ejection_percent',
])

type Kept = Pick<Backend, 'retryConstraint' | 'limits' | 'outlierDetection'>

/** labels: those of Weft on the cluster. */
export function decodeResilience(message: Cluster, labels: JsonObject): Kept {
  const outlierDetection = detectionOf(message)
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
function detectionOf({ outlierDetection: said }: Cluster): Backend['outlierDetection'] {
  if (said === undefined) return undefined
  const where = 'outlier_detection'
  checkDetection(said, where)
  const count = (field: string, times: number | undefined, enforcing: number | undefined, otherwise: number): number => {
    const percent = enforcing ?? otherwise
    if (percent !== 0 && percent !== 100) refuse(`${where}.enforcing_${field}`, 'only 0 and 100 are carried out')
    return percent === 0 ? 0 : (times ?? 5)
  }
  if (said.enforcingSuccessRate !== 0)
    refuse(`${where}.enforcing_success_rate`, 'must be 0 (absent means 100): ejection by success rate is not carried out by this proxy')
  if (said.splitExternalLocalOriginErrors && said.enforcingLocalOriginSuccessRate !== 0)
    refuse(`${where}.enforcing_local_origin_success_rate`, 'must be 0 (absent means 100): not carried out by this proxy')
  const baseEjectionMs = said.baseEjectionTime === undefined ? 30_000 : msOf(said.baseEjectionTime)
  return {
    consecutive5xx: count('consecutive_5xx', said.consecutive5xx, said.enforcingConsecutive5xx, 100),
    consecutiveGatewayErrors: count(
      'consecutive_gateway_failure',
      said.consecutiveGatewayFailure,
      said.enforcingConsecutiveGatewayFailure,
      0,
    ),
    consecutiveLocalOriginFailures: count(
      'consecutive_local_origin_failure',
      said.consecutiveLocalOriginFailure,
      said.enforcingConsecutiveLocalOriginFailure,
      100,
    ),
    splitsLocalOrigin: said.splitExternalLocalOriginErrors,
    intervalMs: said.interval === undefined ? 10_000 : msOf(said.interval),
    baseEjectionMs,
    maxEjectionMs: Math.max(baseEjectionMs, said.maxEjectionTime === undefined ? 300_000 : msOf(said.maxEjectionTime)),
    maxEjectionPercent: said.maxEjectionPercent ?? 10,
  }
}
