/** What is remembered of each backend for the good of its endpoints: further tries, failures on end, and what is under way. It outlives views, for a change of configuration makes nobody healthy. */

import { Failure } from '#base/failure'
import type { Backend, Endpoint, Limits } from '#model/backend'
import type { OutlierDetection } from '#model/endpoint-health'
import { backendLimitLabels, fallbackLabels, hedgeLabels, metricNames, retryLabels } from '#model/metrics'
import type { View } from '#model/view'
import { Budget, defaultConstraint } from './budget.ts'
import { type Absent, type EjectionFamilies, ejectionFamilies, Ejections, type LeaveOut } from './ejections.ts'
import type { Family, Registry, Sample } from '../registry.ts'

/** Why a further try is not made although its answer calls for one; `made` where it is. */
export type RetryOutcome = 'made' | 'attempts' | 'budget' | 'limit' | 'body' | 'time'

/** won, lost: whether the further try was the first to answer. failed: nobody did. The others: why it was not made. */
export type HedgeOutcome = 'won' | 'lost' | 'failed' | 'budget' | 'limit' | 'body'

type Families = EjectionFamilies & { readonly retries: Family; readonly hedges: Family }

/** How much of each limit of a backend is used. isOpen: no more is taken; word of circuit breakers. */
export type LimitNow = { readonly limit: keyof Limits; readonly most: number; readonly used: number; readonly isOpen: boolean }

export class Guards {
  readonly #families: Families
  readonly #fallbacks: Family
  readonly #leaveOut: LeaveOut
  readonly #connectionsOf: (backend: string) => number
  readonly #guards = new Map<string, Guard>()
  readonly #known = new WeakMap<Backend, Guard>()

  /** connectionsOf: how many there are to the endpoints of a backend. */
  constructor(registry: Registry, leaveOut: LeaveOut, connectionsOf: (backend: string) => number = () => 0) {
    this.#leaveOut = leaveOut
    this.#connectionsOf = connectionsOf
    this.#families = {
      retries: registry.family(
        metricNames.retries,
        'counter',
        'Further tries that the retry of a route called for, and whether they were made',
        retryLabels,
      ),
      hedges: registry.family(metricNames.hedges, 'counter', 'Requests for which another try was due beside the first', hedgeLabels),
      ...ejectionFamilies(registry),
    }
    this.#fallbacks = registry.family(
      metricNames.fallbacks,
      'counter',
      'Requests that went to the Service named as fallback, and why',
      fallbackLabels,
    )
    const limit = registry.family(
      metricNames.backendLimit,
      'gauge',
      'How much there may be at once to a service; +Inf: no limit any more',
      backendLimitLabels,
    )
    const used = registry.family(metricNames.backendLimitUsed, 'gauge', 'How much of such a limit is used now', backendLimitLabels)
    registry.before(() => {
      // What has no limit any more is not limited to nothing.
      for (const sample of limit.samples.values()) sample.value = Number.POSITIVE_INFINITY
      for (const sample of used.samples.values()) sample.value = 0
      for (const { backend, service, limits } of this.limits())
        for (const each of limits) {
          limit.sample([service, backend, each.limit]).value = each.most
          used.sample([service, backend, each.limit]).value = each.used
        }
    })
  }

  /** A view may say otherwise of a backend of which something is remembered: who is left out serves again where nobody asks for that any more. */
  follow(backend: Backend): void {
    if (this.#guards.has(backend.name)) this.of(backend)
  }

  /** Another view holds: what it does not ask for any more ends now, and not only with the next request to that backend. */
  adopt(backends: View['backends']): void {
    for (const [name, guard] of this.#guards) {
      const backend = backends[name]
      if (backend === undefined) guard.follow({})
      else this.of(backend)
    }
  }

  /** A request goes to another service than it was to. */
  fellBack(service: string, fallback: string, reason: string): void {
    this.#fallbacks.sample([service, fallback, reason]).value++
  }

  /** Of backends with limits, how much of them is used now. */
  limits(): { readonly backend: string; readonly service: string; readonly limits: readonly LimitNow[] }[] {
    return [...this.#guards].flatMap(([backend, guard]) => {
      const limits = guard.limitsNow(this.#connectionsOf(backend))
      return limits.length === 0 ? [] : [{ backend, service: guard.service, limits }]
    })
  }

  /** For backends whose route or policy needs one. */
  of(backend: Backend): Guard {
    const known = this.#known.get(backend)
    if (known !== undefined) return known
    const guard = this.#guards.get(backend.name) ?? new Guard(backend, this.#families, this.#leaveOut)
    guard.follow(backend)
    this.#guards.set(backend.name, guard)
    this.#known.set(backend, guard)
    return guard
  }

  /** Who is not picked now, by backend: their addresses, and of each why and until when (ms since the epoch). */
  leftOut(): {
    readonly backend: string
    readonly service: string
    readonly endpoints: readonly string[]
    readonly absent: readonly Absent[]
  }[] {
    return [...this.#guards].flatMap(([backend, { absent, service }]) =>
      absent.length === 0 ? [] : [{ backend, service, endpoints: absent.map(({ address }) => address), absent }],
    )
  }

  /** The guard of a backend by its name, where there is one. */
  known(backend: string): Guard | undefined {
    return this.#guards.get(backend)
  }
}

