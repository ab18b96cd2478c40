/** The endpoint's side of an exchange: implemented per protocol. */

import type { Failure } from '#base/failure'
import type { RequestHead, ResponseHead } from '#wire/http1'
import type { Exchange } from '../requests/exchange.ts'

/** Whoever waits for the end of a try. */
export interface Outcome {
  /** Once: without a Failure when the exchange is over, however it went; with one when it failed before an answer. */
  settled(failure: Failure | undefined): void
}

export interface Upstream {
  /** SPIFFE id that the endpoint proved; undefined over plaintext. */
  readonly identity: string | undefined
  /** A byte came back for this request. */
  readonly isAnswered: boolean
  /** Its connection carried a request before, and nothing came back for this one: the peer may have closed it just then (RFC 9112 §9.3.1). */
  readonly isReused: boolean
  /** Sends the request, relays the answer to the exchange's caller; tells the outcome when both are complete. */
  relay(exchange: Exchange, head: RequestHead, editResponse: (head: ResponseHead) => ResponseHead, outcome: Outcome): void
  /** The time of the exchange is over. */
  expire(failure: Failure): void
  /** Nobody wants the answer any more. */
  close(): void
}
