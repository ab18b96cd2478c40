/** Who carries a connection on, from where its listener is known: HTTP/1, HTTP/2, opaque bytes or datagrams; and all of them together until they end. */

import { Failure, type FailureCode } from '#base/failure'
import { breakOff, closeInOrder, type Socket } from '#io/net'
import type { DatagramSession } from '#io/udp'
import type { Listener } from '#model/listener'
import type { View } from '#model/view'
import { beginsHttp2, detect, isForeign } from '#wire/detect'
import { Authorizations } from '../access/authorize.ts'
import { Concurrency, type ConcurrencyNow } from '../endpoints/concurrency.ts'
import { asksForBytes } from '../exit.ts'
import type { Place } from '../place.ts'
import { Limiter } from '../requests/rate-limit.ts'
import type { Entry } from '../telemetry/entry.ts'
import { hopAlpn } from '../upstreams/hop.ts'
import { UdpCaller } from './caller-udp.ts'
import { Connections, drainingMs } from './connections.ts'
import { Downstream, type EntryOf } from './downstream.ts'
import { Http2Downstream } from './downstream-http2.ts'
import { firstBytes } from './first-bytes.ts'
import { firstWord } from './first-word.ts'
import { Opaque } from './opaque.ts'
import { UnderWay } from './under-way.ts'
import { hasLostDoor, hasOtherAccess, hasOtherEgress } from './view-change.ts'

/** How long it is asked whether a silent caller of HTTP speaks version 2; from then on it is taken for version 1, whose reader has limits of its own. */
const firstRequestMs = 60_000

/** What detected bytes count as. */
const spokenAs = { http1: 'http', http2: 'http2', tls: 'tls', opaque: 'tcp', more: 'tcp' } as const

/** Datagrams come in it, from another proxy. */
const speaksHttp: ReadonlySet<Listener['protocol']> = new Set(['http', 'http2', 'grpc', 'udp'])

export class Carriers {
  readonly #place: Place
  readonly #connections = new Connections()
  readonly #requests: UnderWay
  /** Of datagrams that began here. */
  readonly #sessions = new Set<UdpCaller>()
  readonly #opaque: Opaque
  readonly #concurrency: Concurrency

  constructor(place: Place) {
    this.#place = place
    const { pools, meter, log, self } = place
    const limiter = new Limiter((policy, scope, outcome) => meter.limited(policy, scope, outcome))
    const authorizations = new Authorizations({ pools, meter, log, self })
    this.#opaque = new Opaque(place, limiter, authorizations)
    this.#concurrency = new Concurrency(meter.registry)
    this.#requests = new UnderWay(place, { limiter, authorizations, concurrency: this.#concurrency })
  }

  /** By what the listener says that it speaks, or its handshake, or its first bytes. via: what its TLS agreed on. */
  async carry(socket: Socket, entry: Entry, via?: string | false | null): Promise<void> {
    const { listener } = entry
    if (this.#isFull) return this.#overflow(socket, entry)
    const { meter, detectMs } = this.#place
    if (listener.protocol !== 'detect') meter.detected(listener, listener.protocol, 'declared')
    if (speaksHttp.has(listener.protocol)) return this.#http(socket, entry, via)
    if (listener.protocol !== 'detect') return this.#opaque.carry(socket, entry)
    const ahead = this.#opaque.ahead(entry)
    const isByHost = listener.egress !== undefined && asksForBytes(listener, entry.view())
    const first = isByHost ? await firstWord(socket, ahead) : await firstBytes(socket, detectMs, undefined, finish => ahead.start(finish))
    if (socket.destroyed) return ahead.drop()
    const { kind } = detect(first)
    if (isByHost && kind === 'more' && first.length > 0) {
      ahead.drop()
      return this.turnAway(
        socket,
        entry,
        new Failure('egress-denied', 'the caller began to say which host it wants and did not go on, and rules ask for the host'),
      )
    }
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
      this.turnAway(socket, entry, new Failure('bad-request', 'the first line is not of HTTP'), closeInOrder)
    } else this.http(socket, () => entry, first, kept)
  }

  /** A connection that is known to speak HTTP/1.x. */
  http(socket: Socket, entryOf: EntryOf, first?: Uint8Array, entry?: Entry): void {
    if (this.#isFull) return breakOff(socket)
    this.#connections.keep(socket, new Downstream(socket, entryOf, this.#requests.on, first), entry)
  }

  #http2(socket: Socket, entry: Entry, isWeft: boolean, first?: Uint8Array): void {
    this.#connections.keep(socket, new Http2Downstream(socket, () => entry, this.#requests.on, isWeft, first), entry)
  }