export class Guard {
  readonly #families: Families
  readonly #leaveOut: LeaveOut
  readonly #told = new Map<string, Sample>()
  readonly #backend: Pick<Backend, 'name' | 'service'>
  /** Of the newest view. */
  limits: NonNullable<Backend['limits']> = {}
  #budget: Budget
  #ejections: Ejections | undefined
  /** Tries under way, those of them without a connection, and further tries from the moment they are granted. */
  #requests = 0
  #pending = 0
  #retries = 0
  #opaque = 0

  constructor(backend: Backend, families: Families, leaveOut: LeaveOut) {
    this.#families = families
    this.#leaveOut = leaveOut
    this.#backend = backend
    this.#budget = new Budget(backend.retryConstraint)
  }

  get budget(): Budget {
    return this.#budget
  }

  /** Another view may say otherwise; what was counted stays where it says the same. */
  follow({
    retryConstraint = defaultConstraint,
    limits = {},
    outlierDetection,
  }: Pick<Backend, 'retryConstraint' | 'limits' | 'outlierDetection'>): void {
    if (!isSame(retryConstraint, this.#budget.constraint)) this.#budget = new Budget(retryConstraint)
    this.limits = limits
    if (!isSame(outlierDetection, this.#ejections?.settings)) this.#judgeBy(outlierDetection)
  }

  #judgeBy(settings: OutlierDetection | undefined): void {
    this.#ejections?.end()
    this.#ejections = settings === undefined ? undefined : new Ejections(settings, this.#backend, this.#families, this.#leaveOut)
  }

  /** A connection of opaque bytes is made, and `closed` is owed. */
  opened(): void {
    this.#opaque++
  }
  closed(): void {
    this.#opaque--
  }
  get opaque(): number {
    return this.#opaque
  }
  get limitedConnections(): Failure {
    return limited('connections', this.limits.connections ?? 0)
  }

  /** A try begins, and `leave` is owed; the failure where there are as many as there may be. */
  enter(): Failure | undefined {
    const { requests } = this.limits
    if (requests !== undefined && this.#requests >= requests) return limited('requests', requests)
    this.#requests++
    return undefined
  }
  leave(): void {
    this.#requests--
  }

  /** As much is under way as there may be. */
  get isFull(): boolean {
    const { requests, pendingRequests } = this.limits
    return (requests !== undefined && this.#requests >= requests) || (pendingRequests !== undefined && this.#pending >= pendingRequests)
  }

  get service(): string {
    return this.#backend.service
  }

  limitsNow(connections: number): readonly LimitNow[] {
    const used = { connections, pendingRequests: this.#pending, requests: this.#requests, retries: this.#retries }
    return limitNames.flatMap(limit => {
      const most = this.limits[limit]
      return most === undefined ? [] : [{ limit, most, used: used[limit], isOpen: used[limit] >= most }]
    })
  }

  /** It needs a connection that is not there yet, and `waited` is owed; the failure where too many do. */
  wait(): Failure | undefined {
    const { pendingRequests } = this.limits
    if (pendingRequests !== undefined && this.#pending >= pendingRequests) return limited('pendingRequests', pendingRequests)
    this.#pending++
    return undefined
  }
  waited(): void {
    this.#pending--
  }

  /** Whether one more further try may be under way; then `retried` is owed. now: ms of performance.now(). */
  retry(now: number): 'made' | 'limit' | 'budget' {
    if (this.#retries >= (this.limits.retries ?? Number.POSITIVE_INFINITY)) return 'limit'
    if (!this.#budget.take(now)) return 'budget'
    this.#retries++
    return 'made'
  }
  retried(): void {
    this.#retries--
  }

  /** Counts what became of a further try. route: its origin. cause: a status, `grpc-` and a status of gRPC, or a failure code. */
  tell(route: string, cause: string, outcome: RetryOutcome): void {
    const key = `${route}\n${cause}\n${outcome}`
    let sample = this.#told.get(key)
    if (sample === undefined) this.#told.set(key, (sample = this.#families.retries.sample([this.#backend.service, route, cause, outcome])))
    sample.value++
  }

  /** Counts what became of another try beside the first. route: its origin. */
  tellHedge(route: string, outcome: HedgeOutcome): void {
    this.#families.hedges.sample([this.#backend.service, route, outcome]).value++
  }

  /** Who is not picked now. */
  get absent(): readonly Absent[] {
    return this.#ejections?.leftOut ?? []
  }

  /** What an endpoint answered; undefined: nothing. count: of all endpoints. pauseMs: for how long it asks to be spared. */
  answered(endpoint: Endpoint, status: number | undefined, count: number, pauseMs?: number): void {
    this.#ejections?.answered(endpoint, status, count, pauseMs)
  }
}

const limitNames = ['connections', 'pendingRequests', 'requests', 'retries'] as const

const limited = (name: string, most: number): Failure => new Failure('backend-limit', `limits.${name} of ${most}`)

const isSame = (one: object | undefined, other: object | undefined): boolean => JSON.stringify(one) === JSON.stringify(other)
