/** What happens to a connection that came in: which listener it met, what its bytes are, who carries it. One file as a whole, because every way in ends at the same few ways on. */

import { Failure, type FailureCode } from '#base/failure'
import { IdMap } from '#base/id-map'
import type { Log } from '#base/log'
import { breakOff, closeInOrder, type Socket } from '#io/net'
import type { DatagramSession } from '#io/udp'
import type { Access } from '#model/access-rule'
import type { Listener } from '#model/listener'
import type { View } from '#model/view'
import { isGivenOut, listenerAt } from '#model/virtual'
import { wayOutAt } from '#model/way-out'
import { beginsHttp2, detect, isForeign } from '#wire/detect'
import type { Ends } from '#wire/proxy-protocol'
import { callerOf, type Gate } from '../access/access.ts'
import { answer } from '../requests/answer.ts'
import { Arrivals } from './arrivals.ts'
import { refusePlaintext } from './arrival.ts'
import { Authorizations } from '../access/authorize.ts'
import { connectUdp, UdpCaller } from './caller-udp.ts'
import { Concurrency, type ConcurrencyNow } from '../endpoints/concurrency.ts'
import type { Reach } from '../upstreams/connect.ts'
import { type CallerConnection, Downstream, type EntryOf, type OnExchange } from './downstream.ts'
import { Http2Downstream } from './downstream-http2.ts'
import type { Exchange } from '../requests/exchange.ts'
import { type Entry, outside, type Party, partyOf } from '../telemetry/entry.ts'
import { asksForBytes, type Exit } from '../exit.ts'
import { firstBytes } from './first-bytes.ts'
import { hopAlpn } from '../upstreams/hop.ts'
import type { Meter } from '../telemetry/meter.ts'
import { Mirrors } from '../requests/mirror.ts'
import { Opaque, outOfMesh } from './opaque.ts'
import type { Pools } from '../upstreams/pool.ts'
import { endsOf, readHeader } from './proxy-header.ts'
import { Quotas } from '../requests/quota.ts'
import { Logins } from '../access/login.ts'
import { Tokens } from '../access/tokens.ts'
import { Limiter } from '../requests/rate-limit.ts'
import { type Means, accessOfTunnel, routeOf, serve } from '../requests/serve.ts'

export type Place = {
  readonly view: () => View
  /** Resolves when the first view is there, or rejects with `not-ready` after its patience. */
  readonly ready: () => Promise<void>
  readonly isReady: () => boolean
  readonly self: () => Party
  readonly pools: Pools
  readonly reach: Reach
  readonly meter: Meter
  readonly log: Log
  readonly gate: Gate
  /** How long a connection may be silent before it counts as opaque; absent: 60 ms. */
  readonly detectMs?: number | undefined
  readonly exit: Exit
  readonly limits: Limits
  /** Where the control plane is. */
  readonly control?: (() => { readonly host: string; readonly port: number } | undefined) | undefined
}

/** What one proxy carries at once; docs/reference/limits.md says what happens beyond. */
export type Limits = {
  readonly connections: number
  readonly requests: number
  /** How long nothing may pass on an exchange, neither of the request nor of the answer. Tunnels and gRPC, which keep watch themselves, may be silent. */
  readonly stillMs: number
}
export const defaultLimits: Limits = { connections: 16_384, requests: 16_384, stillMs: 300_000 }

/** How long it is asked whether a silent caller of HTTP speaks version 2; from then on it is taken for version 1, whose reader has limits of its own. */
const firstRequestMs = 60_000

/** What detected bytes count as. */
const spokenAs = { http1: 'http', http2: 'http2', tls: 'tls', opaque: 'tcp', more: 'tcp' } as const

/** Datagrams come in it, from another proxy. */
const speaksHttp: ReadonlySet<Listener['protocol']> = new Set(['http', 'http2', 'grpc', 'udp'])

/** How often it is said that callers do the same wrong. */
const tellAgainMs = 60_000

/** How long a connection that came while the proxy drains may take for its request. */
const drainingMs = 1000

