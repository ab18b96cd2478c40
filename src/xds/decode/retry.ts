/** RetryPolicy → when a request is sent again. */

import { type Retry, retryConditions, type RetryOn } from '#model/retry'
import { alwaysOn, byCodes } from '../encode/retry.ts'
import {
  RetryPolicy_RateLimitedRetryBackOffSchema,
  RetryPolicy_ResetHeaderFormat as Format,
  RetryPolicy_RetryBackOffSchema,
  type RetryPolicy,
  RetryPolicySchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { PreviousHostsPredicateSchema } from '../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts'
import { carries, msOf, refuse, typeName } from './carried.ts'

const checkRetry = carries(RetryPolicySchema, [
  'retry_on',
  'num_retries',
  'per_try_timeout',
  'retriable_status_codes',
  'retry_back_off',
  'rate_limited_retry_back_off',
  'retry_host_predicate',
  'host_selection_retry_max_attempts',
])
const checkBackoff = carries(RetryPolicy_RetryBackOffSchema, ['base_interval', 'max_interval'])
const checkRetryAfter = carries(RetryPolicy_RateLimitedRetryBackOffSchema, ['reset_headers', 'max_interval'])

/** Envoy's, where the message says nothing. */
const defaults = { attempts: 1, baseMs: 25, growth: 10, retryAfterMs: 300_000 } as const

/** tryMs: 0 for no limit of a try. retry: undefined where no condition is named. */
export function decodeRetry(message: RetryPolicy, where: string): { readonly tryMs: number; readonly retry: Retry | undefined } {
  checkRetry(message, where)
  const tryMs = message.perTryTimeout === undefined ? 0 : msOf(message.perTryTimeout)
  const named = message.retryOn
    .split(',')
    .map(word => word.trim())
    .filter(word => word !== '')
  message.retryHostPredicate.forEach(({ configType }, index) => {
    if (typeName(configType.value) !== PreviousHostsPredicateSchema.typeName)
      refuse(`${where}.retry_host_predicate[${index}]`, 'only previous_hosts is carried out')
  })
  const attempts = message.numRetries ?? defaults.attempts
  if (named.length === 0 || attempts === 0) return { tryMs, retry: undefined }
  const others = named.filter(word => word !== byCodes && !alwaysOn.some(always => always === word))
  const retry = {
    attempts,
    codes: named.includes(byCodes) ? message.retriableStatusCodes : [],
    on: others.map(word => conditionOf(word, where)),
    backoff: backoffOf(message, where),
    ...retryAfterOf(message, where),
  }
  return { tryMs, retry }
}

const conditionOf = (word: string, where: string): RetryOn =>
  retryConditions.find(known => known === word) ?? refuse(`${where}.retry_on`, `"${word}" is not carried out by this proxy`)

function backoffOf({ retryBackOff }: RetryPolicy, where: string): Retry['backoff'] {
  if (retryBackOff === undefined) return { baseMs: defaults.baseMs, maxMs: defaults.baseMs * defaults.growth }
  checkBackoff(retryBackOff, `${where}.retry_back_off`)
  const baseMs = retryBackOff.baseInterval === undefined ? 0 : msOf(retryBackOff.baseInterval)
  if (baseMs < 1) refuse(`${where}.retry_back_off.base_interval`, 'must be above 0')
  const maxMs = retryBackOff.maxInterval === undefined ? baseMs * defaults.growth : msOf(retryBackOff.maxInterval)
  if (maxMs < baseMs) refuse(`${where}.retry_back_off.max_interval`, 'must not be less than base_interval')
  return { baseMs, maxMs }
}

function retryAfterOf({ rateLimitedRetryBackOff: limited }: RetryPolicy, where: string): Pick<Retry, 'longestRetryAfterMs'> {
  if (limited === undefined) return {}
  const at = `${where}.rate_limited_retry_back_off`
  checkRetryAfter(limited, at)
  const [header, ...others] = limited.resetHeaders
  if (header === undefined || others.length > 0 || header.name.toLowerCase() !== 'retry-after' || header.format !== Format.SECONDS)
    refuse(`${at}.reset_headers`, 'only Retry-After, of seconds, is carried out')
  return { longestRetryAfterMs: limited.maxInterval === undefined ? defaults.retryAfterMs : msOf(limited.maxInterval) }
}
