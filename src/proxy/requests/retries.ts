/** The further tries of one request whose route asks for them: after which answers and failures, after what pause, and how many. */

import { backoffMs } from '#base/backoff'
import { Failure } from '#base/failure'
import type { Retry, RetryOn } from '#model/retry'
import type { Route } from '#model/route'
import { field, type ResponseHead } from '#wire/http1'
import type { Exchange } from './exchange.ts'
import { httpOf } from './grpc.ts'
import type { Guard, RetryOutcome } from '../endpoints/guard.ts'
import { leftMs } from '../endpoints/limit.ts'

/** Stands for an answer that was held back; `begin` of the next try is due. */
export const heldBack = new Failure('upstream-invalid', 'its answer was held back to ask again')

export class Retries {
  readonly #plan: Plan
  readonly #retry: Retry
  readonly #route: Route
  readonly #exchange: Exchange
  readonly #guard: Guard
  #made = 0
  #pauseMs = 0
  /** Of the answer that was held back. */
  heldStatus = 0
  /** For how long it asks to be spared. */
  heldPauseMs: number | undefined

  /** retry: that of the route. */
  constructor(retry: Retry, route: Route, exchange: Exchange, guard: Guard) {
    this.#retry = retry
    this.#plan = planOf(retry)
    this.#route = route
    this.#exchange = exchange
    this.#guard = guard
    guard.budget.count(exchange.startedAt)
  }

  /** How long to wait before the try that was granted. */
  get pauseMs(): number {
    return this.#pauseMs
  }

  /** The head of an answer, before it is passed on: `heldBack` where it is asked for again. */
  weigh(head: ResponseHead): Failure | undefined {
    const { upgrade, isGrpc, method } = this.#exchange
    if (upgrade !== undefined || method === 'CONNECT') return undefined
    const cause = this.#plan.statuses.has(head.status) ? String(head.status) : isGrpc ? this.#grpcCause(head) : undefined
    if (cause === undefined || !this.#grant(cause, pauseBeforeAgain(head, Date.now()))) return undefined
    this.heldPauseMs = pauseAskedBy(head, Date.now())
    this.heldStatus = head.status === 200 ? httpOf(Number(field(head.fields, 'grpc-status'))) : head.status
    return heldBack
  }

  /** A status that stands in the head of the answer, which is then all of it. */
  #grpcCause({ fields }: ResponseHead): string | undefined {
    const said = this.#plan.grpcStatuses.size === 0 ? undefined : field(fields, 'grpc-status')
    return said !== undefined && this.#plan.grpcStatuses.has(Number(said)) ? `grpc-${said}` : undefined
  }

  /** A failure before an answer: whether another try is granted. What broke under a request that may not be repeated is tried again only where that was asked for. */
  grants(failure: Failure): boolean {
    const { code, fate, status, blame } = failure
    const isOver = code === 'upstream-reset' || code === 'upstream-timeout'
    const isWanted = fate === 'safe' || this.#plan.statuses.has(status) || (isOver && (this.#exchange.isRepeatable || this.#plan.onReset))
    // What the mesh itself refuses, such as a limit that is reached, is not asked for again.
    return isWanted && (fate === 'safe' || blame === 'upstream') && this.#grant(code, 0)
  }

  /** askedMs: the pause that the endpoint asks for. */
  #grant(cause: string, askedMs: number): boolean {
    const now = performance.now()
    const outcome = this.#outcome(askedMs, now)
    this.#guard.tell(this.#route.origin, cause, outcome)
    if (outcome !== 'made') return false
    this.#made++
    return true
  }

  #outcome(askedMs: number, now: number): RetryOutcome {
    const { attempts, backoff, longestRetryAfterMs } = this.#retry
    if (this.#made >= attempts) return 'attempts'
    if (this.#exchange.isBodySpent || this.#exchange.isGone) return 'body'
    const asked = longestRetryAfterMs === undefined ? 0 : askedMs
    // From 1, as the pause of the first further try is by chance too.
    this.#pauseMs = Math.max(asked, backoffMs(backoff, this.#made + 1, Math.random()))
    if (asked > (longestRetryAfterMs ?? 0) || this.#pauseMs >= leftMs(this.#route, this.#exchange, now)) return 'time'
    return this.#guard.retry(now)
  }
}

/** What a policy comes to, found once for each. */
type Plan = { readonly statuses: ReadonlySet<number>; readonly grpcStatuses: ReadonlySet<number>; readonly onReset: boolean }

const plans = new WeakMap<Retry, Plan>()

function planOf(retry: Retry): Plan {
  let plan = plans.get(retry)
  if (plan === undefined) plans.set(retry, (plan = makePlan(retry)))
  return plan
}

const statusesOn: Partial<Record<RetryOn, readonly number[]>> = {
  '5xx': Array.from({ length: 100 }, (_, at) => 500 + at),
  'gateway-error': [502, 503, 504],
  'retriable-4xx': [409],
}
const grpcOn: Partial<Record<RetryOn, number>> = {
  cancelled: 1,
  'deadline-exceeded': 4,
  'resource-exhausted': 8,
  internal: 13,
  unavailable: 14,
}

const makePlan = ({ codes, on }: Retry): Plan => ({
  statuses: new Set([...codes, ...on.flatMap(each => statusesOn[each] ?? [])]),
  grpcStatuses: new Set(on.flatMap(each => grpcOn[each] ?? [])),
  onReset: on.some(each => each === 'reset' || each === '5xx' || each === 'gateway-error'),
})

/** RFC 9110 §10.2.3: seconds or a date; 0 where nothing that can be read is said. now: ms of Date.now(). */
export function retryAfterMs({ fields }: ResponseHead, now: number): number {
  const said = field(fields, 'retry-after')?.trim()
  if (said === undefined) return 0
  // Longer than anybody waits is no less than that.
  if (/^\d+$/.test(said)) return Math.min(Number(said), 1e9) * 1000
  const date = Date.parse(said)
  return Number.isNaN(date) ? 0 : Math.max(0, date - now)
}

/** As retryAfterMs; of gRPC what `grpc-retry-pushback-ms` says, of which anything but a number means never (gRFC A6). */
export function pauseBeforeAgain(head: ResponseHead, now: number): number {
  const pushback = field(head.fields, 'grpc-retry-pushback-ms')?.trim()
  if (pushback === undefined) return retryAfterMs(head, now)
  return /^\d+$/.test(pushback) ? Number(pushback) : Number.POSITIVE_INFINITY
}

/** For how long an endpoint wants not to be asked: `Retry-After`, of gRPC also `grpc-retry-pushback-ms` (gRFC A6). Undefined where it says nothing that can be read. now: ms of Date.now(). */
export function pauseAskedBy(head: ResponseHead, now: number): number | undefined {
  const pushback = field(head.fields, 'grpc-retry-pushback-ms')
  if (pushback !== undefined && /^\d{1,9}$/.test(pushback)) return Number(pushback)
  return retryAfterMs(head, now) || undefined
}
