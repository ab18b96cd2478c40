/** What keeps a backend's endpoints from harm → CircuitBreakers and OutlierDetection of its Cluster; what Envoy has no field for → labels. */

import { create, type JsonObject } from '@bufbuild/protobuf'
import type { Backend } from '#model/backend'
import type { EjectionCause } from '#model/endpoint-health'
import { type CircuitBreakers, CircuitBreakersSchema } from '../gen/envoy/config/cluster/v3/circuit_breaker_pb.ts'
import type { Cluster } from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import { type OutlierDetection, OutlierDetectionSchema } from '../gen/envoy/config/cluster/v3/outlier_detection_pb.ts'
import { duration } from './source.ts'

type Kept = Pick<Backend, 'retryConstraint' | 'limits' | 'outlierDetection'>

export function encodeResilience({
  retryConstraint,
  limits,
  outlierDetection,
}: Kept): Partial<Pick<Cluster, 'circuitBreakers' | 'outlierDetection'>> {
  const breakers = retryConstraint === undefined && limits === undefined ? undefined : breakersOf(retryConstraint, limits ?? {})
  return {
    ...(breakers === undefined ? {} : { circuitBreakers: breakers }),
    ...(outlierDetection === undefined ? {} : { outlierDetection: detectionOf(outlierDetection) }),
  }
}

/** Envoy's budget is of requests under way and knows no time; the label says what is meant. */
export const constraintLabel = ({ retryConstraint: said }: Kept): JsonObject =>
  said === undefined ? {} : { retryConstraint: { intervalMs: said.intervalMs, count: said.least.count, countMs: said.least.intervalMs } }

function breakersOf(constraint: Backend['retryConstraint'], limits: NonNullable<Backend['limits']>): CircuitBreakers {
  const { connections, pendingRequests, requests, retries } = limits
  return create(CircuitBreakersSchema, {
    thresholds: [
      {
        ...(connections === undefined ? {} : { maxConnections: connections }),
        ...(pendingRequests === undefined ? {} : { maxPendingRequests: pendingRequests }),
        ...(requests === undefined ? {} : { maxRequests: requests }),
        ...(retries === undefined ? {} : { maxRetries: retries }),
        ...(constraint === undefined
          ? {}
          : { retryBudget: { budgetPercent: { value: constraint.percent }, minRetryConcurrency: constraint.least.count } }),
      },
    ],
  })
}

/** Envoy knows nothing of endpoints that ask to be spared; the label says it. */
export const spareLabel = ({ outlierDetection }: Kept): JsonObject => {
  const said = outlierDetection?.tooManyRequests
  return said === undefined ? {} : { tooManyRequests: { pauseMs: said.pauseMs, longestMs: said.longestMs } }
}

/** What Envoy would do when it is not told otherwise (ejection by success rate) is turned off where nobody asked for it. */
function detectionOf(said: NonNullable<Backend['outlierDetection']>): OutlierDetection {
  const { consecutive5xx, consecutiveGatewayErrors, consecutiveLocalOriginFailures, successRate, failurePercentage, enforcing } = said
  const percent = (cause: EjectionCause, isAsked: boolean): number => (isAsked ? (enforcing?.[cause] ?? 100) : 0)
  const hasRate = successRate !== undefined
  const hasPercentage = failurePercentage !== undefined
  return create(OutlierDetectionSchema, {
    ...(consecutive5xx > 0 ? { consecutive5xx } : {}),
    enforcingConsecutive5xx: percent('consecutive5xx', consecutive5xx > 0),
    ...(consecutiveGatewayErrors > 0 ? { consecutiveGatewayFailure: consecutiveGatewayErrors } : {}),
    enforcingConsecutiveGatewayFailure: percent('consecutiveGatewayErrors', consecutiveGatewayErrors > 0),
    splitExternalLocalOriginErrors: said.splitsLocalOrigin,
    ...(consecutiveLocalOriginFailures > 0 ? { consecutiveLocalOriginFailure: consecutiveLocalOriginFailures } : {}),
    enforcingConsecutiveLocalOriginFailure: percent('consecutiveLocalOriginFailures', consecutiveLocalOriginFailures > 0),
    ...(hasRate
      ? {
          successRateMinimumHosts: successRate.minimumHosts,
          successRateRequestVolume: successRate.requestVolume,
          successRateStdevFactor: successRate.stdevThousandths,
        }
      : {}),
    enforcingSuccessRate: percent('successRate', hasRate),
    enforcingLocalOriginSuccessRate: percent('localOriginSuccessRate', hasRate && said.splitsLocalOrigin),
    ...(hasPercentage
      ? {
          failurePercentageThreshold: failurePercentage.percent,
          failurePercentageMinimumHosts: failurePercentage.minimumHosts,
          failurePercentageRequestVolume: failurePercentage.requestVolume,
        }
      : {}),
    enforcingFailurePercentage: percent('failurePercentage', hasPercentage),
    enforcingFailurePercentageLocalOrigin: percent('localOriginFailurePercentage', hasPercentage && said.splitsLocalOrigin),
    interval: duration(said.intervalMs),
    baseEjectionTime: duration(said.baseEjectionMs),
    maxEjectionTime: duration(said.maxEjectionMs),
    maxEjectionPercent: said.maxEjectionPercent,
  })
}
