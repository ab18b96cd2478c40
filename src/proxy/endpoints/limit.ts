/** How long one try of a request may take: the route's limit for a try, or what is left of its limit for the whole request, whichever ends first. */

import { longestTimerMs } from '#base/clock'
import { Failure } from '#base/failure'
import type { Route } from '#model/route'
import type { Exchange } from '../requests/exchange.ts'
import { timeoutOf } from '../requests/grpc.ts'
import type { Upstream } from '../upstreams/upstream.ts'

/** One timer for a try, and none where the route sets no limit: Node keeps timers of one duration in one list, so that setting one is cheap. */
export class Limit {
  readonly #timer: NodeJS.Timeout
  #onOver: ((failure: Failure) => void) | undefined

  constructor(ms: number, detail: string) {
    this.#timer = setTimeout(() => this.#onOver?.(new Failure('upstream-timeout', detail)), Math.min(ms, longestTimerMs))
  }

  /** A connection that is made in time; one that comes too late is closed again. */
  opened(opening: Promise<Upstream>): Promise<Upstream> {
    return new Promise((resolve, reject) => {
      this.#onOver = failure => {
        reject(failure)
        opening.then(
          late => late.close(),
          () => {},
        )
      }
      opening.then(resolve, reject)
    })
  }

  /** From here on the answer of this connection must be complete in time. */
  relayedBy(upstream: Upstream): void {
    this.#onOver = failure => upstream.expire(failure)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}

/** Ends a try of which nothing passes any more, neither of the request nor of the answer; a look costs, a byte does not. Exact to an eighth. */
export class Stillness {
  readonly #timer: NodeJS.Timeout

  constructor(ms: number, exchange: Exchange, upstream: Upstream) {
    exchange.stillFor(performance.now())
    this.#timer = setInterval(
      () => {
        if (exchange.stillFor(performance.now()) < ms) return
        this.stop()
        upstream.expire(new Failure('upstream-timeout', `timeouts.idle of ${ms} ms`))
      },
      Math.min(Math.max(Math.ceil(ms / 8), 5), longestTimerMs),
    )
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}

/**
 * The limit of a try that begins now; undefined where there is none. Throws when the time of the whole request is over.
 * now: ms of performance.now(); the request counts from its head. 0 is no limit (Gateway API HTTPRouteTimeouts). A gRPC call has as long as its
 * caller gives it, if that is less: the proxy does not rely on both ends to keep it.
 */
export function limitOf({ timeouts }: Route, exchange: Exchange, now: number): Limit | undefined {
  const callMs = exchange.isGrpc ? timeoutOf(exchange) : undefined
  if (timeouts === undefined && callMs === undefined) return undefined
  const { requestMs = 0, tryMs = 0 } = timeouts ?? {}
  const isCall = callMs !== undefined && (requestMs === 0 || callMs < requestMs)
  const wholeMs = isCall ? callMs : requestMs
  const leftMs = wholeMs - (now - exchange.startedAt)
  if ((isCall || requestMs > 0) && (tryMs === 0 || leftMs <= tryMs)) {
    const detail = isCall ? `grpc-timeout of ${callMs} ms` : `timeouts.request of ${requestMs} ms`
    if (leftMs <= 0) throw new Failure('upstream-timeout', detail)
    return new Limit(leftMs, detail)
  }
  return tryMs > 0 ? new Limit(tryMs, `timeouts.backendRequest of ${tryMs} ms`) : undefined
}

/** Milliseconds until the whole request must be answered; Infinity where it has no limit. now: ms of performance.now(). */
export function leftMs({ timeouts }: Route, exchange: Exchange, now: number): number {
  const requestMs = timeouts?.requestMs || Number.POSITIVE_INFINITY
  const callMs = exchange.isGrpc ? (timeoutOf(exchange) ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY
  return Math.min(requestMs, callMs) - (now - exchange.startedAt)
}
