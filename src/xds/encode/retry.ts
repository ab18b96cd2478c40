/** When a request is sent again → RetryPolicy. */

import { create } from '@bufbuild/protobuf'
import type { Retry } from '#model/retry'
import {
  RetryPolicy_ResetHeaderFormat as Format,
  type RetryPolicy,
  RetryPolicySchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { PreviousHostsPredicateSchema } from '../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts'
import { duration, typed } from './source.ts'

/** What Weft's proxy does always; `reset-before-request`: nothing of it was taken. */
export const alwaysOn = ['connect-failure', 'refused-stream', 'reset-before-request'] as const
export const byCodes = 'retriable-status-codes'
export const previousHosts = 'envoy.retry_host_predicates.previous_hosts'
/** How often Envoy looks for an endpoint that was not tried; with one endpoint there is none. */
const selections = 3n

/** An endpoint that was not asked yet is preferred. */
export const elsewhere = () => ({
  retryHostPredicate: [{ name: previousHosts, configType: typed(PreviousHostsPredicateSchema, create(PreviousHostsPredicateSchema)) }],
  hostSelectionRetryMaxAttempts: selections,
})

/** tryMs: 0 for no limit of a try. Undefined where nothing is to be said. */
export function encodeRetry(retry: Retry | undefined, tryMs: number): RetryPolicy | undefined {
  const perTry = tryMs > 0 ? { perTryTimeout: duration(tryMs) } : {}
  if (retry === undefined) return tryMs > 0 ? create(RetryPolicySchema, perTry) : undefined
  const { attempts, codes, on, backoff, longestRetryAfterMs } = retry
  return create(RetryPolicySchema, {
    ...perTry,
    retryOn: [...alwaysOn, ...on, ...(codes.length > 0 ? [byCodes] : [])].join(),
    retriableStatusCodes: [...codes],
    numRetries: attempts,
    retryBackOff: { baseInterval: duration(backoff.baseMs), maxInterval: duration(backoff.maxMs) },
    ...elsewhere(),
    ...(longestRetryAfterMs === undefined
      ? {}
      : {
          rateLimitedRetryBackOff: {
            resetHeaders: [{ name: 'Retry-After', format: Format.SECONDS }],
            maxInterval: duration(longestRetryAfterMs),
          },
        }),
  })
}
