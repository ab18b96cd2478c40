/** Faults on purpose: a request is held up, answered or broken off here in place of its endpoint. */

import { Failure } from '#base/failure'
import type { Abort, Fault, Spread } from '#model/fault'
import type { Route } from '#model/route'
import { answer } from './answer.ts'
import { slowDown } from './bandwidth.ts'
import type { Exchange } from './exchange.ts'
import { grpcOf, httpOf } from './grpc.ts'

/** What befalls one request. */
export type Hit = { readonly delayMs: number; readonly abort: Abort | undefined; readonly line: Fault['bandwidth'] | undefined }

/** Header of an answer that came late on purpose: the policy that asked for it, and for how long. */
const faultField = 'x-weft-fault'

/** Undefined where the request is spared. Each of delay and abort by its own chance, as Envoy has it. random: in [0, 1). now: ms since the epoch. */
export function hitBy({ endsAt, delay, abort, bandwidth }: Fault, random: () => number, now: number): Hit | undefined {
  if (endsAt !== undefined && now >= endsAt) return undefined
  const isDelayed = delay !== undefined && random() * 1_000_000 < delay.share
  const isAborted = abort !== undefined && random() * 1_000_000 < abort.share
  const isSlow = bandwidth !== undefined && random() * 1_000_000 < bandwidth.share
  if (!isDelayed && !isAborted && !isSlow) return undefined
  return {
    delayMs: isDelayed ? delayedBy(delay, random) : 0,
    abort: isAborted ? abort : undefined,
    line: isSlow ? bandwidth : undefined,
  }
}

/** As long as a fault may hold anything up. */
const longestMs = 3_600_000

/** Milliseconds. random: in [0, 1). */
export function delayedBy({ ms, jitterMs, spread }: NonNullable<Fault['delay']>, random: () => number): number {
  if (jitterMs === undefined) return ms
  return Math.min(longestMs, Math.max(0, ms + jitterMs * (spread === undefined ? 2 * random() - 1 : spreads[spread](1 - random(), random))))
}

/** one: in (0, 1]. Of mean 0 and deviation 1, and two of mean 1. */
const spreads: Readonly<Record<Spread, (one: number, random: () => number) => number>> = {
  normal: (one, random) => Math.sqrt(-2 * Math.log(one)) * Math.cos(2 * Math.PI * random()),
  exponential: one => -Math.log(one),
  // Lomax with exponent 3: one of a hundred takes eight times the mean, one of ten thousand forty times.
  pareto: one => 2 * (one ** (-1 / 3) - 1),
}

/** goOn: what else is done with it, after its delay. A delay counts for `timeouts.request`, as if the endpoint were slow. */
export function inject(exchange: Exchange, { timeouts }: Route, { policy }: Fault, { delayMs, abort, line }: Hit, goOn: () => void): void {
  const then = abort === undefined ? goOn : () => abortBy(exchange, abort, policy)
  if (line !== undefined && abort === undefined && exchange.upgrade === undefined) slowDown(exchange, line)
  if (delayMs === 0) return then()
  exchange.changeAnswer({ set: [{ name: faultField, value: `delay=${Math.round(delayMs)}ms; policy=${policy}` }], add: [], remove: [] })
  exchange.wasHeldUp = true
  const limitMs = timeouts?.requestMs || Number.POSITIVE_INFINITY
  const tooLate = () =>
    answer(exchange, new Failure('upstream-timeout', `timeouts.request of ${limitMs} ms, held up by FaultPolicy ${policy}`))
  const timer = setTimeout(
    () => {
      exchange.onWritable = undefined
      if (exchange.isGone) return
      if (limitMs <= delayMs) tooLate()
      else then()
    },
    Math.min(delayMs, limitMs),
  )
  // Called too when the exchange is over.
  exchange.onWritable = () => {
    if (exchange.isGone) clearTimeout(timer)
  }
}

function abortBy(exchange: Exchange, abort: Abort, policy: string): void {
  const failure = new Failure('fault-injected', `${policy} (${'status' in abort ? `${abort.type} ${abort.status}` : abort.type})`)
  if (!('status' in abort)) return exchange.expire(failure)
  exchange.grpcStatus = exchange.isGrpc ? (abort.type === 'grpc' ? abort.status : grpcOf(abort.status)) : undefined
  answer(exchange, failure, abort.type === 'http' ? abort.status : httpOf(abort.status))
}
