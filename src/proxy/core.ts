/** The data plane of one workload: a view that is swapped, and everything that serves by it, opened and ended together. */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { allowLinearRegex } from '#io/linear-regex'
import { listen, type Listening, type Socket, type TlsMaterial } from '#io/net'
import { type Lookup, machineLookup } from '#io/resolver'
import { type DatagramSession, dialUdp, type UdpFlow, type UdpHandlers, type UdpSessions } from '#io/udp'
import type { Listener } from '#model/listener'
import { emptyView, type View } from '#model/view'
import { everywhere } from '#model/way-out'
import type { WorkloadPort } from '#model/workload'
import { Gate } from './access/access.ts'
import { Times } from './access/times.ts'
import { Acceptor } from './callers/accept.ts'
import { Carriers } from './callers/carriers.ts'
import type { EntryOf } from './callers/downstream.ts'
import { Edge } from './callers/edge.ts'
import { type Listen, Ports } from './callers/ports.ts'
import { hasOtherTerms } from './callers/view-change.ts'
import { Credentials } from './core/credentials.ts'
import { Departure } from './core/departure.ts'
import type { OutsideNames } from './dns.ts'
import { Exit } from './exit.ts'
import { Patience } from './core/patience.ts'
import { defaultLimits, type Limits, type Place } from './place.ts'
import { AccessLogs } from './telemetry/access-logs.ts'
import type { Entry, Party } from './telemetry/entry.ts'
import { Meter } from './telemetry/meter.ts'
import { Tracer } from './telemetry/tracer.ts'
import type { Reach } from './upstreams/reach.ts'
import { flowOutside } from './upstreams/dial-outside.ts'
import { Handshakes } from './upstreams/handshakes.ts'
import { Peers } from './upstreams/peers.ts'
import { Pools } from './upstreams/pool.ts'

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

/** The system's clock, by which no process is kept alive. */
const unheld: Clock = {
  now: Date.now,
  after(ms, run) {
    const timer = setTimeout(run, ms).unref()
    return () => clearTimeout(timer)
  },
}

/** How long a process that ends waits for its collector. */
const lastSpansMs = 1_000
/** The same of its access log. */
const lastLinesMs = 1_000

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
  readonly #ports: Ports
  readonly #departure: Departure
  readonly #pools: Pools
  readonly #credentials = new Credentials()
  readonly #patience: Patience
  readonly #tracer: Tracer
  readonly #accessLogs: AccessLogs
  readonly #sweeper: NodeJS.Timeout
  readonly #times: Times
  readonly #peers = new Peers(() => this.#view.trust)
  #view: View = emptyView
  #isDraining = false

  constructor(options: CoreOptions) {
    // What callers write is matched and rewritten by expressions of operators.
    allowLinearRegex()
    this.#options = options
    this.#patience = new Patience(options.patienceMs)
    this.meter = new Meter(options.self, Date.now())
    this.#handshakes = new Handshakes(this.meter.registry)
    const dialLocalUdp = options.dialLocalUdp ?? ((port: number, on: UdpHandlers) => dialUdp('127.0.0.1', port, on))
    const { self, log } = options
    const exit = new Exit(this.meter, log, options.outside)
    this.exit = exit
    const reach: Reach = {
      credentials: profile => this.#credentials.context(profile),
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
    this.#tracer = new Tracer({ view: () => this.#view, self, pools: this.#pools, registry: this.meter.registry, log, clock: unheld })
    this.#accessLogs = new AccessLogs({
      view: () => this.#view,
      self,
      pools: this.#pools,
      registry: this.meter.registry,
      log,
      clock: unheld,
    })
    const place: Place = {
      view: () => this.#view,
      ready: () => this.#patience.wait(),
      isReady: () => this.#patience.isOver,
      self,
      pools: this.#pools,
      reach,
      meter: this.meter,
      tracer: this.#tracer,
      accessLogs: this.#accessLogs,
      log,
      gate: new Gate(this.meter, log),
      exit,
      control: options.control,
      detectMs: options.detectMs,
      limits: options.limits ?? defaultLimits,
    }
    this.#carriers = new Carriers(place)
    this.#acceptor = new Acceptor(place, this.#carriers)
    const caught = (work: Promise<void>, socket: Socket): void => this.#caught(work, socket)
    const [acceptor, handshakes] = [this.#acceptor, this.#handshakes]
    this.#ports = new Ports({
      place,
      listen: options.listen ?? listen,
      acceptor,
      carriers: this.#carriers,
      edge: new Edge({ handshakes, acceptor, view: place.view, log, caught }),
      credentials: this.#credentials,
      peers: this.#peers,
      handshakes,
      caught,
    })
    this.#departure = new Departure(this.#carriers, this.#ports)
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
    return this.#patience.isOver
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
    this.#tracer.follow(view)
    this.#accessLogs.follow(view)
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
    this.#credentials.present(material)
    this.#renewTerms()
    this.#settle()
  }

  #renewTerms(): void {
    this.#credentials.forget()
    this.#pools.retire()
    this.#ports.renew()
  }

  /** The first view and the first certificate are there. Rejects with `not-ready` when patience ends. */
  ready(): Promise<void> {
    return this.#patience.wait()
  }

  #settle(): void {
    const isKnown = this.#credentials.material !== undefined || this.#options.needsCertificate === false
    if (!this.#patience.isOver && this.#view !== emptyView && isKnown) this.#patience.end()
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
  openDatagrams(name: string, host: string, port: number): Promise<Listening & Pick<UdpSessions, 'resume'>> {
    return this.#ports.openDatagrams(name, host, port)
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
  bind(port: Omit<WorkloadPort, 'bind'>, host: string, at = 0): Promise<WorkloadPort> {
    return this.#ports.bind(port, host, at)
  }

  /** A caller that dialled the workload's own port and was captured on its way: it is met as at the port of the mesh. */
  intercepted(socket: Socket, port: number): void {
    this.#ports.intercepted(socket, port)
  }

  /** Opens a listener of the view at an address of its own, for callers that are not captured but come to it; port 0: any free one. */
  open(name: string, host: string, port: number): Promise<Listening> {
    return this.#ports.open(name, host, port)
  }

  /** A plaintext door for callers outside the mesh, such as a browser on this machine: leads to the same inbound listener, without an identity. demandsHeader: behind a balancer that speaks the PROXY protocol. */
  publish(host: string, port: number, workloadPort: number, demandsHeader = false): Promise<Listening> {
    return this.#ports.publish(host, port, workloadPort, demandsHeader)
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
    await this.#departure.quiet(haveHeard, deadlineMs)
  }

  /** Stops taking callers, lets what runs end, at most this long; then the rest is closed and counted. The workload may still call out meanwhile. */
  async drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true
    await this.#departure.drain(deadlineMs)
    await this.#tracer.flush(lastSpansMs)
  }

  /**
   * Another process accepts on the same sockets now: what is open here is served to its end, new requests on it too, and each caller learns
   * with its next answer that it should connect anew. At most this long; then the rest is closed and counted.
   */
  async retire(deadlineMs: number): Promise<void> {
    await this.#departure.retire(deadlineMs)
    await this.#tracer.flush(lastSpansMs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweeper)
    this.#times.end()
    this.#ports.stop()
    this.#carriers.endSessions()
    // A collector is reached by them.
    await this.#accessLogs.flush(lastLinesMs)
    this.#pools.close()
  }
}
