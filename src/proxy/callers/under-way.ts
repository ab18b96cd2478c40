/** The requests that are under way in one data plane, from whichever caller: begun, told apart, held against newer rules, ended when they stand still, and counted. */

import { Failure } from '#base/failure'
import { IdMap } from '#base/id-map'
import type { View } from '#model/view'
import type { Authorizations } from '../access/authorize.ts'
import { Logins } from '../access/login.ts'
import { Tokens } from '../access/tokens.ts'
import type { Concurrency } from '../endpoints/concurrency.ts'
import type { Place } from '../place.ts'
import { answer } from '../requests/answer.ts'
import type { Exchange } from '../requests/exchange.ts'
import { Mirrors } from '../requests/mirror.ts'
import { Quotas } from '../requests/quota.ts'
import type { Limiter } from '../requests/rate-limit.ts'
import { accessOfTunnel, type Means, routeOf, serve } from '../requests/serve.ts'
import { denialOf } from '../telemetry/denial.ts'
import type { Entry } from '../telemetry/entry.ts'
import { connectUdp } from './caller-udp.ts'
import type { OnExchange } from './downstream.ts'

/** How often it is said that callers do the same wrong. */
const tellAgainMs = 60_000

/** What is shared with connections of opaque bytes. */
export type Shared = { readonly limiter: Limiter; readonly authorizations: Authorizations; readonly concurrency: Concurrency }

export class UnderWay {
  /** What a caller's connection tells of its requests. */
  readonly on: OnExchange
  readonly #place: Place
  readonly #exchanges = new IdMap<Exchange>(64)
  #last = 0
  #lastCalledAt = Number.NEGATIVE_INFINITY
  #isDraining = false
  /** What callers did wrong and was logged: once for each of them in a while, for they may do it often. */
  readonly #told = new Set<string>()
  #toldSince = 0