export class Acceptor {
  readonly #place: Place
  /** With where it came in, where that is the same for all that comes on it. */
  readonly #open = new Map<CallerConnection, Entry | undefined>()
  /** Callers that proved nothing at a port where that was enough: which port, and what carries their requests. */
  readonly #nameless = new Map<Socket, { readonly listener: string; downstream?: CallerConnection }>()
  /** Of datagrams that began here. */
  readonly #sessions = new Set<UdpCaller>()
  readonly #opaque: Opaque
  readonly #limiter: Limiter
  readonly #arrivals: Arrivals
  readonly #concurrency: Concurrency
  readonly #authorizations: Authorizations
  readonly #on: OnExchange
  readonly #underWay = new IdMap<Exchange>(64)
  #last = 0
  #lastCalledAt = Number.NEGATIVE_INFINITY
  #isDraining = false
  #isRetiring = false
  /** What callers did wrong and was logged: once for each of them in a while, for they may do it often. */
  readonly #told = new Set<string>()
  #toldSince = 0

  constructor(place: Place) {
    this.#place = place
    this.#limiter = new Limiter((policy, scope, outcome) => place.meter.limited(policy, scope, outcome))
    const { pools, meter } = place
    this.#authorizations = new Authorizations({ pools, meter, log: place.log, self: place.self })
    this.#opaque = new Opaque(place, this.#limiter, this.#authorizations)
    this.#concurrency = new Concurrency(meter.registry)
    this.#arrivals = new Arrivals(meter.registry)
    const means: Means = {
      pools,
      meter,
      gate: place.gate,
      exit: place.exit,
      limiter: this.#limiter,
      tokens: new Tokens(place.log),
      logins: new Logins(place.log, meter.registry),
      authorizations: this.#authorizations,
      quotas: new Quotas({ pools, meter, log: place.log, self: place.self, control: place.control ?? (() => undefined) }),
      concurrency: this.#concurrency,
      mirrors: new Mirrors(pools, meter, copy => this.#tellBug(copy)),
    }
    this.#on = {
      begin: exchange => {
        exchange.id = this.#last = (this.#last % 0x3fff_ffff) + 1
        this.#underWay.set(exchange.id, exchange)
        if (exchange.entry.listener.direction === 'inbound') this.#lastCalledAt = exchange.startedAt
        const refused = this.#whyNot(exchange)
        if (refused !== undefined) return answer(exchange, refused)
        serve(exchange, means, bug => {
          exchange.bug ??= bug
          exchange.callerGone()
          exchange.caller.abort()
        })
      },
      done: exchange => {
        this.#underWay.delete(exchange.id)
        exchange.over()
        if (exchange.bug !== undefined) this.#tellBug(exchange)
        place.meter.request(exchange, performance.now())
      },
      refused: (entry, failure, status) => {
        place.meter.refused(entry, failure.code, status)
        this.#tellOnce(entry, `a request to ${entry.listener.service} was refused: ${failure.says}`, failure)
      },
      failed: (entry, failure) => {
        place.meter.failed(entry.listener, failure.code)
        this.#tellOnce(entry, `a connection to ${entry.listener.service} was ended: ${failure.says}`, failure)
      },
    }
  }

  /** What is not even begun: a caller of the mesh may try another endpoint at once, whatever its method. The workload may call out to the end. */
  #whyNot(exchange: Exchange): Failure | undefined {
    const { requests } = this.#place.limits
    if (this.#underWay.size > requests) return new Failure('overload', `${requests} requests at once`)
    return this.#isDraining && exchange.entry.listener.direction === 'inbound' ? new Failure('draining') : undefined
  }

