/** The ways in: which listener a connection met, who is calling, and what its ends are; from here on it is carried. */

import { Failure } from '#base/failure'
import { breakOff, type Socket } from '#io/net'
import type { Listener } from '#model/listener'
import { isGivenOut, listenerAt } from '#model/virtual'
import { wayOutAt } from '#model/way-out'
import type { Ends } from '#wire/proxy-protocol'
import { asksForBytes } from '../exit.ts'
import type { Place } from '../place.ts'
import { type Entry, outside, partyOf } from '../telemetry/entry.ts'
import { agreedOf } from '../upstreams/handshakes.ts'
import { refusePlaintext } from './arrival.ts'
import { Arrivals } from './arrivals.ts'
import type { Carriers } from './carriers.ts'
import { outOfMesh } from './opaque.ts'
import { endsOf, readHeader } from './proxy-header.ts'

export class Acceptor {
  readonly #place: Place
  readonly #carriers: Carriers
  readonly #arrivals: Arrivals

  constructor(place: Place, carriers: Carriers) {
    this.#place = place
    this.#carriers = carriers
    this.#arrivals = new Arrivals(place.meter.registry)
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
    await this.#carriers.carry(socket, { listener, view, peer: undefined, source: self(), ends })
  }

  /** Such an address is nobody's outside: what is sent on would come to whoever routes it. */
  #nobodyThere(socket: Socket, wanted: { readonly host: string; readonly port: number }): void {
    const { view, self, exit } = this.#place
    const failure = new Failure('no-listener', `${wanted.host}:${wanted.port}`)
    this.#carriers.turnAway(socket, outOfMesh(exit.destinationOf(wanted), view, self()), failure)
  }

  /** To what is no service of the mesh: by the rules and hosts of the view where it has any, else wherever it wants. */
  async #leave(socket: Socket, wanted: { readonly host: string; readonly port: number }): Promise<void> {
    const { view, self, exit } = this.#place
    const way = wayOutAt(view(), wanted.port)
    const entry = outOfMesh(exit.destinationOf(wanted), view, self(), way)
    // Who speaks HTTP is told why it may not go there.
    if (way !== undefined && (asksForBytes(way, view()) || exit.whyNoMore(entry, view(), false) !== undefined))
      return this.#carriers.carry(socket, entry)
    return way === undefined ? this.#carriers.passThrough(socket, entry) : this.#carriers.opaque(socket, entry)
  }

  /** From the workload, to where the operator does not want the mesh to be: whatever listens there, and even before the mesh is known. */
  async excluded(socket: Socket, destination: { host: string; port: number }): Promise<void> {
    const { view, self, exit } = this.#place
    await this.#carriers.passThroughAlways(socket, outOfMesh(exit.destinationOf(destination), view, self()))
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
    await this.#carriers.carry(socket, { listener: settled, view, peer, source, own: self().identity, ends, agreed: agreedOf(socket) }, via)
  }

  #met(socket: Socket, listener: string, peer: string | undefined, ends: () => Ends | undefined): void {
    this.#arrivals.opened(socket, listener, peer === undefined ? 'plaintext' : 'mutual', ends)
    if (peer === undefined) this.#carriers.metNameless(socket, listener)
  }

  /** From a caller that came in plaintext where the listener demands an identity. first: what it sent, still unread. */
  refuse(socket: Socket, listener: Listener, first: Uint8Array): void {
    const failure = new Failure('identity-required', listener.name)
    this.#arrivals.refused(socket, listener.name)
    this.#refused(listener, failure, 'it speaks plaintext', () => endsOf(socket))
    refusePlaintext(socket, first, failure)
  }

  /** Who called whom, as the balancer in front says; undefined where it does not, and then the connection is over. */
  async announced(socket: Socket, listener: Listener): Promise<(() => Ends | undefined) | undefined> {
    try {
      const ends = (await readHeader(socket)) ?? endsOf(socket)
      return () => ends
    } catch (thrown) {
      if (!(thrown instanceof Failure)) throw thrown
      this.#refused(listener, thrown, thrown.says, () => endsOf(socket))
      breakOff(socket)
      return undefined
    }
  }

  #refused(listener: Listener, failure: Failure, why: string, ends?: () => Ends | undefined): void {
    const { code } = failure
    const { view, meter, log, accessLogs } = this.#place
    const entry: Entry = { listener, view, peer: undefined, source: outside, ...(ends === undefined ? {} : { ends }) }
    const to = { service: listener.service, workload: '', identity: undefined }
    meter.connection(entry, to, code).close(code)
    if (accessLogs.isOn) accessLogs.refused(entry, failure, to, performance.now())
    log.warn(`a caller of ${listener.name} was refused: ${why}`, { reason: code })
  }

  /** From outside the mesh, through a port that somebody published on purpose: no identity, so the listener's demand for one is lifted here and only here. */
  async published(socket: Socket, name: string, ends = () => endsOf(socket)): Promise<void> {
    const { view } = this.#place
    if (!(await this.#isReady(socket))) return
    const listener = view().listeners[name]
    if (listener === undefined) return void socket.destroy()
    const { tls: _, ...open } = listener
    await this.#carriers.carry(socket, { listener: open, view, peer: undefined, source: outside, ends })
  }

  /** From outside the mesh, at a port of a Gateway. via: what its TLS agreed on; undefined: plaintext. */
  async entered(socket: Socket, listener: Listener, ends: () => Ends | undefined, via?: string | false | null): Promise<void> {
    const { view } = this.#place
    await this.#carriers.carry(
      socket,
      { listener, view, peer: undefined, source: outside, ends, isSecure: via !== undefined, agreed: agreedOf(socket) },
      via ?? undefined,
    )
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
}
