/** Connections of which only the bytes matter: to which endpoint each goes, what is counted of it, how many there are. */

import { Failure, type FailureCode } from '#base/failure'
import { breakOff, dialTcp, type Socket } from '#io/net'
import { pickWeighted } from '#model/match'
import type { Backend, Endpoint, Listener, View, WeightedBackend } from '#model/view'
import type { Place } from './accept.ts'
import { connect, type Connected } from './connect.ts'
import type { Entry, Party } from './entry.ts'
import { pickEndpoint, shareOf } from './share.ts'
import { carry } from './tcp.ts'

/** How long nothing may pass where nobody says otherwise; Envoy's own default. */
const idleMs = 3_600_000

export class Opaque {
  readonly #place: Place
  /** With what ends each. */
  readonly #carried = new Map<Socket, (reason: FailureCode) => void>()

  constructor(place: Place) {
    this.#place = place
  }

  get size(): number {
    return this.#carried.size
  }

  cut(reason: FailureCode): void {
    for (const end of this.#carried.values()) end(reason)
  }

  /** To one of the listener's backends. first: what was read off the socket already. */
  async carry(socket: Socket, entry: Entry, first?: Uint8Array): Promise<void> {
    const { meter, log, view } = this.#place
    socket.on('error', () => {})
    let connected: Connected
    let endpoint: Endpoint | undefined
    try {
      const picked = pickWeighted(entry.listener.backends ?? [], Math.random())
      ;({ connected, endpoint } = await this.#reachOne(picked, view(), entry))
    } catch (thrown) {
      if (!(thrown instanceof Failure)) throw thrown
      meter.connection(entry, { service: entry.listener.service, workload: '', identity: undefined }).close(thrown.code)
      log.warn(`connection to ${entry.listener.service} ended: ${thrown.says}`, { reason: thrown.code, hint: thrown.hint })
      return breakOff(socket)
    }
    await this.#relay(socket, connected, entry, { service: entry.listener.service, workload: endpoint?.workload ?? '' }, first)
  }

  async #relay(
    socket: Socket,
    connected: Connected,
    entry: Entry,
    to: { service: string; workload: string },
    first?: Uint8Array,
  ): Promise<void> {
    const samples = this.#place.meter.connection(entry, { ...to, identity: connected.identity })
    let reason: FailureCode | '' = ''
    this.#carried.set(socket, why => {
      reason = why
      socket.destroy()
      connected.socket.destroy()
    })
    const ended = await carry(socket, connected.socket, samples, idleMs, first)
    this.#carried.delete(socket)
    samples.close(reason || ended)
  }

  async #reachOne(
    picked: WeightedBackend | undefined,
    view: View,
    entry: Entry,
  ): Promise<{ connected: Connected; endpoint: Endpoint | undefined; backend: Backend }> {
    const { pools, reach } = this.#place
    if (picked === undefined) throw new Failure('backend-invalid', entry.listener.name)
    const share = shareOf(picked, view, entry.listener.name)
    let tried: readonly Endpoint[] = []
    for (;;) {
      const endpoint = pickEndpoint(share, pools, tried)
      try {
        return { connected: await connect(share.backend, endpoint, reach, [], entry.ends), endpoint, backend: share.backend }
      } catch (thrown) {
        if (!(thrown instanceof Failure) || thrown.fate !== 'safe' || endpoint === undefined || tried.length >= 3) throw thrown
        tried = [...tried, endpoint]
      }
    }
  }

  /** Not a service of the mesh: on to where the workload wanted to go, counted as `external`. entry: from `outOfMesh`. */
  async passThrough(socket: Socket, entry: Entry): Promise<void> {
    const { listener } = entry
    const { log, outside } = this.#place
    socket.on('error', () => {})
    const upstream = dialTcp(outside?.hostOf(listener.host) ?? listener.host, listener.port)
    const isOpen = await new Promise<boolean>(resolve => upstream.once('connect', () => resolve(true)).once('error', () => resolve(false)))
    if (!isOpen) {
      log.debug(`${listener.host}:${listener.port} is not of the mesh and does not answer`)
      upstream.destroy()
      return breakOff(socket)
    }
    const workload = `${outside?.nameOf(listener.host) ?? listener.host}:${listener.port}`
    await this.#relay(socket, { socket: upstream, identity: undefined }, entry, { service: 'external', workload })
  }
}

/** How a connection to a destination that the mesh knows nothing of is spoken of. */
export function outOfMesh({ host, port }: { host: string; port: number }, view: () => View, source: Party): Entry {
  const listener: Listener = { name: 'outbound/external', direction: 'outbound', host, port, protocol: 'tcp', service: 'external' }
  return { listener, view, peer: undefined, source }
}