  /** Bytes that are not looked into, by the backends of the listener. */
  async opaque(socket: Socket, entry: Entry): Promise<void> {
    return this.#isFull ? this.#overflow(socket, entry) : this.#opaque.carry(socket, entry)
  }

  /** To where the workload wanted to go. entry: from `outOfMesh`. */
  async passThrough(socket: Socket, entry: Entry): Promise<void> {
    return this.#isFull ? this.#overflow(socket, entry) : this.#opaque.passThrough(socket, entry)
  }

  /** The same, however much there is: the operator does not want the mesh to be in between. */
  async passThroughAlways(socket: Socket, entry: Entry): Promise<void> {
    await this.#opaque.passThrough(socket, entry)
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
      this.#requests.on,
      samples,
      () => this.#sessions.delete(caller),
      (policy, fault) => meter.fault(policy, listener.name, fault),
    )
    this.#sessions.add(caller)
  }

  /** A caller that proved nothing where that is enough. */
  metNameless(socket: Socket, listener: string): void {
    this.#connections.metNameless(socket, listener)
  }

  get #isFull(): boolean {
    return this.openConnections >= this.#place.limits.connections
  }

  #overflow(socket: Socket, entry: Entry): void {
    this.turnAway(socket, entry, new Failure('overload', `${this.#place.limits.connections} connections at once`))
  }

  /** Counted with the reason. */
  turnAway(socket: Socket, entry: Entry, failure: Failure, close: (socket: Socket) => void = breakOff): void {
    const { meter, log, accessLogs } = this.#place
    const to = { service: entry.listener.service, workload: '', identity: undefined }
    meter.connection(entry, to, failure.code).close(failure.code)
    if (accessLogs.isOn) accessLogs.refused(entry, failure, to, performance.now())
    log.warn(`a connection to ${entry.listener.service} was refused: ${failure.says}`, { reason: failure.code })
    socket.on('error', () => {})
    close(socket)
  }

  /** Ports whose requests at once are limited by what their workload bears. */
  get concurrency(): readonly ConcurrencyNow[] {
    return this.#concurrency.now
  }

  /** What the rules of the newest view do not allow any more ends: requests and tunnels under way, connections, and those whose caller may do nothing here. */
  rejudge(before: View): void {
    const now = this.#place.view()
    this.#concurrency.follow(now)
    this.#connections.partNameless(now)
    if (hasLostDoor(before, now)) this.#connections.leaveDoors(now)
    if (hasOtherAccess(before, now) || hasOtherEgress(before, now)) this.judgeAgain()
  }

  /** What is open is held against the rules of now: those of a newer view, or those of this one at another time. */
  judgeAgain(): void {
    const now = this.#place.view()
    this.#opaque.rejudge()
    this.#requests.judgeAgain(now)
    this.#connections.judgeAgain(now)
  }

  /** Slow heads are answered 408, what stands still is ended, idle connections closed. now: performance.now(). */
  sweep(now: number): void {
    this.#connections.sweep(now)
    this.#requests.sweep(now)
  }

  /** Whether no caller's request has been under way for so long. now: performance.now(). */
  isQuiet(forMs: number, now: number): boolean {
    return this.#requests.isQuiet(forMs, now)
  }

  drain(): void {
    this.#requests.drain()
    // Nobody says when a session is done: what is asked now is still answered, and then its caller goes elsewhere.
    setTimeout(() => this.#requests.endServed(), drainingMs).unref()
    this.#connections.drain()
  }

  /** Others take new connections; those that are open are served until they have heard of it. */
  retire(): void {
    this.#connections.retire()
  }

  /** Ends all that is still open; reason: what is counted for each request and connection that this breaks. */
  cut(reason: FailureCode): void {
    this.#connections.cut(reason)
    this.#opaque.cut(reason)
    this.endSessions()
  }

  /** Of the workload, or of the senders to sockets of this proxy. Nothing says whether they were done. */
  endSessions(): void {
    for (const session of this.#sessions) session.cut('draining')
  }

  get openConnections(): number {
    return this.#connections.size + this.#opaque.size
  }

  /** Those in which something passed a moment ago. now: performance.now(). */
  busySessions(now: number): number {
    let busy = 0
    for (const session of this.#sessions) if (session.stillFor(now) < drainingMs) busy++
    return busy
  }
}
