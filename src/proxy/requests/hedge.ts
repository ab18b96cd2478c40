/**
 * A request that is sent a second time, to another endpoint, while the first has not answered for so long (Envoy's hedge_on_per_try_timeout). Whoever
 * answers first, and not with a failure, is passed on; the others are reset.
 *
 *   caller ◀──▶ exchange ◀── Hedge ──▶ leg: an exchange of its own with a Delivery
 *                                 └──▶ leg, after so many milliseconds
 */

import { longestTimerMs } from '#base/clock'
import { Failure } from '#base/failure'
import type { Hedge as Settings } from '#model/retry'
import type { Route } from '#model/route'
import { type Fields, field, type Length, type ResponseHead } from '#wire/http1'
import { answer } from './answer.ts'
import { Delivery } from './delivery.ts'
import { Exchange } from './exchange.ts'
import type { BodySink, Caller } from './ends.ts'
import type { Guard, HedgeOutcome } from '../endpoints/guard.ts'
import type { Pools } from '../upstreams/pool.ts'
import type { Share } from '../endpoints/share.ts'

/** So much of a body is remembered to be sent again. */
const maxKeptBytes = 65_536

/** Whether the request may be sent twice at all. */
export const mayHedge = ({ upgrade, method, isRepeatable }: Exchange, { allMethods }: Settings): boolean =>
  upgrade === undefined && method !== 'CONNECT' && (isRepeatable || allMethods === true)

type Leg = { readonly exchange: Exchange; readonly delivery: Delivery; isOver: boolean }

export class Hedge implements BodySink {
  readonly #exchange: Exchange
  readonly #route: Route
  readonly #settings: Settings
  readonly #share: Share
  readonly #pools: Pools
  readonly #guard: Guard
  readonly #onBug: (bug: unknown) => void
  readonly #legs: Leg[] = []
  #winner: Leg | undefined
  #timer: NodeJS.Timeout | undefined
  #kept: Uint8Array[] = []
  #keptBytes = 0
  #trailers: Fields | undefined

  /** route: with `hedge`. */
  constructor(exchange: Exchange, route: Route, settings: Settings, share: Share, pools: Pools, onBug: (bug: unknown) => void) {
    this.#exchange = exchange
    this.#route = route
    this.#settings = settings
    this.#share = share
    this.#pools = pools
    this.#onBug = onBug
    this.#guard = pools.guards.of(share.backend)
    if (route.retry === undefined) this.#guard.budget.count(exchange.startedAt)
  }