  constructor(place: Place, { limiter, authorizations, concurrency }: Shared) {
    this.#place = place
    const { pools, meter, gate, exit, log, self, tracer, accessLogs } = place
    const means: Means = {
      pools,
      meter,
      gate,
      exit,
      limiter,
      tokens: new Tokens(log),
      logins: new Logins(log, meter.registry),
      authorizations,
      quotas: new Quotas({ pools, meter, log, self, control: place.control ?? (() => undefined) }),
      concurrency,
      mirrors: new Mirrors(pools, meter, copy => this.#tellBug(copy)),
    }
    this.on = {
      begin: exchange => {
        exchange.id = this.#last = (this.#last % 0x3fff_ffff) + 1
        this.#exchanges.set(exchange.id, exchange)
        if (exchange.entry.listener.direction === 'inbound') this.#lastCalledAt = exchange.startedAt
        if (tracer.isOn) tracer.begin(exchange)
        if (accessLogs.isOn) accessLogs.begin(exchange)
        const refused = this.#whyNot(exchange)
        if (refused !== undefined) return answer(exchange, refused)
        serve(exchange, means, bug => {
          exchange.bug ??= bug
          exchange.callerGone()
          exchange.caller.abort()
        })
      },
      done: exchange => {
        this.#exchanges.delete(exchange.id)
        exchange.over()
        if (exchange.bug !== undefined) this.#tellBug(exchange)
        const now = performance.now()
        meter.request(exchange, now)
        if (exchange.trace !== undefined) tracer.end(exchange, now)
        if (accessLogs.isOn) accessLogs.request(exchange, now)
      },
      refused: (entry, failure, status) => {
        meter.refused(entry, failure.code, status)
        if (accessLogs.isOn)
          accessLogs.refused(
            entry,
            failure,
            { service: entry.listener.service, workload: '', identity: undefined },
            performance.now(),
            status,
          )
        this.#tellOnce(entry, `a request to ${entry.listener.service} was refused: ${failure.says}`, failure)
      },
      failed: (entry, failure) => {
        meter.failed(entry.listener, failure.code)
        this.#tellOnce(entry, `a connection to ${entry.listener.service} was ended: ${failure.says}`, failure)
      },
    }
  }

  /** What is not even begun: a caller of the mesh may try another endpoint at once, whatever its method. The workload may call out to the end. */
  #whyNot(exchange: Exchange): Failure | undefined {
    const { requests } = this.#place.limits
    if (this.#exchanges.size > requests) return new Failure('overload', `${requests} requests at once`)
    return this.#isDraining && exchange.entry.listener.direction === 'inbound' ? new Failure('draining') : undefined
  }

  #tellBug({ bug, entry }: Exchange): void {
    this.#place.log.error(`a bug ended a request to ${entry.listener.service}`, {
      error: bug instanceof Error ? (bug.stack ?? bug.message) : String(bug),
    })
  }

  #tellOnce(entry: Entry, text: string, { code }: Failure): void {
    const key = `${entry.listener.name}|${entry.peer ?? ''}|${code}`
    if (this.#told.has(key) || this.#told.size > 100) return
    this.#told.add(key)
    this.#place.log.warn(text, { reason: code, by: entry.peer ?? entry.source.service })
  }

  /** What the rules of now do not allow any more ends. */
  judgeAgain(now: View): void {
    for (const exchange of this.#exchanges.values()) {
      const failure = this.#whyNoMore(exchange, now)
      if (failure !== undefined) end(exchange, failure)
    }
  }

  #whyNoMore(exchange: Exchange, view: View): Failure | undefined {
    if (exchange.entry.listener.direction === 'gateway') return undefined
    const had = exchange.route
    try {
      const route = routeOf(exchange, view)
      if (route.egress !== undefined) return this.#place.exit.judge(exchange, route.egress)
      const access = exchange.method === 'CONNECT' ? accessOfTunnel(exchange, route, view) : route.access
      return access && this.#place.gate.reject(exchange, access)
    } catch (thrown) {
      if (!(thrown instanceof Failure)) throw thrown
      // What there is no route for any more is served to its end, as ever.
      return undefined
    } finally {
      exchange.route = had
    }
  }

  /** What stands still is ended, and what was let in for a time that is over. now: performance.now(). */
  sweep(now: number): void {
    const { stillMs } = this.#place.limits
    const today = Date.now()
    for (const exchange of this.#exchanges.values())
      if (exchange.ends !== undefined && exchange.ends.at <= today)
        end(exchange, new Failure(exchange.ends.code, 'what let the request in has ended while it was under way'))
      else if (exchange.stillFor(now) > stillMs && (!exchange.isTunnel || exchange.upgrade === connectUdp) && !exchange.isGrpc)
        exchange.expire(this.#stillness(exchange))
    if (now - this.#toldSince < tellAgainMs) return
    this.#toldSince = now
    this.#told.clear()
  }

  /** Whose turn it was. */
  #stillness(exchange: Exchange): Failure {
    const detail = `nothing passed for ${this.#place.limits.stillMs} ms`
    return new Failure(exchange.isBodyComplete ? 'upstream-timeout' : 'request-timeout', detail)
  }

  /** Whether no caller's request has been under way for so long. Tunnels do not count: nobody knows when those are done. now: performance.now(). */
  isQuiet(forMs: number, now: number): boolean {
    if (now - this.#lastCalledAt < forMs) return false
    for (const { entry, isTunnel } of this.#exchanges.values()) if (!isTunnel && entry.listener.direction === 'inbound') return false
    return true
  }

  /** From now on requests to the workload are not begun. */
  drain(): void {
    this.#isDraining = true
  }

  /** Sessions of datagrams to the workload. */
  endServed(): void {
    for (const exchange of this.#exchanges.values())
      if (exchange.upgrade === connectUdp && exchange.entry.listener.direction === 'inbound') exchange.expire(new Failure('draining'))
  }
}

/** What is under way does not go on. A tunnel has no other end than to be broken off. */
function end(exchange: Exchange, failure: Failure): void {
  exchange.reason ||= failure.code
  exchange.detail ||= failure.detail
  exchange.denial ??= denialOf(failure, exchange.route)
  if (!exchange.isTunnel || exchange.upgrade === connectUdp) return exchange.expire(failure)
  exchange.callerGone()
  exchange.caller.abort()
}
