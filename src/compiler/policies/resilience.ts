/** The retryConstraint, limits and outlierDetection of BackendPolicies as the model has them: each is taken whole from the narrowest policy that says it. */

import type { Backend } from '#model/backend'
import type { EjectionCause } from '#model/endpoint-health'
import { durationMs } from '#resources/duration'
import type { BackendPolicySpec } from '#resources/weft'

export type Resilience = Pick<Backend, 'retryConstraint' | 'limits' | 'outlierDetection'>

/** wider: what holds where this policy says nothing. */
export function resilienceOf(
  { retryConstraint, limits, outlierDetection }: Resilience,
  own: Pick<BackendPolicySpec, 'retryConstraint' | 'limits' | 'outlierDetection'> | undefined,
): Resilience {
  const found = {
    retryConstraint: own?.retryConstraint === undefined ? retryConstraint : constraintOf(own.retryConstraint),
    limits: own?.limits === undefined ? limits : limitsOf(own.limits),
    outlierDetection: own?.outlierDetection === undefined ? outlierDetection : outliersOf(own.outlierDetection),
  }
  return {
    ...(found.retryConstraint === undefined ? {} : { retryConstraint: found.retryConstraint }),
    ...(found.limits === undefined ? {} : { limits: found.limits }),
    ...(found.outlierDetection === undefined ? {} : { outlierDetection: found.outlierDetection }),
  }
}

const constraintOf = ({ budget, minRetryRate }: NonNullable<BackendPolicySpec['retryConstraint']>): Backend['retryConstraint'] => ({
  percent: budget.percent,
  intervalMs: durationMs(budget.interval),
  least: { count: minRetryRate.count, intervalMs: durationMs(minRetryRate.interval) },
})

function limitsOf(said: NonNullable<BackendPolicySpec['limits']>): Backend['limits'] {
  const { connections, pendingRequests, requests, retries } = said
  const found = {
    ...(connections === undefined ? {} : { connections }),
    ...(pendingRequests === undefined ? {} : { pendingRequests }),
    ...(requests === undefined ? {} : { requests }),
    ...(retries === undefined ? {} : { retries }),
  }
  return Object.keys(found).length === 0 ? undefined : found
}

function outliersOf(said: NonNullable<BackendPolicySpec['outlierDetection']>): NonNullable<Backend['outlierDetection']> {
  const { successRate, failurePercentage, tooManyRequests } = said
  const enforcing = enforcingOf({
    successRate: successRate?.enforcing,
    localOriginSuccessRate: successRate?.enforcingLocalOrigin,
    failurePercentage: failurePercentage?.enforcing,
    localOriginFailurePercentage: failurePercentage?.enforcingLocalOrigin,
  })
  return {
    consecutive5xx: said.consecutive5xx,
    consecutiveGatewayErrors: said.consecutiveGatewayErrors,
    consecutiveLocalOriginFailures: said.consecutiveLocalOriginFailures,
    splitsLocalOrigin: said.splitLocalOrigin,
    intervalMs: durationMs(said.interval),
    baseEjectionMs: durationMs(said.baseEjectionTime),
    maxEjectionMs: durationMs(said.maxEjectionTime),
    maxEjectionPercent: said.maxEjectionPercent,
    ...(successRate === undefined
      ? {}
      : {
          successRate: {
            minimumHosts: successRate.minimumHosts,
            requestVolume: successRate.requestVolume,
            stdevThousandths: successRate.stdevFactor,
          },
        }),
    ...(failurePercentage === undefined
      ? {}
      : {
          failurePercentage: {
            percent: failurePercentage.threshold,
            minimumHosts: failurePercentage.minimumHosts,
            requestVolume: failurePercentage.requestVolume,
          },
        }),
    ...(tooManyRequests === undefined
      ? {}
      : { tooManyRequests: { pauseMs: durationMs(tooManyRequests.pause), longestMs: durationMs(tooManyRequests.longestPause) } }),
    ...(enforcing === undefined ? {} : { enforcing }),
  }
}

/** Only what is not done always. */
function enforcingOf(
  said: { readonly [Cause in EjectionCause]?: number | undefined },
): NonNullable<Backend['outlierDetection']>['enforcing'] {
  const less = Object.entries(said).filter(([, percent]) => percent !== undefined && percent < 100)
  return less.length === 0 ? undefined : (Object.fromEntries(less) as Partial<Record<EjectionCause, number>>)
}
