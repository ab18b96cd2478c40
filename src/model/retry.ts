/** When a request is sent again or a second time beside the first, and how much of that a backend bears. */

/**
 * attempts: further tries at most. codes: statuses after which one is made. on: further conditions, in the words of Envoy's `retry_on`; of those of gRPC
 * the status counts where it comes without a message. backoff: the pause before a further try. longestRetryAfterMs: for how long a pause
 * that an answer asks for (`Retry-After`) is made; absent: it is not looked at.
 */
export type Retry = {
  readonly attempts: number
  readonly codes: readonly number[]
  readonly on: readonly RetryOn[]
  readonly backoff: { readonly baseMs: number; readonly maxMs: number }
  readonly longestRetryAfterMs?: number
}

export type RetryOn = (typeof retryConditions)[number]

export const retryConditions = [
  '5xx',
  'gateway-error',
  'retriable-4xx',
  'reset',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
] as const

/** While nothing has come for so long, another try is sent beside the others, to another endpoint: so many at most. Without allMethods only what may be repeated is. */
export type Hedge = { readonly afterMs: number; readonly attempts: number; readonly allMethods?: true }

/** How many further tries a backend bears: a part of its requests, or a rate that is always allowed, whichever is more. */
export type RetryConstraint = {
  readonly percent: number
  readonly intervalMs: number
  readonly least: { readonly count: number; readonly intervalMs: number }
}