  /** Throws a Failure when there is nowhere to go, or no time left. */
  begin(): void {
    const exchange = this.#exchange
    const first = this.#add(unhedged(this.#route))
    const whenOver = exchange.onOver
    exchange.onOver = () => {
      whenOver?.()
      this.#over()
    }
    first.delivery.begin()
    if (this.#winner !== undefined) return
    exchange.upstream = { expire: failure => this.#expire(failure), close: () => this.gone() }
    try {
      exchange.readBody(this)
    } catch (thrown) {
      // It is not to be sent after all: whoever called answers it.
      first.isOver = true
      this.gone()
      throw thrown
    }
    this.#wait()
  }

  #add(route: Route): Leg {
    const { head, length, expectsContinue, entry, startedAt, isHttp1 } = this.#exchange
    const caller = new LegCaller(this, this.#legs.length === 0 ? this.#exchange : undefined)
    const exchange = new Exchange(head, length, undefined, expectsContinue, entry, caller, startedAt, isHttp1)
    exchange.route = this.#exchange.route
    exchange.trace = this.#exchange.trace
    exchange.isLogged = this.#exchange.isLogged
    exchange.sentLength = this.#exchange.sentLength
    exchange.settleAs(this.#exchange)
    exchange.codingChange = this.#exchange.codingChange
    exchange.answerChange = this.#exchange.answerChange
    const leg: Leg = { exchange, delivery: new Delivery(exchange, route, this.#share, this.#pools, this.#onBug), isOver: false }
    caller.leg = leg
    this.#legs.push(leg)
    return leg
  }

  #wait(): void {
    if (this.#legs.length <= this.#settings.attempts)
      this.#timer = setTimeout(this.#again, Math.min(this.#settings.afterMs, longestTimerMs))
  }

  readonly #again = (): void => {
    if (this.#winner !== undefined || this.#exchange.isGone) return
    if (this.#trailers === undefined || this.#keptBytes > maxKeptBytes) return this.#tell('body')
    const granted = this.#guard.retry(performance.now())
    if (granted !== 'made') return this.#tell(granted)
    const asked = this.#legs.flatMap(({ delivery }) => delivery.endpoint ?? [])
    const leg = this.#add(once(this.#route))
    const { exchange, delivery } = leg
    exchange.wasHeldUp = true
    for (const bytes of this.#kept) exchange.bodyData(bytes)
    exchange.bodyEnd(this.#trailers)
    try {
      delivery.avoid(asked)
      delivery.begin()
    } catch (thrown) {
      if (thrown instanceof Failure) answer(exchange, thrown)
      else this.#onBug(thrown)
    }
    this.#wait()
  }

  #tell(outcome: HedgeOutcome): void {
    this.#guard.tellHedge(this.#route.origin, outcome)
  }

  // From the caller: its body goes to the first try as it comes, and is kept for another.

  data(bytes: Uint8Array): void {
    this.#keptBytes += bytes.length
    if (this.#keptBytes <= maxKeptBytes) this.#kept.push(bytes)
    else this.#kept = []
    this.#legs[0]!.exchange.bodyData(bytes)
  }
  end(trailers: Fields): void {
    this.#trailers = trailers
    this.#legs[0]!.exchange.bodyEnd(trailers)
  }
  flush(): void {
    this.#legs[0]!.exchange.bodyFlush()
  }
  gone(code?: number): void {
    clearTimeout(this.#timer)
    for (const { exchange } of this.#legs) exchange.callerGone(code)
  }
  #expire(failure: Failure): void {
    clearTimeout(this.#timer)
    for (const { exchange, isOver } of this.#legs.slice()) if (!isOver) exchange.expire(failure)
  }

  // From the tries.

  /** True where its answer is the one that is passed on. */
  answered(leg: Leg, head: ResponseHead, length: Length): boolean {
    if (leg.isOver || this.#winner !== undefined || this.#exchange.status !== 0) return false
    if (isFailure(leg.exchange, head) && this.#legs.some(other => other !== leg && !other.isOver)) {
      this.#drop(leg)
      return false
    }
    this.#winner = leg
    clearTimeout(this.#timer)
    for (const other of this.#legs) if (other !== leg && !other.isOver) this.#drop(other)
    if (this.#legs.length > 1) this.#tell(isFailure(leg.exchange, head) ? 'failed' : leg === this.#legs[0] ? 'lost' : 'won')
    const exchange = this.#exchange
    exchange.service = leg.exchange.service
    exchange.workload = leg.exchange.workload
    exchange.identity = leg.exchange.identity
    exchange.onWritable = () => leg.exchange.onWritable?.()
    this.copy(leg)
    exchange.answeredBy(head.status)
    exchange.caller.respond(head, length)
    return true
  }

  /** What the try knows of its answer by now. */
  copy({ exchange: { reason, detail, denial, grpcStatus, backend, endpoint, sentId } }: Leg): void {
    const exchange = this.#exchange
    exchange.reason = reason
    exchange.detail = detail
    exchange.denial = denial
    exchange.grpcStatus = grpcStatus
    exchange.backend = backend
    exchange.endpoint = endpoint
    exchange.sentId = sentId
    exchange.tries = this.#legs.reduce((tries, leg) => tries + leg.exchange.tries, 0)
  }

  isWinner(leg: Leg): boolean {
    return leg === this.#winner
  }
  get isAlone(): boolean {
    return this.#legs.length === 1
  }
  get exchange(): Exchange {
    return this.#exchange
  }

  /** It ends without an answer. */
  broke(leg: Leg, code: number | undefined): void {
    leg.isOver = true
    if (this.#winner !== leg && (this.#winner !== undefined || this.#legs.some(({ isOver }) => !isOver))) return
    clearTimeout(this.#timer)
    this.copy(leg)
    this.#exchange.caller.abort(code)
  }

  /** In a turn of its own, for it may be in the middle of its answer. */
  #drop(leg: Leg): void {
    leg.isOver = true
    queueMicrotask(() => leg.exchange.callerGone())
  }

  #over(): void {
    clearTimeout(this.#timer)
    for (let further = 1; further < this.#legs.length; further++) this.#guard.retried()
    for (const { exchange } of this.#legs) this.#exchange.bug ??= exchange.bug
  }
}

/** What the mesh itself answers, a status of 5xx, or a gRPC call that ends at once with a failure. */
function isFailure({ reason, isGrpc }: Exchange, head: ResponseHead): boolean {
  if (reason !== '' || head.status >= 500) return true
  const said = isGrpc ? field(head.fields, 'grpc-status') : undefined
  return said !== undefined && said !== '0'
}

/** Stands for the caller of one try. */
class LegCaller implements Caller {
  readonly #hedge: Hedge
  /** Whose body it takes as that comes; undefined where the body is there already. */
  readonly #source: Exchange | undefined
  leg!: Leg

  constructor(hedge: Hedge, source: Exchange | undefined) {
    this.#hedge = hedge
    this.#source = source
  }

  get #to(): Caller | undefined {
    return this.#hedge.isWinner(this.leg) ? this.#hedge.exchange.caller : undefined
  }

  respond(head: ResponseHead, length: Length): void {
    this.#hedge.answered(this.leg, head, length)
  }
  informational(head: ResponseHead): void {
    if (this.#hedge.isAlone) this.#hedge.exchange.caller.informational(head)
  }
  data(bytes: Uint8Array): void {
    const to = this.#to
    if (to === undefined) return
    this.#hedge.exchange.sentBytes += bytes.length
    to.data(bytes)
  }
  end(trailers: Fields): void {
    const to = this.#to
    if (to === undefined) return
    this.#hedge.copy(this.leg)
    to.end(trailers)
  }
  flush(): boolean {
    return this.#to?.flush() ?? true
  }
  readBody(open: boolean): void {
    if (this.#source !== undefined && !this.#source.isBodyComplete) this.#source.caller.readBody(open)
  }
  abort(code?: number): void {
    if (!this.leg.isOver || this.#hedge.isWinner(this.leg)) this.#hedge.broke(this.leg, code)
  }
}

const unhedgedRoutes = new WeakMap<Route, Route>()
const onceRoutes = new WeakMap<Route, Route>()

/** The first try is tried again as the route says. */
function unhedged(route: Route): Route {
  let made = unhedgedRoutes.get(route)
  if (made === undefined) {
    const { hedge: _, ...rest } = route
    unhedgedRoutes.set(route, (made = rest))
  }
  return made
}

/** A further one is itself a try again. */
function once(route: Route): Route {
  let made = onceRoutes.get(route)
  if (made === undefined) {
    const { hedge: _, retry: __, ...rest } = route
    onceRoutes.set(route, (made = rest))
  }
  return made
}
