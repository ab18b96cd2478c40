/**
 * What all proxies together take in: a service that counts for them is asked about each request, and whether it goes on without an answer is the policy's choice.
 *
 *   descriptors of the request ─▶ known to be over? ─▶ service silent lately? ─▶ ask ─▶ over: 429 · within: on · no answer: on, or 503
 */

import { Failure } from '#base/failure'
import type { Log } from '#base/log'
import { controlId, isTrustDomain } from '#identity/spiffe'
import type { Backend } from '#model/backend'
import type { NameValue } from '#model/filter'
import { controlBackend, limitField, type LimitService, policyField, type Quota, seconds } from '#model/rate-limit'
import type { View } from '#model/view'
import { hasUnit, type LimitDescriptor, type LimitReply, type LimitStatus, shouldRateLimit } from '#xds/rpcs'
import type { Party } from '../telemetry/entry.ts'
import type { Exchange } from './exchange.ts'
import { callGrpc } from './grpc-call.ts'
import { valueAt } from './limit-keys.ts'
import type { Meter } from '../telemetry/meter.ts'
import type { Pools } from '../upstreams/pool.ts'

/** What was said to be over is not asked about again for so long, or until more is let in, whichever is shorter. */
const longestOverMs = 1000
/** Of so many at most is remembered that they are over. */
const maxOver = 10_000
/** After so many questions on end without an answer only one request in a while waits for one. */
const maxSilent = 3
const askAgainMs = 1000

/** Of one service. nextAt: when it is asked again although it is silent; performance.now(). */
type Standing = { silent: number; nextAt: number }
type Over = { readonly until: number; readonly failure: Failure; readonly fields: readonly NameValue[] }

export type QuotasOptions = {
  readonly pools: Pools
  readonly meter: Meter
  readonly log: Log
  readonly self: () => Party
  /** Where the control plane is; undefined where there is none. */
  readonly control: () => { readonly host: string; readonly port: number } | undefined
}

export class Quotas {
  readonly #options: QuotasOptions
  readonly #standings = new Map<string, Standing>()
  #over = new WeakMap<Quota, Map<string, Over>>()

  constructor(options: QuotasOptions) {
    this.#options = options
  }

  /** Calls `goOn` now or later, or throws `rate-limited` or `rate-limit-unavailable`, or gives it to `refuse` later. A caller that is gone meanwhile gets neither. */
  ask(exchange: Exchange, quota: Quota, view: View, goOn: () => void, refuse: (failure: Failure) => void): void {
    const { pools, meter, self } = this.#options
    const descriptors = descriptorsOf(quota, exchange)
    if (descriptors.length === 0) return goOn()
    const now = performance.now()
    const key = keyOf(descriptors)
    const over = this.#knownOver(quota, key, now)
    if (over !== undefined) {
      meter.limited(quota.name, 'global', 'limited')
      tell(exchange, quota, over.fields)
      throw over.failure
    }
    const listener = view.listeners[exchange.entry.listener.name] ?? exchange.entry.listener
    const service = listener.limitService
    if (service === undefined) return this.#without(quota, 'no service is named', goOn)
    const standing = this.#standingOf(service.backend)
    if (standing.silent >= maxSilent && now < standing.nextAt) return this.#without(quota, `${service.backend} does not answer`, goOn)
    standing.nextAt = now + askAgainMs
    exchange.wasHeldUp = true
    const message = shouldRateLimit.request.encode({ domain: service.domain, descriptors, hits: 1 })
    const asked = {
      backend: service.backend,
      path: shouldRateLimit.path,
      message,
      timeoutMs: service.timeoutMs,
      source: self(),
      trace: exchange.trace,
    }
    callGrpc({ ...asked, view: this.#viewWith(service, view) }, pools, reply => {
      try {
        const told = 'why' in reply ? reply : decoded(reply)
        if ('why' in told) {
          this.#silent(service, standing, told.why)
          if (!exchange.isGone) this.#without(quota, told.why, goOn)
          return
        }
        this.#answers(service, standing)
        if (exchange.isGone) return
        this.#judge(exchange, quota, key, told, goOn)
      } catch (thrown) {
        if (!(thrown instanceof Failure)) throw thrown
        refuse(thrown)
      }
    })
  }

