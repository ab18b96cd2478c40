/** Connections of which only the bytes matter: to which endpoint each goes, what is counted of it, how many there are. */

import { Failure, type FailureCode } from '#base/failure'
import { breakOff, type Count, type Socket } from '#io/net'
import type { Access } from '#model/access-rule'
import type { Backend, Endpoint } from '#model/backend'
import type { Fault } from '#model/fault'
import type { Listener } from '#model/listener'
import { pickWeighted } from '#model/match'
import type { WeightedBackend } from '#model/route'
import { backendsFor } from '#model/server-name'
import type { View } from '#model/view'
import { detect } from '#wire/detect'
import type { Place } from '../place.ts'
import { drawFor, keyOf } from '../endpoints/affinity.ts'
import { callerOf } from '../access/access.ts'
import { Ahead } from './ahead.ts'
import type { Authorizations } from '../access/authorize.ts'
import { connect } from '../upstreams/connect.ts'
import type { Connected } from '../upstreams/reach.ts'
import { denialOf, type Denial } from '../telemetry/denial.ts'
import type { Destination, Entry, Party } from '../telemetry/entry.ts'
import { type Hit, hitBy } from '../requests/fault.ts'
import { firstBytes } from './first-bytes.ts'
import type { Limiter } from '../requests/rate-limit.ts'
import { pickEndpoint, setOf, shareOf } from '../endpoints/share.ts'
import { carry } from './tcp.ts'

/** How long nothing may pass where nobody says otherwise; Envoy's own default. */
const usualIdleMs = 3_600_000
/** How long a caller may take to say which server it wants: as long as a handshake may take as a whole. */
const helloMs = 10_000
/** How long a host outside the mesh may take to answer. */
const outsideMs = 10_000

/** TLS alert unrecognized_name, fatal (RFC 6066 §3, RFC 8446 §6): the caller learns why. */
const unrecognizedName = Uint8Array.of(21, 3, 3, 0, 2, 2, 112)

type Carried = { readonly entry: Entry; readonly end: (reason: FailureCode, by?: Denial) => void }
type Reached = { readonly connected: Connected; readonly endpoint: Endpoint | undefined; readonly backend: Backend }

export class Opaque {
  readonly #place: Place
  readonly #limiter: Limiter
  readonly #authorizations: Authorizations
  /** What was asked about connections, each once: their way may be begun before it is known what they are. */
  readonly #asked = new WeakMap<Entry, Promise<void>>()
  /** With what ends each. */
  readonly #carried = new Map<Socket, Carried>()

  constructor(place: Place, limiter: Limiter, authorizations: Authorizations) {
    this.#place = place
    this.#limiter = limiter
    this.#authorizations = authorizations
  }

  get size(): number {
    return this.#carried.size
  }

  cut(reason: FailureCode): void {
    for (const { end } of this.#carried.values()) end(reason)
  }

  /** Ends those that the rules of now do not allow any more. */
  rejudge(): void {
    for (const { entry, end } of this.#carried.values()) {
      const failure = this.#whyNoMore(entry)
      if (failure !== undefined) end(failure.code, denialOf(failure))
    }
  }

  #whyNoMore(entry: Entry): Failure | undefined {
    if (entry.listener.direction === 'outbound') return this.#place.exit.whyNoMore(entry, this.#place.view())
    const access = this.#accessAt(entry)
    return access && this.#place.gate.rejectConnection(entry, access)
  }

