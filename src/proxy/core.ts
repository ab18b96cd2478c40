/** The data plane of one workload: a view that is swapped, and everything that serves by it. One file as a whole, for it holds what opens and ends together. */

import type { Clock } from '#base/clock'
import { Failure } from '#base/failure'
import type { Log } from '#base/log'
import { allowLinearRegex } from '#io/linear-regex'
import {
  listen,
  type Listening,
  type SecureAcceptor,
  type SecureContext,
  secureAcceptor,
  secureContext,
  type Socket,
  type TlsMaterial,
} from '#io/net'
import { type Lookup, machineLookup } from '#io/resolver'
import { type DatagramSession, dialUdp, listenSessions, type UdpFlow, type UdpHandlers, type UdpSessions } from '#io/udp'
import type { Listener, Protocol } from '#model/listener'
import { portName } from '#model/port'
import { meshTermsOf, type TlsProfile, type TlsTerms } from '#model/tls'
import { emptyView, type View } from '#model/view'
import { everywhere } from '#model/way-out'
import type { WorkloadPort } from '#model/workload'
import { Acceptor } from './callers/accept.ts'
import { Carriers } from './callers/carriers.ts'
import { defaultLimits, type Limits, type Place } from './place.ts'
import { Gate } from './access/access.ts'
import { arrival } from './callers/arrival.ts'
import type { Reach } from './upstreams/connect.ts'
import type { OutsideNames } from './dns.ts'
import type { EntryOf } from './callers/downstream.ts'
import { Edge } from './edge.ts'
import type { Entry, Party } from './telemetry/entry.ts'
import { flowOutside } from './upstreams/dial-outside.ts'
import { Exit } from './exit.ts'
import { hopAlpn } from './upstreams/hop.ts'
import { Meter } from './telemetry/meter.ts'
import { Handshakes, whyRefused } from './upstreams/handshakes.ts'
import { Peers } from './upstreams/peers.ts'
import { Pools } from './upstreams/pool.ts'
import { Times } from './access/times.ts'

export type CoreOptions = {
  /** False: it may speak plaintext only, and is ready without a certificate. */
  readonly needsCertificate?: boolean
  readonly self: () => Party
  readonly dialLocal: (port: number, timeoutMs: number) => Promise<Socket>
  /** Absent: on this machine's loopback. */
  readonly dialLocalUdp?: (port: number, on: UdpHandlers) => UdpFlow
  /** How long a connection waits for the first configuration. */
  readonly patienceMs: number
  readonly limits?: Limits
  /** Opens a port for callers; absent: this process does. A worker is given sockets that it shares with others. */
  readonly listen?: Listen
  readonly log: Log
  readonly outside?: OutsideNames
  /** The addresses of names outside the mesh; absent: as the machine finds them. */
  readonly lookup?: Lookup
  /** Where the control plane is, which counts for all proxies; absent: there is none. */
  readonly control?: () => { readonly host: string; readonly port: number } | undefined
  /** How long a port of unknown protocol waits for first bytes; absent: 60. */
  readonly detectMs?: number
}

export type Listen = (host: string, port: number, onSocket: (socket: Socket) => void, name: string) => Promise<Listening>

/** Within this time callers learn that a workload goes, when nothing is slow. */
const leadMs = 150
/** So long without a new request means that the callers have learnt it. */
const silenceMs = 100

/** What the TLS hello of a caller may agree on: opaque bytes agree on nothing. */
const alpnOf = (protocol: Protocol | undefined): readonly string[] =>
  protocol === 'tcp' || protocol === 'tls' ? [] : [hopAlpn, 'h2', 'http/1.1']