  /** From the workload, to wherever it wanted to go. */
  async outbound(socket: Socket, destination: { host: string; port: number }): Promise<void> {
    const { view, self } = this.#place
    if (!(await this.#isReady(socket))) return
    const listener = listenerAt(view(), destination.host, destination.port)
    if (listener === undefined)
      return isGivenOut(destination.host) ? this.#nobodyThere(socket, destination) : this.#leave(socket, destination)
    const ends = (): Ends | undefined => {
      const own = endsOf(socket)
      return own && { ...own, destination }
    }
    await this.#carry(socket, { listener, view, peer: undefined, source: self(), ends })
  }

  /** Such an address is nobody's outside: what is sent on would come to whoever routes it. */
  #nobodyThere(socket: Socket, wanted: { readonly host: string; readonly port: number }): void {
    const { view, self, exit } = this.#place
    const failure = new Failure('no-listener', `${wanted.host}:${wanted.port}`)
    this.#turnAway(socket, outOfMesh(exit.destinationOf(wanted), view, self()), failure)
  }

  /** To what is no service of the mesh: by the rules and hosts of the view where it has any, else wherever it wants. */
  async #leave(socket: Socket, wanted: { readonly host: string; readonly port: number }): Promise<void> {
    const { view, self, exit } = this.#place
    const way = wayOutAt(view(), wanted.port)
    const entry = outOfMesh(exit.destinationOf(wanted), view, self(), way)
    // Who speaks HTTP is told why it may not go there.
    if (way !== undefined && (asksForBytes(way, view()) || exit.whyNoMore(entry, view(), false) !== undefined))
      return this.#carry(socket, entry)
    if (this.#isFull) return this.#overflow(socket, entry)
    return way === undefined ? this.#opaque.passThrough(socket, entry) : this.#opaque.carry(socket, entry)
  }

  /** A flow of datagrams of the workload, or of a sender that came to the listener's own address. */
  datagrams(session: DatagramSession, listener: Listener): void {
    const { view, self, meter } = this.#place
    const samples = meter.datagrams(listener.service, `${session.to.host}:${session.to.port}`)
    const ends = listener.hash === undefined ? {} : { ends: () => ({ source: session.from, destination: session.to }) }
    const entry: Entry = { listener, view, peer: undefined, source: self(), ...ends }
    const caller = new UdpCaller(
      session,
      entry,
      this.#on,
      samples,
      () => this.#sessions.delete(caller),
      (policy, fault) => meter.fault(policy, listener.name, fault),
    )
    this.#sessions.add(caller)
  }

  /** From the workload, to where the operator does not want the mesh to be: whatever listens there, and even before the mesh is known. */
  async excluded(socket: Socket, destination: { host: string; port: number }): Promise<void> {
    const { view, self, exit } = this.#place
    await this.#opaque.passThrough(socket, outOfMesh(exit.destinationOf(destination), view, self()))
  }

  /** From a caller at a listener's own address: on the mesh, or of this workload where the listener leads out. peer: the SPIFFE id it proved; undefined over plaintext. */
  async inbound(
    socket: Socket,
    name: string,
    peer: string | undefined,
    via: string | false | null,
    ends = () => endsOf(socket),
  ): Promise<void> {
    const { view, self } = this.#place
    if (!(await this.#isReady(socket))) return
    const listener = view().listeners[name]
    if (listener === undefined) return void socket.destroy()
    if (listener.direction === 'inbound') this.#met(socket, name, peer, ends)
    // A caller that agreed on a version of HTTP has said what its bytes are; one that agreed on nothing speaks opaque bytes where both are possible.
    const settled: Listener =
      listener.protocol === 'detect' && peer !== undefined ? { ...listener, protocol: typeof via === 'string' ? 'http' : 'tcp' } : listener
    const source = listener.direction === 'outbound' ? self() : partyOf(peer, view().trust)
    await this.#carry(socket, { listener: settled, view, peer, source, own: self().identity, ends }, via)
  }

  #met(socket: Socket, listener: string, peer: string | undefined, ends: () => Ends | undefined): void {
    this.#arrivals.opened(socket, listener, peer === undefined ? 'plaintext' : 'mutual', ends)
    if (peer !== undefined) return
    this.#nameless.set(socket, { listener })
    socket.once('close', () => this.#nameless.delete(socket))
  }

  /** Where mutual TLS is demanded from now on, who proved nothing gets the answers that are under way and no more; bytes end at once. */
  #partNameless(now: View): void {
    for (const [socket, { listener, downstream }] of this.#nameless) {
      if (now.listeners[listener]?.tls?.mode !== 'strict') continue
      if (downstream === undefined) breakOff(socket)
      else downstream.drain()
    }
  }

  /** From a caller that came in plaintext where the listener demands an identity. first: what it sent, still unread. */
  refuse(socket: Socket, listener: Listener, first: Uint8Array): void {
    const failure = new Failure('identity-required', listener.name)
    this.#arrivals.refused(socket, listener.name)
    this.#refused(listener, failure, 'it speaks plaintext')
    refusePlaintext(socket, first, failure)
  }

  /** Who called whom, as the balancer in front says; undefined where it does not, and then the connection is over. */
  async announced(socket: Socket, listener: Listener): Promise<(() => Ends | undefined) | undefined> {
    try {
      const ends = (await readHeader(socket)) ?? endsOf(socket)
      return () => ends
    } catch (thrown) {
      if (!(thrown instanceof Failure)) throw thrown
      this.#refused(listener, thrown, thrown.says)
      breakOff(socket)
      return undefined
    }
  }

  #refused(listener: Listener, { code }: Failure, why: string): void {
    const { view, meter, log } = this.#place
    const entry: Entry = { listener, view, peer: undefined, source: outside }
    meter.connection(entry, { service: listener.service, workload: '', identity: undefined }, code).close(code)
    log.warn(`a caller of ${listener.name} was refused: ${why}`, { reason: code })
  }

  /** From outside the mesh, through a port that somebody published on purpose: no identity, so the listener's demand for one is lifted here and only here. */
  async published(socket: Socket, name: string, ends = () => endsOf(socket)): Promise<void> {
    const { view } = this.#place
    if (!(await this.#isReady(socket))) return
    const listener = view().listeners[name]
    if (listener === undefined) return void socket.destroy()
    const { tls: _, ...open } = listener
    await this.#carry(socket, { listener: open, view, peer: undefined, source: outside, ends })
  }

  /** From outside the mesh, at a port of a Gateway. via: what its TLS agreed on; undefined: plaintext. */
  async entered(socket: Socket, listener: Listener, ends: () => Ends | undefined, via?: string | false | null): Promise<void> {
    const { view } = this.#place
    await this.#carry(socket, { listener, view, peer: undefined, source: outside, ends, isSecure: via !== undefined }, via ?? undefined)
  }

  async #isReady(socket: Socket): Promise<boolean> {
    if (this.#place.isReady()) return true
    try {
      await this.#place.ready()
      return !socket.destroyed
    } catch {
      breakOff(socket)
      return false
    }
  }

  async #carry(socket: Socket, entry: Entry, via?: string | false | null): Promise<void> {
    const { listener } = entry
    if (this.#isFull) return this.#overflow(socket, entry)
    const { meter, detectMs } = this.#place
    if (listener.protocol !== 'detect') meter.detected(listener, listener.protocol, 'declared')
    if (speaksHttp.has(listener.protocol)) return this.#http(socket, entry, via)
    if (listener.protocol !== 'detect') return this.#opaque.carry(socket, entry)
    const ahead = this.#opaque.ahead(entry)
    const first = await firstBytes(socket, detectMs, undefined, finish => ahead.start(finish))
    if (socket.destroyed) return ahead.drop()
    const { kind } = detect(first)
    if (kind === 'http1' || kind === 'http2') ahead.drop()
    meter.detected(listener, spokenAs[kind], spokenAs[kind] === 'tcp' ? 'opaque' : 'sniffed')
    if (kind === 'http1') this.http(socket, () => entry, first, entry.destination === undefined ? undefined : entry)
    else if (kind === 'http2') this.#http2(socket, entry, false, first)
    else await this.#opaque.carry(socket, entry, first, ahead)
  }

  /** HTTP of whichever version: agreed on in the handshake, or told by the first bytes. */
  async #http(socket: Socket, entry: Entry, via: string | false | null | undefined): Promise<void> {
    if (via === hopAlpn || via === 'h2') return this.#http2(socket, entry, via === hopAlpn)
    const kept = entry.listener.direction === 'gateway' ? entry : undefined
    if (via === 'http/1.1') return this.http(socket, () => entry, undefined, kept)
    const first = await firstBytes(socket, firstRequestMs, beginsHttp2)
    if (socket.destroyed) return
    if (beginsHttp2(first) === true) this.#http2(socket, entry, false, first)
    else if (isForeign(first)) {
      this.#turnAway(socket, entry, new Failure('bad-request', 'the first line is not of HTTP'), closeInOrder)
    } else this.http(socket, () => entry, first, kept)
  }

  get #isFull(): boolean {
    return this.openConnections >= this.#place.limits.connections
  }

  #overflow(socket: Socket, entry: Entry): void {
    this.#turnAway(socket, entry, new Failure('overload', `${this.#place.limits.connections} connections at once`))
  }