  /** The rules of now, whichever held when the connection came. */
  #accessAt({ listener }: Entry): Access | undefined {
    return listener.direction === 'inbound' ? this.#place.view().listeners[listener.name]?.access : undefined
  }

  /** The way to one of the listener's backends, not begun. */
  ahead(entry: Entry): Ahead<Reached> {
    return new Ahead(async () => {
      const access = this.#accessAt(entry)
      // Not yet a denial: what comes may be HTTP, which has rules of its own.
      if (access !== undefined && !callerOf(entry, access).judgeConnection().isAllowed) throw new Failure('access-denied')
      await this.#authorized(entry)
      if (entry.listener.egress === undefined) return this.#reachOne(pickWeighted(entry.listener.backends ?? [], drawFor(entry)), entry)
      const { backends = [], entry: led } = this.#place.exit.lead(entry, undefined, false)
      return this.#reachOne(pickWeighted(backends, drawFor(entry)), led)
    })
  }

  /** To one of the listener's backends, of those that its server name has where it goes by names. first: what was read off the socket already. ahead: the way, where it was begun. */
  async carry(socket: Socket, entry: Entry, first?: Uint8Array, ahead?: Ahead<Reached>): Promise<void> {
    const startedAt = performance.now()
    socket.on('error', () => {})
    const { listener } = entry
    const hello = listener.serverNames === undefined ? first : (first ?? (await firstBytes(socket, helloMs)))
    try {
      const access = this.#accessAt(entry)
      if (access !== undefined) this.#place.gate.admitConnection(entry, access)
      const asked = this.#authorized(entry)
      if (asked !== undefined) await asked
      this.#admit(listener)
      const hit = listener.fault === undefined ? undefined : hitBy(listener.fault, Math.random, Date.now())
      if (hit !== undefined && !(await this.#spared(socket, entry, listener.fault!, hit))) return ahead?.drop()
      const said = listener.egress === undefined || hello === undefined ? undefined : detect(hello)
      // What was begun before the caller spoke was begun for another name.
      const begun = said?.sni === undefined ? ahead?.take() : void ahead?.drop()
      const led = listener.egress === undefined ? undefined : this.#place.exit.lead(entry, said?.sni)
      const backends =
        led !== undefined ? led.backends : listener.serverNames === undefined ? listener.backends : backendsByName(listener, hello)
      const met = led?.entry ?? entry
      const reached = await (begun ?? this.#reachOne(pickWeighted(backends ?? [], drawFor(entry)), met))
      const { endpoint, backend } = reached
      // The balancer counts a connection as a request under way.
      const pool = this.#place.pools.of(backend, endpoint)
      pool.inFlight++
      await this.#relay(socket, reached, met, { service: backend.service, workload: endpoint?.workload ?? '' }, startedAt, hello, hit?.line)
      pool.inFlight--
    } catch (thrown) {
      if (!(thrown instanceof Failure)) throw thrown
      if (
        thrown.code === 'fault-injected' ||
        thrown.code === 'access-denied' ||
        thrown.code === 'egress-denied' ||
        thrown.code === 'rate-limited' ||
        thrown.code.startsWith('external-authorization-')
      )
        ahead?.drop()
      const workload = entry.destination === undefined ? '' : this.#place.exit.placeOf(entry.destination)
      this.#refuse(socket, entry, thrown, { service: listener.service, workload }, startedAt, hello)
    }
  }

  /** Throws where the service that is asked about connections does not let it on. */
  #authorized(entry: Entry): Promise<void> | undefined {
    if (entry.listener.direction !== 'inbound') return undefined
    const view = this.#place.view()
    const authorizer = view.listeners[entry.listener.name]?.connectionAuthorizer
    if (authorizer === undefined) return undefined
    let asked = this.#asked.get(entry)
    if (asked === undefined) this.#asked.set(entry, (asked = this.#authorizations.admit(entry, authorizer, view)))
    return asked
  }

  /** Throws where more came than a RateLimitPolicy of now takes. */
  #admit({ direction, name }: Listener): void {
    if (direction !== 'inbound') return
    const limit = this.#place.view().listeners[name]?.connectionLimit
    if (limit !== undefined) this.#limiter.admitConnection(limit, name, performance.now())
  }

  /** False where the caller went away while it was held up. Throws where the connection is to be reset. */
  async #spared(socket: Socket, { listener }: Entry, fault: Fault, hit: Hit): Promise<boolean> {
    const { meter } = this.#place
    if (hit.delayMs > 0) {
      meter.fault(fault.policy, listener.name, 'delay')
      await new Promise<void>(resolve => {
        const done = () => {
          clearTimeout(timer)
          socket.off('close', done)
          resolve()
        }
        const timer = setTimeout(done, hit.delayMs)
        socket.once('close', done)
      })
    }
    if (hit.abort === undefined) {
      if (hit.line !== undefined) meter.fault(fault.policy, listener.name, 'bandwidth')
      return !socket.destroyed
    }
    meter.fault(fault.policy, listener.name, hit.abort.type)
    throw new Failure('fault-injected', `${fault.policy} (reset)`)
  }

  /** Counted with the reason. A caller that spoke TLS to no known name is told so in TLS, others by a reset. */
  #refuse(
    socket: Socket,
    entry: Entry,
    failure: Failure,
    to: { service: string; workload: string },
    startedAt: number,
    first?: Uint8Array,
  ): void {
    const { meter, log, accessLogs } = this.#place
    meter.connection(entry, { ...to, identity: undefined }, failure.code).close(failure.code)
    if (accessLogs.isOn) accessLogs.refused(entry, failure, { ...to, identity: undefined }, startedAt)
    log.warn(`connection to ${to.workload || to.service} ended: ${failure.says}`, { reason: failure.code, hint: failure.hint })
    if (failure.code !== 'no-route' || first === undefined || detect(first).kind !== 'tls') return breakOff(socket)
    socket.end(unrecognizedName)
    socket.resume()
    setTimeout(() => socket.destroy(), 1000).unref()
  }

  async #relay(
    socket: Socket,
    reached: Reached,
    entry: Entry,
    to: { service: string; workload: string },
    startedAt: number,
    first?: Uint8Array,
    line?: Fault['bandwidth'],
  ): Promise<void> {
    const { connected, backend, endpoint } = reached
    const { meter, accessLogs } = this.#place
    const { identity } = connected
    const samples = meter.connection(entry, { ...to, identity })
    let reason: FailureCode | '' = ''
    let denial: Denial | undefined
    const end = (why: FailureCode, by?: Denial): void => {
      reason = why
      denial = by
      breakOff(socket)
      connected.socket.destroy()
    }
    this.#carried.set(socket, { entry, end })
    // While the way was made, the rules may have changed.
    const failure = this.#whyNoMore(entry)
    if (failure !== undefined) end(failure.code, denialOf(failure))
    if (accessLogs.isOn) accessLogs.opened(entry)
    const own = accessLogs.isOn ? { sent: new OwnCount(samples.sent), received: new OwnCount(samples.received) } : undefined
    const ended = await carry(socket, connected.socket, own ?? samples, entry.listener.idleMs ?? usualIdleMs, first, line)
    this.#carried.delete(socket)
    samples.close(reason || ended)
    if (!accessLogs.isOn) return
    // Of one that began before anybody wanted to know.
    const bytes = { bytesReceived: own?.sent.value, bytesSent: own?.received.value }
    accessLogs.connection({
      entry,
      startedAt,
      reason: reason || ended,
      detail: '',
      denial,
      ...to,
      identity,
      backend: backend.name,
      endpoint,
      ...bytes,
    })
  }

  async #reachOne(picked: WeightedBackend | undefined, entry: Entry): Promise<Reached> {
    const { pools, reach, view, exit } = this.#place
    if (picked === undefined) throw new Failure('backend-invalid', entry.listener.name)
    const share = shareOf(picked, view(), entry.listener.name, pools, undefined, keyOf(entry), exit, entry, entry.destination?.name)
    const { backend } = share
    const isGuarded = share.endpoints !== undefined && (backend.limits !== undefined || backend.outlierDetection !== undefined)
    const guard = isGuarded ? pools.guards.of(backend) : undefined
    const all = isGuarded ? (setOf(backend, view())?.endpoints.length ?? 0) : 0
    let tried: readonly Endpoint[] = []
    for (;;) {
      const endpoint = pickEndpoint(share, tried)
      if (guard !== undefined && !pools.mayConnect(backend.name)) throw guard.limitedConnections
      guard?.opened()
      try {
        const connected = await connect(backend, endpoint, reach, [], entry.ends)
        if (guard !== undefined) {
          connected.socket.once('close', () => guard.closed())
          guard.answered(endpoint!, 200, all)
        }
        return { connected, endpoint, backend }
      } catch (thrown) {
        guard?.closed()
        if (endpoint !== undefined && thrown instanceof Failure && thrown.blame === 'upstream') guard?.answered(endpoint, undefined, all)
        if (!(thrown instanceof Failure) || thrown.fate !== 'safe' || endpoint === undefined || tried.length >= 3) throw thrown
        tried = [...tried, endpoint]
      }
    }
  }

  /** Not a service of the mesh: on to where the workload wanted to go, counted as `external` with that place as the workload. entry: from `outOfMesh`. */
  async passThrough(socket: Socket, entry: Entry): Promise<void> {
    const startedAt = performance.now()
    const { exit, reach } = this.#place
    socket.on('error', () => {})
    const destination = entry.destination!
    const to = { service: 'external', workload: exit.placeOf(destination) }
    try {
      const endpoint = { ...unknown, host: destination.host, port: destination.port }
      const connected = await connect(anywhere, endpoint, reach, [])
      await this.#relay(socket, { connected, endpoint, backend: anywhere }, entry, to, startedAt)
    } catch (thrown) {
      if (!(thrown instanceof Failure)) throw thrown
      this.#refuse(socket, entry, thrown, to, startedAt)
    }
  }
}