/** The system's clock, by which no process is kept alive. */
const unheld: Clock = {
  now: Date.now,
  after(ms, run) {
    const timer = setTimeout(run, ms).unref()
    return () => clearTimeout(timer)
  },
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

export class Core implements AsyncDisposable {
  readonly meter: Meter
  readonly #handshakes: Handshakes
  /** Who judges what leaves the mesh. */
  readonly exit: Exit
  /** A flow of datagrams out of it. */
  readonly dialOutside: (host: string, port: number, on: UdpHandlers) => UdpFlow
  readonly #options: CoreOptions
  readonly #acceptor: Acceptor
  readonly #carriers: Carriers
  readonly #edge: Edge
  readonly #pools: Pools
  readonly #listening: Listening[] = []
  readonly #acceptors: { readonly name: string; readonly acceptor: SecureAcceptor }[] = []
  readonly #listen: Listen
  /** Every connection of a caller, from before it is known what it speaks. */
  readonly #callers = new Set<Socket>()
  /** By port of the workload: who meets its callers. */
  readonly #doors = new Map<number, (socket: Socket) => void>()
  readonly #waiting = new Set<() => void>()
  readonly #sweeper: NodeJS.Timeout
  readonly #times: Times
  readonly #peers = new Peers(() => this.#view.trust)
  #view: View = emptyView
  #isReady = false
  /** By profile. */
  readonly #credentials = new Map<TlsProfile, SecureContext>()
  #material: TlsMaterial | undefined
  #isDraining = false

  constructor(options: CoreOptions) {
    // Paths of callers are rewritten by expressions of operators.
    allowLinearRegex()
    this.#options = options
    this.#listen = options.listen ?? listen
    this.meter = new Meter(options.self, Date.now())
    this.#handshakes = new Handshakes(this.meter.registry)
    const dialLocalUdp = options.dialLocalUdp ?? ((port: number, on: UdpHandlers) => dialUdp('127.0.0.1', port, on))
    const { self, log } = options
    const exit = new Exit(this.meter, log, options.outside)
    this.exit = exit
    const reach: Reach = {
      credentials: profile => this.#context(profile),
      agreed: (socket, side, peer) => this.#handshakes.agreed(socket, side, peer),
      dialLocal: options.dialLocal,
      dialLocalUdp,
      lookup: options.lookup ?? machineLookup,
      believe: (secure, backend, ids) => this.#peers.endpoint(secure, backend, ids),
      refusal: (host, address, port, isNamed) => exit.refusal(this.#view, host, address, port, isNamed),
    }
    this.dialOutside = (host, port, on) => flowOutside({ host, port }, reach, on, true)
    this.#pools = new Pools(reach, this.meter.registry)
    this.meter.watch(() => this.#pools.standings())
    const place: Place = {
      view: () => this.#view,
      ready: () => this.ready(),
      isReady: () => this.#isReady,
      self,
      pools: this.#pools,
      reach,
      meter: this.meter,
      log,
      gate: new Gate(this.meter, log),
      exit,
      control: options.control,
      detectMs: options.detectMs,
      limits: options.limits ?? defaultLimits,
    }
    this.#carriers = new Carriers(place)
    this.#acceptor = new Acceptor(place, this.#carriers)
    this.#edge = new Edge({
      handshakes: this.#handshakes,
      acceptor: this.#acceptor,
      view: () => this.#view,
      log,
      caught: (work, socket) => this.#caught(work, socket),
    })
    this.#times = new Times(unheld, () => this.#carriers.judgeAgain())
    this.#sweeper = setInterval(() => this.sweep(performance.now()), 5000).unref()
  }

  /** Ends what stands still or idles too long. now: performance.now(). */
  sweep(now: number): void {
    this.#pools.sweep(Date.now())
    this.#carriers.sweep(now)
  }

  get view(): View {
    return this.#view
  }
  /** The connections to endpoints. */
  get upstreams(): ReturnType<Pools['standings']> {
    return this.#pools.standings()
  }
  /** What the endpoints answer to health checks, of the backends that are asked now. */
  get healthChecks(): Pools['checks']['standings'] {
    return this.#pools.checks.standings
  }
  /** Endpoints that are not picked for a while because they kept failing, by backend. */
  get leftOut(): ReturnType<Pools['guards']['leftOut']> {
    return this.#pools.guards.leftOut()
  }
  /** How much of the limits of BackendPolicies is used now. */
  get limits(): ReturnType<Pools['guards']['limits']> {
    return this.#pools.guards.limits()
  }
  /** Ports of the workload whose requests at once are limited by what it bears. */
  get concurrency(): Carriers['concurrency'] {
    return this.#carriers.concurrency
  }
  /** Connections with TLS, and what was agreed on. */
  get secured(): Handshakes['now'] {
    return this.#handshakes.now
  }
  get isReady(): boolean {
    return this.#isReady
  }
  get isDraining(): boolean {
    return this.#isDraining
  }

  /** From now on new requests go by this view; those under way keep theirs. */
  swap(view: View): void {
    const before = this.#view
    this.#view = view
    this.#pools.guards.adopt(view.backends)
    this.#pools.checks.follow(view)
    if (hasOtherTerms(before, view)) this.#renewTerms()
    if (before.listeners[everywhere]?.egress !== view.listeners[everywhere]?.egress) this.#pools.retireOutside()
    if (before.trust !== view.trust) this.#partWithdrawn()
    this.#carriers.rejudge(before)
    this.#times.follow(view)
    this.#settle()
  }

  /** Who is not believed any more goes at once, with all that is under way. */
  #partWithdrawn(): void {
    this.#peers.judge(({ where, role, refused: { code, refused } }) => {
      if (role === 'client') this.#handshakes.refused(where, code)
      this.#options.log.warn(`an open connection ${role === 'client' ? `of a caller of ${where}` : `to ${where}`} was ended: ${refused}`, {
        reason: code,
      })
    })
  }

  /** New connections use the new certificate and roots; open ones go on. */
  present(material: TlsMaterial): void {
    this.#material = material
    this.#renewTerms()
    this.#settle()
  }

  /** What is kept was made with another certificate, or agreed on otherwise than the mesh wants it now. */
  #renewTerms(): void {
    this.#credentials.clear()
    this.#pools.retire()
    if (this.#material !== undefined) for (const { name, acceptor } of this.#acceptors) acceptor.renew(this.#material, this.#termsAt(name))
  }

  #termsAt(listener: string): TlsTerms {
    return meshTermsOf[this.#view.listeners[listener]?.tls?.profile ?? 'modern']
  }

  /** Made when it is first needed: it takes 50 KB, and many a workload of a node calls nobody. */
  #context(profile: TlsProfile = 'modern'): SecureContext | undefined {
    const known = this.#credentials.get(profile)
    if (known !== undefined || this.#material === undefined) return known
    const made = secureContext(this.#material, meshTermsOf[profile])
    this.#credentials.set(profile, made)
    return made
  }

  /** The first view and the first certificate are there. Rejects with `not-ready` when patience ends. */
  ready(): Promise<void> {
    if (this.#isReady) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(done)
        reject(new Failure('not-ready'))
      }, this.#options.patienceMs)
      this.#waiting.add(done)
    })
  }

  #settle(): void {
    const isKnown = this.#material !== undefined || this.#options.needsCertificate === false
    if (this.#isReady || this.#view === emptyView || !isKnown) return
    this.#isReady = true
    for (const done of this.#waiting) done()
    this.#waiting.clear()
  }

  /** A connection that the workload made. */
  outbound(socket: Socket, destination: { host: string; port: number }): void {
    this.#caught(this.#acceptor.outbound(socket, destination), socket)
  }

  /** A flow of datagrams to a service; see `listenerAt`. */
  datagrams(session: DatagramSession, listener: Listener): void {
    this.#carriers.datagrams(session, listener)
  }

  /** Opens a listener of datagrams at an address of its own, for senders that are not captured but come to it; port 0: any free one. */
  async openDatagrams(name: string, host: string, port: number): Promise<Listening & Pick<UdpSessions, 'resume'>> {
    const {
      port: bound,
      stop,
      resume,
    } = await listenSessions(host, port, session => {
      const listener = this.#view.listeners[name]
      if (listener === undefined) session.close()
      else this.#carriers.datagrams(session, listener)
    })
    const listening = { host, port: bound, stop, resume, [Symbol.asyncDispose]: async () => stop() }
    this.#listening.push(listening)
    return listening
  }

  /** A connection that the workload made and that is left out of the mesh. */
  excluded(socket: Socket, destination: { host: string; port: number }): void {
    this.#caught(this.#acceptor.excluded(socket, destination), socket)
  }

  /** A connection that speaks HTTP and names the place of each request itself. */
  http(socket: Socket, entryOf: EntryOf, first: Uint8Array): void {
    this.#carriers.http(socket, entryOf, first)
  }

  /** A listener as this workload's requests meet it; view: other than the newest. */
  entry(listener: Listener, view?: View): Entry {
    return { listener, view: view === undefined ? () => this.#view : () => view, peer: undefined, source: this.#options.self() }
  }

  /** Opens the port on which callers of the mesh reach one port of the workload; at: which, 0 for any free one. Mutual TLS is the listener's to demand. */
  async bind(port: Omit<WorkloadPort, 'bind'>, host: string, at = 0): Promise<WorkloadPort> {
    const name = `inbound/${portName(port.port, port.protocol)}`
    const alpn = alpnOf(port.protocol)
    let acceptor: SecureAcceptor | undefined
    const secure = () => {
      if (acceptor === undefined) this.#acceptors.push({ name, acceptor: (acceptor = this.#secure(name, alpn)) })
      return acceptor
    }
    const arrived = (socket: Socket) => this.#caught(this.#arrived(socket, name, secure), socket)
    if (port.protocol !== 'udp') this.#doors.set(port.port, arrived)
    const listening = await this.#openFor(name, host, at, arrived)
    return { ...port, bind: { host, port: listening.port } }
  }

  /** A caller that dialled the workload's own port and was captured on its way: it is met as at the port of the mesh. */
  intercepted(socket: Socket, port: number): void {
    const arrived = this.#doors.get(port)
    if (arrived === undefined) return void socket.destroy()
    this.#callers.add(socket)
    socket.once('close', () => this.#callers.delete(socket))
    socket.on('error', () => {})
    arrived(socket)
  }

  async #openFor(name: string, host: string, port: number, onSocket: (socket: Socket) => void): Promise<Listening> {
    const arrive = (socket: Socket) => {
      this.#callers.add(socket)
      socket.once('close', () => this.#callers.delete(socket))
      socket.on('error', () => {})
      onSocket(socket)
    }
    const listening = await this.#listen(host, port, arrive, name)
    this.#listening.push(listening)
    return listening
  }

  /** Opens a listener of the view at an address of its own, for callers that are not captured but come to it; port 0: any free one. */
  async open(name: string, host: string, port: number): Promise<Listening> {
    const acceptors = new Map<string, SecureAcceptor>()
    const secure = () => {
      const alpn = alpnOf(this.#view.listeners[name]?.protocol)
      const known = acceptors.get(alpn.join())
      if (known !== undefined) return known
      const fresh = this.#secure(name, alpn)
      this.#acceptors.push({ name, acceptor: fresh })
      acceptors.set(alpn.join(), fresh)
      return fresh
    }
    return this.#openFor(name, host, port, socket => {
      this.#caught(this.#arrived(socket, name, secure), socket)
    })
  }

  /** Mutual TLS or plaintext: what the listener takes is asked for each connection, for it may change at any time. */
  async #arrived(socket: Socket, name: string, secure: () => SecureAcceptor): Promise<void> {
    if (!(await this.#isReadyFor(socket))) return
    const listener = this.#view.listeners[name]
    if (listener === undefined) return void socket.destroy()
    if (listener.direction === 'gateway') return this.#edge.arrived(socket, listener)
    const ends = listener.proxyProtocol === true ? await this.#acceptor.announced(socket, listener) : undefined
    if (listener.proxyProtocol === true && ends === undefined) return
    if (listener.tls === undefined) return this.#acceptor.inbound(socket, name, undefined, null, ends)
    const arrived = await arrival(socket, listener)
    if (arrived === undefined) return void socket.destroy()
    if (arrived.kind === 'tls') return secure().accept(socket)
    if (listener.tls?.mode === 'strict') return this.#acceptor.refuse(socket, listener, arrived.first)
    await this.#acceptor.inbound(socket, name, undefined, null, ends)
  }

  #secure(name: string, alpn: readonly string[]): SecureAcceptor {
    const failed = (why: string, reason: string) => {
      this.#handshakes.refused(name, reason)
      this.#options.log.warn(`a caller of ${name} was refused: ${why}`, { reason: 'identity-required' })
    }
    return secureAcceptor(
      this.#material!,
      alpn,
      secure => {
        secure.on('error', () => {})
        const proven = this.#peers.caller(secure, name)
        if ('refused' in proven) {
          failed(proven.refused, proven.code)
          return void secure.destroy()
        }
        this.#handshakes.agreed(secure, 'inbound', proven.peer)
        this.#caught(this.#acceptor.inbound(secure, name, proven.peer, secure.alpnProtocol), secure)
      },
      code => {
        const [reason, why] = whyRefused(code)
        failed(why, reason)
      },
      this.#termsAt(name),
    )
  }

  /** A plaintext door for callers outside the mesh, such as a browser on this machine: leads to the same inbound listener, without an identity. demandsHeader: behind a balancer that speaks the PROXY protocol. */
  async publish(host: string, port: number, workloadPort: number, demandsHeader = false): Promise<Listening> {
    return this.#openFor(`published/${workloadPort}`, host, port, socket =>
      this.#caught(this.#published(socket, `inbound/${workloadPort}`, demandsHeader), socket),
    )
  }

  async #published(socket: Socket, name: string, demandsHeader: boolean): Promise<void> {
    if (!demandsHeader) return this.#acceptor.published(socket, name)
    if (!(await this.#isReadyFor(socket))) return
    const listener = this.#view.listeners[name]
    if (listener === undefined) return void socket.destroy()
    const ends = await this.#acceptor.announced(socket, listener)
    if (ends !== undefined) await this.#acceptor.published(socket, name, ends)
  }

  async #isReadyFor(socket: Socket): Promise<boolean> {
    try {
      if (!this.#isReady) await this.ready()
      return !socket.destroyed
    } catch {
      socket.destroy()
      return false
    }
  }

  #caught(work: Promise<void>, socket: Socket): void {
    work.catch((bug: unknown) => {
      this.#options.log.error('a bug ended a connection', { error: bug instanceof Error ? (bug.stack ?? bug.message) : String(bug) })
      socket.destroy()
    })
  }

  /** The workload is about to be told to end: from now on no connection to it is kept, for a server that closes in order waits for those. */
  letGo(): void {
    this.#pools.close()
  }

  /**
   * The callers have been told to go elsewhere: resolves when none of their requests has been under way for a moment, so that the workload can
   * be told to end without losing one. haveHeard: false where callers cannot learn of it; then only what is under way is waited for.
   */
  async quiet(haveHeard: boolean, deadlineMs: number): Promise<void> {
    const end = performance.now() + deadlineMs
    if (haveHeard) await pause(Math.min(deadlineMs, leadMs))
    while (!this.#carriers.isQuiet(haveHeard ? silenceMs : 0, performance.now()) && performance.now() < end) await pause(10)
  }

  /** Stops taking callers, lets what runs end, at most this long; then the rest is closed and counted. The workload may still call out meanwhile. */
  async drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true
    for (const listening of this.#listening) listening.stop()
    this.#carriers.drain()
    await this.#emptied(deadlineMs)
  }

  /**
   * Another process accepts on the same sockets now: what is open here is served to its end, new requests on it too, and each caller learns
   * with its next answer that it should connect anew. At most this long; then the rest is closed and counted.
   */
  async retire(deadlineMs: number): Promise<void> {
    for (const listening of this.#listening) listening.stop()
    this.#carriers.retire()
    await this.#emptied(deadlineMs)
  }

  async #emptied(deadlineMs: number): Promise<void> {
    const end = performance.now() + deadlineMs
    const isServing = (now: number) => this.#carriers.openConnections + this.#callers.size + this.#carriers.busySessions(now) > 0
    for (let now = performance.now(); now < end && isServing(now); now = performance.now()) await pause(20)
    this.#carriers.cut('drain-deadline')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweeper)
    this.#times.end()
    for (const listening of this.#listening) listening.stop()
    this.#carriers.endSessions()
    this.#pools.close()
  }
}

/** Whether mutual TLS of the mesh agrees on something else than before. */
function hasOtherTerms(before: View, now: View): boolean {
  for (const [name, { tls }] of Object.entries(now.listeners)) {
    const was = before.listeners[name]
    if (was !== undefined && was.tls?.profile !== tls?.profile) return true
  }
  return false
}
