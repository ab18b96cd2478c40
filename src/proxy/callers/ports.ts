/** The ports at which callers come to a data plane: opened, met in plaintext, by mutual TLS or behind a PROXY header, as the listener of this moment wants it, and closed together. */

import { type Listening, type SecureAcceptor, secureAcceptor, type Socket } from '#io/net'
import { listenSessions, type UdpSessions } from '#io/udp'
import type { Protocol } from '#model/listener'
import { portName } from '#model/port'
import { meshTermsOf, type TlsTerms } from '#model/tls'
import type { WorkloadPort } from '#model/workload'
import type { Credentials } from '../core/credentials.ts'
import type { Place } from '../place.ts'
import { type Handshakes, whyRefused } from '../upstreams/handshakes.ts'
import { hopAlpn } from '../upstreams/hop.ts'
import type { Peers } from '../upstreams/peers.ts'
import type { Acceptor } from './accept.ts'
import { arrival } from './arrival.ts'
import type { Carriers } from './carriers.ts'
import type { Edge } from './edge.ts'

/** Opens a port for callers. name: of the listener, or `published/PORT`. */
export type Listen = (host: string, port: number, onSocket: (socket: Socket) => void, name: string) => Promise<Listening>

export type PortsOptions = {
  readonly place: Pick<Place, 'view' | 'ready' | 'isReady' | 'log'>
  readonly listen: Listen
  readonly acceptor: Acceptor
  readonly carriers: Carriers
  readonly edge: Edge
  readonly credentials: Credentials
  readonly peers: Peers
  readonly handshakes: Handshakes
  /** Tells of a bug that ends work on a connection. */
  readonly caught: (work: Promise<void>, socket: Socket) => void
}

/** What the TLS hello of a caller may agree on: opaque bytes agree on nothing. */
const alpnOf = (protocol: Protocol | undefined): readonly string[] =>
  protocol === 'tcp' || protocol === 'tls' ? [] : [hopAlpn, 'h2', 'http/1.1']

export class Ports {
  readonly #with: PortsOptions
  readonly #listening: Listening[] = []
  readonly #acceptors: { readonly name: string; readonly acceptor: SecureAcceptor }[] = []
  /** Every connection of a caller, from before it is known what it speaks. */
  readonly #callers = new Set<Socket>()
  /** By port of the workload: who meets its callers. */
  readonly #doors = new Map<number, (socket: Socket) => void>()

  constructor(options: PortsOptions) {
    this.#with = options
  }

  /** Connections of callers that are open, whatever they speak. */
  get callers(): number {
    return this.#callers.size
  }