  #judge(exchange: Exchange, quota: Quota, key: string, reply: LimitReply, goOn: () => void): void {
    const { isOver, requestHeaders } = reply
    const fields = fieldsOf(quota, reply)
    tell(exchange, quota, fields)
    this.#options.meter.limited(quota.name, 'global', isOver ? 'limited' : 'allowed')
    if (!isOver) {
      if (requestHeaders.length > 0) exchange.requestChange = withSet(exchange.requestChange, requestHeaders)
      return goOn()
    }
    const status = narrowest(reply)
    const failure = new Failure('rate-limited', `${quota.name}: of all workloads together`)
    if (status?.resetMs !== undefined)
      this.#remember(quota, key, { until: performance.now() + Math.min(longestOverMs, status.resetMs), failure, fields })
    throw failure
  }

  /** There is no answer: what the policy wants then. */
  #without(quota: Quota, why: string, goOn: () => void): void {
    this.#options.meter.limited(quota.name, 'global', quota.failsOpen ? 'failed-open' : 'failed-closed')
    if (quota.failsOpen) return goOn()
    throw new Failure('rate-limit-unavailable', `${quota.name}: ${why}`)
  }

  #knownOver(quota: Quota, key: string, now: number): Over | undefined {
    const found = this.#over.get(quota)?.get(key)
    if (found === undefined || found.until > now) return found
    this.#over.get(quota)!.delete(key)
    return undefined
  }

  #remember(quota: Quota, key: string, over: Over): void {
    let known = this.#over.get(quota)
    if (known === undefined) this.#over.set(quota, (known = new Map()))
    if (known.size >= maxOver) known.clear()
    known.set(key, over)
  }

  #standingOf(backend: string): Standing {
    let standing = this.#standings.get(backend)
    if (standing === undefined) this.#standings.set(backend, (standing = { silent: 0, nextAt: 0 }))
    return standing
  }

  #silent({ backend }: LimitService, standing: Standing, why: string): void {
    if (++standing.silent === maxSilent)
      this.#options.log.warn(`the rate limit service ${backend} does not answer; policies say whether requests go on without it`, {
        reason: why,
      })
  }

  #answers({ backend }: LimitService, standing: Standing): void {
    if (standing.silent >= maxSilent) this.#options.log.info(`the rate limit service ${backend} answers again`)
    standing.silent = 0
  }

  /** With the control plane among the backends, where that is asked. */
  #viewWith({ backend }: LimitService, view: View): View {
    if (backend !== controlBackend) return view
    let made = withControl.get(view)
    if (made === undefined) {
      const place = this.#options.control()
      withControl.set(view, (made = place === undefined ? view : controlView(view, place)))
    }
    return made
  }
}

const withControl = new WeakMap<View, View>()

function controlView(view: View, { host, port }: { readonly host: string; readonly port: number }): View {
  const { domain } = view.trust
  const backend: Backend = {
    name: controlBackend,
    service: 'control.weft-system',
    type: 'endpoints',
    port,
    protocol: 'http2',
    balance: 'round-robin',
    connectTimeoutMs: 1000,
    identities: isTrustDomain(domain) ? [controlId(domain)] : [],
  }
  const endpoint = { host, port, weight: 1, health: 'healthy', mtls: true, workload: 'control.weft-system' } as const
  return {
    ...view,
    backends: { [controlBackend]: backend },
    endpoints: { [controlBackend]: { backend: controlBackend, endpoints: [endpoint] } },
  }
}

/** Those of which the request has all parts. */
function descriptorsOf({ descriptors, rate }: Quota, exchange: Exchange): readonly LimitDescriptor[] {
  const limit = rate !== undefined && hasUnit(rate.intervalMs) ? { limit: rate } : {}
  return descriptors.flatMap((entries): readonly LimitDescriptor[] => {
    const found: { readonly key: string; readonly value: string }[] = []
    for (const entry of entries) {
      const value = entry.type === 'constant' ? entry.value : (valueAt(exchange, entry) ?? entry.absent)
      if (value === undefined) return []
      found.push({ key: entry.key, value })
    }
    return [{ entries: found, ...limit }]
  })
}

const keyOf = (descriptors: readonly LimitDescriptor[]): string =>
  descriptors.map(({ entries }) => entries.map(({ value }) => value).join('\0')).join('\0\0')

function decoded(bytes: Uint8Array): LimitReply | { readonly why: string } {
  try {
    return shouldRateLimit.reply.decode(bytes)
  } catch (thrown) {
    return { why: `its reply cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}` }
  }
}

/** Of several limits the one that is over, or else has least left. */
const narrowest = ({ statuses }: LimitReply): LimitStatus | undefined =>
  statuses.find(({ isOver }) => isOver) ??
  statuses.filter(({ limit }) => limit !== undefined).sort((one, other) => one.remaining - other.remaining)[0]

/** What the service says, or what its numbers come to. */
function fieldsOf({ name }: Quota, reply: LimitReply): readonly NameValue[] {
  const said = reply.responseHeaders
  const status = narrowest(reply)
  if (status === undefined || said.some(each => each.name === 'ratelimit')) return said
  const { limit, remaining, resetMs, isOver } = status
  return [
    ...said,
    ...(limit === undefined ? [] : [{ name: 'ratelimit-policy', value: policyField(name, limit) }]),
    ...(limit === undefined || resetMs === undefined ? [] : [{ name: 'ratelimit', value: limitField(name, remaining, resetMs) }]),
    ...(isOver && resetMs !== undefined && !said.some(each => each.name === 'retry-after')
      ? [{ name: 'retry-after', value: seconds(resetMs) }]
      : []),
  ]
}

/** Both fields are lists, in which what the proxy's own limit has said stands before: where that is of the same policy, this one has another name. */
function tell(exchange: Exchange, { name }: Quota, fields: readonly NameValue[]): void {
  if (fields.length === 0) return
  const quoted = `"${name}"`
  const isTwo = exchange.answerChange?.set.some(each => each.name === 'ratelimit' && each.value.startsWith(quoted)) === true
  const set = isTwo ? fields.map(each => ({ name: each.name, value: each.value.replace(quoted, `"${name}/global"`) })) : fields
  exchange.changeAnswer({ set, add: [], remove: [] })
}

const withSet = (change: Exchange['requestChange'], set: readonly NameValue[]) => ({
  set: [...(change?.set ?? []), ...set],
  add: change?.add ?? [],
  remove: change?.remove ?? [],
})
