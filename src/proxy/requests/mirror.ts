/** Copies of requests to other backends: fire and forget. A copy never delays or fails its original; its answer is read and dropped, and it is counted apart. */

import { Failure, type FailureCode } from '#base/failure'
import type { Mirror, Route } from '#model/route'
import type { View } from '#model/view'
import type { Fields } from '#wire/http1'
import { answer } from './answer.ts'
import { Delivery } from './delivery.ts'
import { Exchange } from './exchange.ts'
import type { BodySink, Caller } from './ends.ts'
import type { Meter } from '../telemetry/meter.ts'
import type { Pools } from '../upstreams/pool.ts'
import { shareOf } from '../endpoints/share.ts'

/** A copy that takes its body slower than the original is given up when so much waits for it. */
const maxWaitingBytes = 1_048_576
/** Beyond so many at once requests are not copied. */
const maxUnderWay = 1024
/** The longest that a copy may take, where the route says nothing shorter. */
const longestMs = 60_000

export class Mirrors {
  readonly #pools: Pools
  readonly #meter: Meter
  readonly #tellBug: (copy: Exchange) => void
  #underWay = 0

  constructor(pools: Pools, meter: Meter, tellBug: (copy: Exchange) => void) {
    this.#pools = pools
    this.#meter = meter
    this.#tellBug = tellBug
  }

  /** Before a byte of the body was taken. What becomes another protocol is not copied. random: in [0, 1). */
  copy(exchange: Exchange, route: Route, mirrors: readonly Mirror[], view: View, random: () => number = Math.random): void {
    if (exchange.upgrade !== undefined || exchange.method === 'CONNECT') return
    for (const mirror of mirrors) if (random() * 1_000_000 < mirror.share) this.#send(exchange, route, mirror.backend, view)
  }

  #send(original: Exchange, route: Route, backend: string, view: View): void {
    const { head, length, expectsContinue, entry, isHttp1 } = original
    const drop = new Drop(() => {
      this.#underWay--
      if (copy.bug !== undefined) this.#tellBug(copy)
      this.#meter.mirrored(copy)
    })
    const copy = new Exchange(head, length, undefined, expectsContinue, entry, drop, performance.now(), isHttp1)
    const failed = (bug: unknown) => {
      copy.bug = bug
      copy.callerGone()
      drop.over()
    }
    copy.route = route
    // Nor does who gets a copy see a token, or take the caller's word for claims.
    copy.settleAs(original)
    copy.trace = original.trace?.lent()
    this.#underWay++
    try {
      if (this.#underWay > maxUnderWay) throw new Failure('overload', `${maxUnderWay} copies at once`)
      const share = shareOf({ backend, weight: 1 }, view, route.origin, this.#pools)
      copy.service = share.backend.service
      original.tap(new Tap(copy, drop))
      new Delivery(copy, copiedRoute(route), share, this.#pools, failed).begin()
    } catch (thrown) {
      if (thrown instanceof Failure) answer(copy, thrown)
      else failed(thrown)
    }
  }
}

const copiedRoutes = new WeakMap<Route, Route>()

/** The request is changed as its original is; it is not tried again for what is answered, and has its time. */
function copiedRoute(route: Route): Route {
  let copied = copiedRoutes.get(route)
  if (copied === undefined) {
    const { name, origin, match, filters, action, timeouts } = route
    const requestMs = Math.min(timeouts?.requestMs || longestMs, longestMs)
    copiedRoutes.set(route, (copied = { name, origin, match, filters, action, timeouts: { requestMs } }))
  }
  return copied
}

/** Takes the answer to a copy, and drops it. */
class Drop implements Caller {
  readonly #onOver: () => void
  /** Body bytes that came while the copy's endpoint took none. */
  waitingBytes = 0
  isTaking = true
  isOver = false

  constructor(onOver: () => void) {
    this.#onOver = onOver
  }

  over(): void {
    if (this.isOver) return
    this.isOver = true
    this.#onOver()
  }
  respond(): void {}
  informational(): void {}
  data(): void {}
  end(): void {
    this.over()
  }
  flush(): boolean {
    return true
  }
  readBody(open: boolean): void {
    this.isTaking = open
    if (open) this.waitingBytes = 0
  }
  abort(): void {
    this.over()
  }
}

/** Takes the body of the original for its copy, as it comes. */
class Tap implements BodySink {
  readonly #copy: Exchange
  readonly #drop: Drop

  constructor(copy: Exchange, drop: Drop) {
    this.#copy = copy
    this.#drop = drop
  }

  data(bytes: Uint8Array): void {
    if (this.#drop.isOver) return
    if (!this.#drop.isTaking && (this.#drop.waitingBytes += bytes.length) > maxWaitingBytes) return this.#giveUp('overload')
    this.#copy.bodyData(bytes)
  }
  end(trailers: Fields): void {
    if (!this.#drop.isOver) this.#copy.bodyEnd(trailers)
  }
  flush(): void {
    if (!this.#drop.isOver) this.#copy.bodyFlush()
  }
  /** A request that never became whole is none for the copy either. */
  gone(): void {
    if (!this.#drop.isOver && !this.#copy.isBodyComplete) this.#giveUp('caller-gone')
  }
  #giveUp(reason: FailureCode): void {
    this.#copy.reason = reason
    this.#copy.callerGone()
    this.#drop.over()
  }
}
