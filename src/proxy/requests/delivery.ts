/** The way of one request to an endpoint: to one after another while nothing of it was taken and trying again is safe. */

import { longestTimerMs } from '#base/clock'
import { Failure } from '#base/failure'
import type { Endpoint } from '#model/backend'
import type { Route } from '#model/route'
import type { RequestHead, ResponseHead } from '#wire/http1'
import { answer } from './answer.ts'
import type { Exchange } from './exchange.ts'
import { httpOf } from './grpc.ts'
import type { Guard } from '../endpoints/guard.ts'
import { requestHead, responseEditor } from './heads.ts'
import type { Lane } from '../upstreams/lane.ts'
import { type Limit, limitOf, Stillness } from '../endpoints/limit.ts'
import type { EndpointPool, Pools } from '../upstreams/pool.ts'
import { heldBack, pauseAskedBy, Retries } from './retries.ts'
import { noting, pickEndpoint, setOf, type Share } from '../endpoints/share.ts'
import type { Outcome, Upstream } from '../upstreams/upstream.ts'

/** How many endpoints are tried when a connection cannot be made or a kept one turns out closed. */
const maxTries = 4

const none: readonly Endpoint[] = []

/** By callbacks and not by promises, of which every request would make several. */
export class Delivery implements Outcome {
  readonly #exchange: Exchange
  readonly #route: Route
  readonly #share: Share
  readonly #pools: Pools
  readonly #onBug: (bug: unknown) => void
  readonly #head: RequestHead
  #edit: (head: ResponseHead) => ResponseHead
  #tries = 0
  #tried = none
  #broken: Broken = 'none'
  readonly #guard: Guard | undefined
  readonly #retries: Retries | undefined
  /** A further try that was granted is under way, or waited for. */
  #isRetrying = false
  /** For how long the endpoint of this try asks to be spared. */
  #askedMs: number | undefined
  // Of the try under way:
  #endpoint: Endpoint | undefined
  #pool: EndpointPool | undefined
  #limit: Limit | undefined
  #stillness: Stillness | undefined
  #alone: Lane | undefined
  #upstream: Upstream | undefined

  /** onBug: what is no Failure, once the caller of `begin` is out of reach. */
  constructor(exchange: Exchange, route: Route, share: Share, pools: Pools, onBug: (bug: unknown) => void) {
    this.#exchange = exchange
    this.#route = route
    this.#share = share
    this.#pools = pools
    this.#onBug = onBug
    exchange.hasSecondChance = share.endpoints !== undefined && share.endpoints.length > 1
    this.#head = requestHead(exchange, route, share)
    this.#edit = responseEditor(exchange, route, share)
    if (share.endpoints === undefined) return
    const { limits, outlierDetection } = share.backend
    if (route.retry === undefined && limits === undefined && outlierDetection === undefined) return
    this.#guard = pools.guards.of(share.backend)
    if (outlierDetection?.tooManyRequests !== undefined) this.#edit = this.#heeding(this.#edit)
    if (route.retry !== undefined) exchange.retries = this.#retries = new Retries(route.retry, route, exchange, this.#guard)
  }