  #turnAway(socket: Socket, entry: Entry, failure: Failure, close: (socket: Socket) => void = breakOff): void {
    const { meter, log } = this.#place
    meter.connection(entry, { service: entry.listener.service, workload: '', identity: undefined }, failure.code).close(failure.code)
    log.warn(`a connection to ${entry.listener.service} was refused: ${failure.says}`, { reason: failure.code })
    socket.on('error', () => {})
    close(socket)
  }

  /** A connection that is known to speak HTTP/1.x. */
  http(socket: Socket, entryOf: EntryOf, first?: Uint8Array, entry?: Entry): void {
    if (this.#isFull) return breakOff(socket)
    this.#keep(socket, new Downstream(socket, entryOf, this.#on, first), entry)
  }

  #http2(socket: Socket, entry: Entry, isWeft: boolean, first?: Uint8Array): void {
    this.#keep(socket, new Http2Downstream(socket, () => entry, this.#on, isWeft, first), entry)
  }

  #keep(socket: Socket, downstream: CallerConnection, entry?: Entry): void {
    this.#open.set(downstream, entry)
    const nameless = this.#nameless.get(socket)
    if (nameless !== undefined) nameless.downstream = downstream
    socket.once('close', () => this.#open.delete(downstream))
    // Its first request is told to go elsewhere; silence is not waited for long.
    if (this.#isDraining) setTimeout(() => downstream.drain(), drainingMs).unref()
    else if (this.#isRetiring) downstream.retire()
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

  /** Ports whose requests at once are limited by what their workload bears. */
  get concurrency(): readonly ConcurrencyNow[] {
    return this.#concurrency.now
  }

  /** What the rules of the newest view do not allow any more ends: requests and tunnels under way, connections, and those whose caller may do nothing here. */
  rejudge(before: View): void {
    const now = this.#place.view()
    this.#concurrency.follow(now)
    this.#partNameless(now)
    if (hasLostDoor(before, now)) this.#leaveDoors(now)
    if (hasOtherAccess(before, now) || hasOtherEgress(before, now)) this.judgeAgain()
  }

  /** What is open is held against the rules of now: those of a newer view, or those of this one at another time. */
  judgeAgain(): void {
    const now = this.#place.view()
    this.#opaque.rejudge()
    for (const exchange of this.#underWay.values()) {
      const failure = this.#whyNoMore(exchange, now)
      if (failure === undefined) continue
      end(exchange, failure)
    }
    for (const [downstream, entry] of this.#open) {
      // Its next request would meet rules that are no more, or not there yet.
      if (entry?.destination !== undefined && now.listeners[entry.listener.name] === undefined) downstream.drain()
      const accesses = entry === undefined || entry.listener.direction !== 'inbound' ? [] : accessesOf(now, entry.listener)
      if (accesses.length > 0 && accesses.every(access => access !== undefined && callerOf(entry!, access).isRefused)) downstream.drain()
    }
  }

  /** Of a port that the Gateway has no more: what is under way is answered, and no further request comes in by a connection that was kept. */
  #leaveDoors(now: View): void {
    for (const [downstream, entry] of this.#open)
      if (entry?.listener.direction === 'gateway' && now.listeners[entry.listener.name] === undefined) downstream.drain()
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

  /** Slow heads are answered 408, what stands still is ended, idle connections closed. */
  sweep(now: number): void {
    for (const downstream of this.#open.keys()) downstream.sweep(now)
    const { stillMs } = this.#place.limits
    const today = Date.now()
    for (const exchange of this.#underWay.values())
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
    for (const { entry, isTunnel } of this.#underWay.values()) if (!isTunnel && entry.listener.direction === 'inbound') return false
    return true
  }

  drain(): void {
    this.#isDraining = true
    // Nobody says when a session is done: what is asked now is still answered, and then its caller goes elsewhere.
    setTimeout(() => this.#endServed(), drainingMs).unref()
    for (const downstream of this.#open.keys()) downstream.drain()
  }

  /** Sessions to the workload. */
  #endServed(): void {
    for (const exchange of this.#underWay.values())
      if (exchange.upgrade === connectUdp && exchange.entry.listener.direction === 'inbound') exchange.expire(new Failure('draining'))
  }

  /** Others take new connections; those that are open are served until they have heard of it. */
  retire(): void {
    this.#isRetiring = true
    for (const downstream of this.#open.keys()) downstream.retire()
  }

  /** Ends all that is still open; reason: what is counted for each request and connection that this breaks. */
  cut(reason: FailureCode): void {
    for (const downstream of this.#open.keys()) downstream.cut(reason)
    this.#opaque.cut(reason)
    this.endSessions()
  }

  /** Of the workload, or of the senders to sockets of this proxy. Nothing says whether they were done. */
  endSessions(): void {
    for (const session of this.#sessions) session.cut('draining')
  }

  get openConnections(): number {
    return this.#open.size + this.#opaque.size
  }

  /** Those in which something passed a moment ago. now: performance.now(). */
  busySessions(now: number): number {
    let busy = 0
    for (const session of this.#sessions) if (session.stillFor(now) < drainingMs) busy++
    return busy
  }
}

/** What is under way does not go on. A tunnel has no other end than to be broken off. */
function end(exchange: Exchange, failure: Failure): void {
  exchange.reason ||= failure.code
  if (!exchange.isTunnel || exchange.upgrade === connectUdp) return exchange.expire(failure)
  exchange.callerGone()
  exchange.caller.abort()
}

const hasLostDoor = (before: View, now: View): boolean =>
  Object.values(before.listeners).some(({ name, direction }) => direction === 'gateway' && now.listeners[name] === undefined)

/** Whether what may be called outside the mesh is other. */
const hasOtherEgress = (before: View, now: View): boolean =>
  Object.values(now.listeners).some(
    ({ name, direction, egress, routes = '' }) =>
      direction === 'outbound' &&
      (egress !== before.listeners[name]?.egress ||
        (now.routes[routes] !== before.routes[routes] &&
          now.routes[routes]?.hosts.some(host => host.routes.some(route => route.egress !== undefined)))),
  ) || Object.values(before.listeners).some(({ name, egress }) => egress !== undefined && now.listeners[name] === undefined)

/** Whether the rules of any inbound port are others. */
const hasOtherAccess = (before: View, now: View): boolean =>
  Object.values(now.listeners).some(
    listener =>
      listener.direction === 'inbound' &&
      (listener.access !== before.listeners[listener.name]?.access ||
        // Where there are any, no tunnel that nobody allowed may go on.
        listener.tokens !== before.listeners[listener.name]?.tokens ||
        listener.authorizers !== before.listeners[listener.name]?.authorizers ||
        (listener.routes !== undefined &&
          now.routes[listener.routes] !== before.routes[listener.routes] &&
          accessesOf(now, listener).some((access, at) => access !== accessesOf(before, listener)[at]))),
  )

/** Of requests to a listener. */
const accessesOf = ({ routes }: View, { routes: table }: Listener): readonly (Access | undefined)[] =>
  routes[table ?? '']?.hosts.flatMap(host => host.routes.map(route => route.access)) ?? []
