/** What proxies tell of the requests and connections that pass a listener. */

import type { LogField, LogPart } from '#base/log-fields'

export type Telemetry = { readonly accessLog?: AccessLog; readonly tracing?: Tracing }

/**
 * A line for each request and connection that fits one of `when` (absent: for each), and of these for a part (absent: for all), in millionths.
 * path: absolute; collector: who takes OTLP by gRPC, a backend of the view, and as whom it is told; absent both: standard output.
 */
export type AccessLog = {
  readonly path?: string
  readonly collector?: { readonly backend: string; readonly service: string }
  readonly format: LogFormat
  readonly share?: number
  readonly when?: readonly LogCondition[]
}
/** A line is an object of JSON, or text. */
export type LogFormat =
  | { readonly type: 'json'; readonly fields: readonly LogField[] }
  | { readonly type: 'text'; readonly parts: readonly LogPart[] }
/** All that it says. failed: a status of 500 and more, or the proxy could not do it. denied: a policy kept it out. */
export type LogCondition = {
  readonly statusAtLeast?: number
  readonly statuses?: readonly number[]
  readonly outcome?: 'failed' | 'denied'
  readonly slowerThanMs?: number
}

/**
 * Spans of requests. backend: in `View.backends`, by which they go to the collector. url: of the collector, with its path. share: of those that come
 * without a decision of their own, in millionths; absent: of all. propagation: what is passed on; the first that a request brings is believed.
 */
export type Tracing = {
  /** As whom spans are told: the service of the proxy's workload. */
  readonly service: string
  readonly url: string
  readonly backend: string
  readonly encoding: 'protobuf' | 'json'
  readonly share?: number
  readonly propagation: readonly ('w3c' | 'b3')[]
  readonly attributes: readonly SpanAttribute[]
}
/** header: in lower case, of the request; absent: without it the span has no such attribute. */
export type SpanAttribute = { readonly name: string } & ({ readonly value: string } | { readonly header: string; readonly absent?: string })