/** What passes on one connection, counted for that of all of its kind too. */
class OwnCount implements Count {
  readonly #all: Count
  #own = 0
  constructor(all: Count) {
    this.#all = all
  }
  get value(): number {
    return this.#own
  }
  set value(now: number) {
    this.#all.value += now - this.#own
    this.#own = now
  }
}

/** Throws `no-route` where neither the name nor a default leads anywhere. hello: what the caller said within its time. */
function backendsByName(listener: Listener, hello: Uint8Array | undefined): readonly WeightedBackend[] {
  const said = detect(hello ?? new Uint8Array(0))
  const found = backendsFor(listener, said.sni)
  if (found !== undefined) return found
  if (said.kind !== 'tls') throw new Failure('no-route', 'the caller does not speak TLS, and this port goes by server names')
  throw new Failure('no-route', said.sni === undefined ? 'the caller names no server (SNI)' : `server name "${said.sni}"`)
}

const unknown: Omit<Endpoint, 'host' | 'port'> = { weight: 1, health: 'healthy', mtls: false, workload: '' }
/** Where nobody says anything of it. */
const anywhere: Backend = {
  name: 'external',
  service: 'external',
  type: 'original',
  isExternal: true,
  port: 0,
  protocol: 'tcp',
  balance: 'round-robin',
  connectTimeoutMs: outsideMs,
  identities: [],
}

/** How a connection to a destination that the mesh knows nothing of is spoken of. way: the listener that says what may be called. */
export function outOfMesh(destination: Destination, view: () => View, source: Party, way?: Listener): Entry {
  const { host, port } = destination
  const listener: Listener = way ?? { name: 'outbound/external', direction: 'outbound', host, port, protocol: 'tcp', service: 'external' }
  return { listener, view, peer: undefined, source, destination }
}
