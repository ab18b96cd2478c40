/** The `retry` of a rule as the proxy carries it out, and Envoy: conditions spelled out, pauses bounded. */

import type { Retry, RetryOn, Route } from '#model/view'
import { durationMs } from '#resources/duration'
import type { HTTPRule } from '#resources/gateway-api'

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

export function retryOf({ retry }: Pick<HTTPRule, 'retry'>): Pick<Route, 'retry'> {
  if (retry === undefined) return {}
  const codes = [...new Set(retry.codes)].sort((a, b) => a - b)
  const baseMs = retry.backoff === undefined ? defaultBackoffMs : Math.max(1, durationMs(retry.backoff))
  const lowered: Retry = {
    attempts: retry.attempts ?? 1,
    codes,
    on: [...new Set(codes.flatMap(code => meanings[code] ?? []))].sort(),
    backoff: { baseMs, maxMs: baseMs * growth },
    longestRetryAfterMs,
  }
  return { retry: lowered }
}
