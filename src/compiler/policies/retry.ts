/** The `retry` of a RoutePolicy, or of a rule in its words, as the proxy carries it out, and Envoy: conditions spelled out, pauses bounded. */

import type { Retry, RetryOn } from '#model/retry'
import type { Route } from '#model/route'
import { durationMs } from '#resources/duration'
import type { RetrySpec } from '#resources/weft'

const defaultBackoffMs = 25
const growth = 10
const longestRetryAfterMs = 10_000

/** What a status says of a gRPC call, whose answer is a 200 (gRPC, "HTTP to gRPC Status Code Mapping", and back). 502 and 504 are what the mesh itself says of an endpoint that broke off or was too slow. */
const meanings: Readonly<Record<number, readonly RetryOn[]>> = {
  429: ['resource-exhausted'],
  499: ['cancelled'],
  500: ['internal'],
  502: ['reset'],
  503: ['unavailable'],
  504: ['deadline-exceeded', 'reset'],
}

const conditions = { ServerError: '5xx', GatewayError: 'gateway-error', Conflict: 'retriable-4xx', Reset: 'reset' } as const
const statuses = {
  Cancelled: 'cancelled',
  DeadlineExceeded: 'deadline-exceeded',
  Internal: 'internal',
  ResourceExhausted: 'resource-exhausted',
  Unavailable: 'unavailable',
} as const

/** Without attempts there is nothing to carry out, as where nobody says anything. */
export function retryOf(said: RetrySpec): Pick<Route, 'retry'> {
  if (said.attempts === 0) return {}
  const codes = [...new Set(said.codes)].sort((a, b) => a - b)
  const on: readonly RetryOn[] = [
    ...codes.flatMap(code => meanings[code] ?? []),
    ...(said.on ?? []).map(each => conditions[each]),
    ...(said.grpc ?? []).map(each => statuses[each]),
  ]
  const baseMs = said.backoff === undefined ? defaultBackoffMs : Math.max(1, durationMs(said.backoff.base))
  const longest = said.longestRetryAfter === undefined ? longestRetryAfterMs : durationMs(said.longestRetryAfter)
  const lowered: Retry = {
    attempts: said.attempts ?? 1,
    codes,
    on: [...new Set(on)].sort(),
    backoff: { baseMs, maxMs: said.backoff?.max === undefined ? baseMs * growth : Math.max(baseMs, durationMs(said.backoff.max)) },
    ...(longest === 0 ? {} : { longestRetryAfterMs: longest }),
  }
  return { retry: lowered }
}