  /** Where the policy spares those who have too much to do: their answer says for how long. */
  #heeding(edit: (head: ResponseHead) => ResponseHead): (head: ResponseHead) => ResponseHead {
    return head => {
      this.#askedMs = pauseAskedBy(head, Date.now())
      return edit(head)
    }
  }

  /** Where it is tried now. */
  get endpoint(): Endpoint | undefined {
    return this.#endpoint
  }
  /** These are asked already. */
  avoid(endpoints: readonly Endpoint[]): void {
    this.#tried = endpoints
  }

  /** Throws a Failure when there is nowhere to go, or no time left. */
  begin(): void {
    const exchange = this.#exchange
    const { backend } = this.#share
    const endpoint = pickEndpoint(this.#share, this.#tried)
    exchange.service = backend.service
    exchange.workload = endpoint?.workload ?? ''
    exchange.backend = backend.name
    exchange.endpoint = endpoint
    exchange.tries++
    this.#tries++
    this.#upstream = undefined
    this.#endpoint = endpoint
    this.#limit = limitOf(this.#route, exchange, this.#tries === 1 && !exchange.wasHeldUp ? exchange.startedAt : performance.now())
    const full = this.#guard?.enter()
    if (full !== undefined) {
      this.#limit?.stop()
      throw full
    }
    this.#alone = this.#pools.alone(backend, endpoint, exchange.isHttp1, exchange.entry.ends)
    const pool = this.#pools.of(backend, endpoint)
    this.#pool = pool
    pool.inFlight++
    const lane = this.#alone ?? (exchange.isHttp1 ? pool.http1 : pool.http2)
    // Where one connection broke the others that are kept may be broken too.
    const upstream = this.#broken === 'none' ? lane.take() : undefined
    if (upstream !== undefined) return this.#relay(upstream)
    const refused = this.#guard?.wait()
    if (refused !== undefined) {
      this.#over()
      throw refused
    }
    ;(this.#limit === undefined ? lane.open() : this.#limit.opened(lane.open())).then(this.#opened, this.#notOpened)
  }

  readonly #opened = (upstream: Upstream): void => {
    this.#guard?.waited()
    try {
      this.#relay(upstream)
    } catch (bug) {
      this.#onBug(bug)
    }
  }
  readonly #notOpened = (thrown: unknown): void => {
    this.#guard?.waited()
    if (thrown instanceof Failure) this.settled(thrown)
    else this.#onBug(thrown)
  }

  #relay(upstream: Upstream): void {
    const exchange = this.#exchange
    this.#upstream = upstream
    exchange.identity = upstream.identity
    if (exchange.isGone) {
      upstream.close()
      return this.#over()
    }
    this.#limit?.relayedBy(upstream)
    const idleMs = this.#route.timeouts?.idleMs ?? 0
    if (idleMs > 0) this.#stillness = new Stillness(idleMs, exchange, upstream)
    exchange.upstream = upstream
    const edit = this.#share.isPlain ? this.#edit : noting(this.#share, this.#endpoint, this.#pool, this.#edit)
    upstream.relay(exchange, this.#head, edit, this)
  }

  #over(): void {
    this.#limit?.stop()
    this.#stillness?.stop()
    this.#alone?.close()
    this.#exchange.upstream = undefined
    if (this.#pool === undefined) return
    this.#pool.inFlight--
    this.#pool = undefined
    if (this.#guard === undefined) return
    this.#guard.leave()
    this.#endRetry()
  }

  /** The try is over: answered as a whole, or failed before an answer. */
  settled(failure: Failure | undefined): void {
    this.#over()
    if (this.#guard !== undefined) this.#judge(this.#guard, failure)
    if (failure === undefined) return
    const isHeldBack = failure === heldBack
    this.#note(isHeldBack ? String(this.#retries!.heldStatus) : failure.code)
    const isFree = !isHeldBack && this.#tries < maxTries && mayTryAgain(failure, this.#exchange, this.#upstream, this.#broken)
    if (!isFree && !isHeldBack && this.#retries?.grants(failure) !== true) return answer(this.#exchange, failure)
    if (failure.fate === 'reused') this.#broken = this.#upstream?.isReused === true ? 'kept' : 'fresh'
    if (this.#endpoint !== undefined) this.#tried = [...this.#tried, this.#endpoint]
    if (isFree) this.#again()
    else this.#pause()
  }

  /** For its trace. */
  #note(why: string): void {
    this.#exchange.trace?.failed(this.#share.backend.name, this.#endpoint, why, performance.now())
  }

  /** Nothing of the body is taken meanwhile; a caller that goes away is not waited for. */
  #pause(): void {
    this.#isRetrying = true
    this.#exchange.stopBody()
    setTimeout(
      () => {
        if (this.#exchange.isGone) this.#endRetry()
        else this.#again()
      },
      Math.min(this.#retries!.pauseMs, longestTimerMs),
    )
  }

  #again(): void {
    this.#exchange.grpcStatus = undefined
    try {
      this.begin()
    } catch (thrown) {
      this.#endRetry()
      if (thrown instanceof Failure) answer(this.#exchange, thrown)
      else this.#onBug(thrown)
    }
  }

  #endRetry(): void {
    if (this.#isRetrying) this.#guard!.retried()
    this.#isRetrying = false
  }

  /** Tells how the endpoint did, so that one that keeps failing can be left out. What the mesh refused, or the caller gave up, says nothing of it. */
  #judge(guard: Guard, failure: Failure | undefined): void {
    if (this.#endpoint === undefined) return
    const { status, grpcStatus, isGrpc } = this.#exchange
    let answered: number | undefined
    if (failure === heldBack) answered = this.#retries!.heldStatus
    else if (failure !== undefined) {
      if (failure.blame !== 'upstream') return
    } else if (status === 0) return
    else answered = isGrpc && status === 200 && grpcStatus !== undefined ? httpOf(grpcStatus) : status
    const all = setOf(this.#share.backend, this.#exchange.entry.view())
    guard.answered(this.#endpoint, answered, all?.endpoints.length ?? 0, failure === heldBack ? this.#retries!.heldPauseMs : this.#askedMs)
  }
}

/** Which connection broke before it answered this request, if any. */
type Broken = 'none' | 'kept' | 'fresh'

/**
 * Again if nothing was sent (also where the time of a try went by before there was a connection); and, for methods that may be repeated
 * (RFC 9110 §9.2.2), if the connection broke before a byte of the answer: a kept one may have been closed just then (RFC 9112 §9.3.1), with
 * a fresh one its peer may have died. That counts once: it may be this request that kills its peers.
 */
function mayTryAgain(failure: Failure, exchange: Exchange, upstream: Upstream | undefined, broken: Broken): boolean {
  if (exchange.isGone || exchange.isBodySpent) return false
  if (failure.fate === 'safe' || (failure.code === 'upstream-timeout' && upstream === undefined)) return true
  if (failure.fate !== 'reused' || upstream === undefined || upstream.isAnswered || !exchange.isRepeatable) return false
  return upstream.isReused || broken !== 'fresh'
}