  /** For callers of the mesh; at: which, 0 for any free one. Mutual TLS is the listener's to demand. */
  async bind(port: Omit<WorkloadPort, 'bind'>, host: string, at: number): Promise<WorkloadPort> {
    const name = `inbound/${portName(port.port, port.protocol)}`
    const alpn = alpnOf(port.protocol)
    let acceptor: SecureAcceptor | undefined
    const secure = () => (acceptor ??= this.#secure(name, alpn))
    const arrived = (socket: Socket) => this.#with.caught(this.#arrived(socket, name, secure), socket)
    if (port.protocol !== 'udp') this.#doors.set(port.port, arrived)
    const listening = await this.#open(name, host, at, arrived)
    return { ...port, bind: { host, port: listening.port } }
  }

  /** A listener of the view at an address of its own; port 0: any free one. */
  async open(name: string, host: string, port: number): Promise<Listening> {
    const acceptors = new Map<string, SecureAcceptor>()
    const secure = () => {
      const alpn = alpnOf(this.#with.place.view().listeners[name]?.protocol)
      const known = acceptors.get(alpn.join())
      if (known !== undefined) return known
      const fresh = this.#secure(name, alpn)
      acceptors.set(alpn.join(), fresh)
      return fresh
    }
    return this.#open(name, host, port, socket => this.#with.caught(this.#arrived(socket, name, secure), socket))
  }

  /** The same for datagrams. */
  async openDatagrams(name: string, host: string, port: number): Promise<Listening & Pick<UdpSessions, 'resume'>> {
    const {
      port: bound,
      stop,
      resume,
    } = await listenSessions(host, port, session => {
      const listener = this.#with.place.view().listeners[name]
      if (listener === undefined) session.close()
      else this.#with.carriers.datagrams(session, listener)
    })
    const listening = { host, port: bound, stop, resume, [Symbol.asyncDispose]: async () => stop() }
    this.#listening.push(listening)
    return listening
  }

  /** Plaintext, for callers outside the mesh, without an identity. demandsHeader: behind a balancer that speaks the PROXY protocol. */
  async publish(host: string, port: number, workloadPort: number, demandsHeader: boolean): Promise<Listening> {
    return this.#open(`published/${workloadPort}`, host, port, socket =>
      this.#with.caught(this.#published(socket, `inbound/${workloadPort}`, demandsHeader), socket),
    )
  }

  /** A caller that dialled the workload's own port and was captured on its way: it is met as at the port of the mesh. */
  intercepted(socket: Socket, port: number): void {
    const arrived = this.#doors.get(port)
    if (arrived === undefined) return void socket.destroy()
    this.#came(socket)
    arrived(socket)
  }

  /** New handshakes use the newest certificate, and the terms of the newest view. */
  renew(): void {
    const { material } = this.#with.credentials
    if (material !== undefined) for (const { name, acceptor } of this.#acceptors) acceptor.renew(material, this.#termsAt(name))
  }

  /** No new callers; those that came stay. */
  stop(): void {
    for (const listening of this.#listening) listening.stop()
  }

  async #open(name: string, host: string, port: number, onSocket: (socket: Socket) => void): Promise<Listening> {
    const arrive = (socket: Socket) => {
      this.#came(socket)
      onSocket(socket)
    }
    const listening = await this.#with.listen(host, port, arrive, name)
    this.#listening.push(listening)
    return listening
  }

  #came(socket: Socket): void {
    this.#callers.add(socket)
    socket.once('close', () => this.#callers.delete(socket))
    socket.on('error', () => {})
  }

  /** Mutual TLS or plaintext: what the listener takes is asked for each connection, for it may change at any time. */
  async #arrived(socket: Socket, name: string, secure: () => SecureAcceptor): Promise<void> {
    if (!(await this.#isReadyFor(socket))) return
    const { place, acceptor, edge } = this.#with
    const listener = place.view().listeners[name]
    if (listener === undefined) return void socket.destroy()
    if (listener.direction === 'gateway') return edge.arrived(socket, listener)
    const ends = listener.proxyProtocol === true ? await acceptor.announced(socket, listener) : undefined
    if (listener.proxyProtocol === true && ends === undefined) return
    if (listener.tls === undefined) return acceptor.inbound(socket, name, undefined, null, ends)
    const arrived = await arrival(socket, listener)
    if (arrived === undefined) return void socket.destroy()
    if (arrived.kind === 'tls') return secure().accept(socket)
    if (listener.tls?.mode === 'strict') return acceptor.refuse(socket, listener, arrived.first)
    await acceptor.inbound(socket, name, undefined, null, ends)
  }

  async #published(socket: Socket, name: string, demandsHeader: boolean): Promise<void> {
    const { place, acceptor } = this.#with
    if (!demandsHeader) return acceptor.published(socket, name)
    if (!(await this.#isReadyFor(socket))) return
    const listener = place.view().listeners[name]
    if (listener === undefined) return void socket.destroy()
    const ends = await acceptor.announced(socket, listener)
    if (ends !== undefined) await acceptor.published(socket, name, ends)
  }

  async #isReadyFor(socket: Socket): Promise<boolean> {
    const { place } = this.#with
    try {
      if (!place.isReady()) await place.ready()
      return !socket.destroyed
    } catch {
      socket.destroy()
      return false
    }
  }

  /** Made when the first caller begins TLS. */
  #secure(name: string, alpn: readonly string[]): SecureAcceptor {
    const { place, acceptor, peers, handshakes, credentials, caught } = this.#with
    const failed = (why: string, reason: string) => {
      handshakes.refused(name, reason)
      place.log.warn(`a caller of ${name} was refused: ${why}`, { reason: 'identity-required' })
    }
    const made = secureAcceptor(
      credentials.material!,
      alpn,
      secure => {
        secure.on('error', () => {})
        const proven = peers.caller(secure, name)
        if ('refused' in proven) {
          failed(proven.refused, proven.code)
          return void secure.destroy()
        }
        handshakes.agreed(secure, 'inbound', proven.peer)
        caught(acceptor.inbound(secure, name, proven.peer, secure.alpnProtocol), secure)
      },
      code => {
        const [reason, why] = whyRefused(code)
        failed(why, reason)
      },
      this.#termsAt(name),
    )
    this.#acceptors.push({ name, acceptor: made })
    return made
  }

  #termsAt(listener: string): TlsTerms {
    return meshTermsOf[this.#with.place.view().listeners[listener]?.tls?.profile ?? 'modern']
  }
}
