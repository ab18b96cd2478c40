/** What may leave the mesh: each request, connection and flow judged by the egress rules, denied ones told why, all counted under a bounded number of places. */

import { Failure } from '#base/failure'
import type { Log } from '#base/log'
import { isIp } from '#io/net'
import type { Backend, Endpoint } from '#model/backend'
import { allowedHosts, deniedAt, type Egress, isHost, isOwnLoopback, judgeEgress, tellEgress } from '#model/egress'
import type { Listener } from '#model/listener'
import type { WeightedBackend } from '#model/route'
import { backendsFor } from '#model/server-name'
import type { View } from '#model/view'
import { everywhere, rulesFor, wayOutAt } from '#model/way-out'
import type { OutsideNames } from './dns.ts'
import { Denied, type Denial, nextDecision } from './telemetry/denial.ts'
import type { Destination, Entry } from './telemetry/entry.ts'
import type { Exchange } from './requests/exchange.ts'
import type { Meter } from './telemetry/meter.ts'

/** So many places are counted by their names, all further ones as one. */
const mostPlaces = 200
export const otherPlaces = 'other'
/** So many ways are kept, with the connections there. */
const mostWays = 4096
/** How often the same denial is logged. */
const tellAgainMs = 60_000

export class Exit {
  readonly #meter: Meter
  readonly #log: Log
  readonly #names: OutsideNames | undefined
  readonly #places = new Set<string>()
  readonly #ways = new Map<string, Endpoint>()
  readonly #told = new Map<string, number>()

  constructor(meter: Meter, log: Log, names: OutsideNames | undefined) {
    this.#meter = meter
    this.#log = log
    this.#names = names
  }

  /** What is known of where a connection wants to go. host: an address, real or virtual, or a name. */
  destinationOf({ host, port }: { readonly host: string; readonly port: number }): Destination {
    if (!isIp(host)) return { host: bare(host), port, name: bare(host) }
    const virtual = this.#names?.hostOf(host)
    if (virtual !== undefined) return { host: virtual, port, name: virtual }
    const name = this.#names?.nameOf(host)
    return { host, port, ...(name === undefined ? {} : { name }), address: host }
  }

  /** The label of metrics: as many as there may be. */
  placeOf({ host, name = host, port }: Destination): string {
    const place = name.includes(':') ? `[${name}]:${port}` : `${name}:${port}`
    if (this.#places.has(place)) return place
    if (this.#places.size >= mostPlaces) return otherPlaces
    this.#places.add(place)
    return place
  }

  /** The way to where a backend without endpoints of its own leads. asked: the name that the caller asked for, where it named one. */
  wayTo(backend: Backend, { destination, listener }: Entry, asked: string | undefined): Endpoint {
    if (destination === undefined)
      throw new Failure('backend-invalid', `${backend.name} is called from ${listener.name}, where nothing says which host is meant`)
    const host = backend.type === 'named' ? asked && bare(asked) : destination.host
    if (host === undefined || host === '') throw new Failure('no-route', `${backend.name}: the caller names no host`)
    const port = backend.port === 0 ? destination.port : backend.port
    const key = `${host} ${port}`
    let found = this.#ways.get(key)
    if (found === undefined) {
      const { name: heard } = destination
      const name = backend.type === 'named' ? host : (heard ?? host)
      found = { host, port, weight: 1, health: 'healthy', mtls: false, workload: this.placeOf({ host, name, port }) }
      if (this.#ways.size >= mostWays) this.#ways.delete(this.#ways.keys().next().value!)
      this.#ways.set(key, found)
    }
    return found
  }

  /** Throws `egress-denied`. */
  admit(exchange: Exchange, egress: Egress): void {
    const failure = this.judge(exchange, egress)
    if (failure !== undefined) throw failure
  }

  /** Why a request may not go there; undefined where it may. */
  judge(exchange: Exchange, egress: Egress): Failure | undefined {
    const { entry, method, path, host } = exchange
    const { destination, listener } = entry
    const asked = bare(host)
    const port = destination?.port ?? listener.port
    const request = listener.protocol === 'udp' ? undefined : { method, path }
    return this.#judged(egress, entry, { name: asked, address: destination?.address, port, request }, asked)
  }

  /** Where a connection whose bytes are not looked into goes, by the listener of now; throws `egress-denied`. sni: the server name that it asks for. isTold: counted and logged. */
  lead(
    entry: Entry,
    sni: string | undefined,
    isTold = true,
  ): { readonly backends: readonly WeightedBackend[] | undefined; readonly entry: Entry } {
    const { listener, destination } = entry
    const name = sni === undefined ? destination?.name : bare(sni)
    const named = destination === undefined || name === undefined ? entry : { ...entry, destination: { ...destination, name } }
    const failure = this.#judgedConnection(named, isTold)
    if (failure !== undefined) throw failure
    return { backends: backendsFor(listener, name), entry: named }
  }

  /** Why a connection may not go on by the rules of now; undefined where it may. entry: as `lead` gave it. */
  whyNoMore(entry: Entry, view: View, isTold = true): Failure | undefined {
    const listener = entry.destination === undefined ? view.listeners[entry.listener.name] : wayOutAt(view, entry.destination.port)
    return listener?.egress === undefined ? undefined : this.#judgedConnection({ ...entry, listener }, isTold)
  }

  /** A flow of datagrams; undefined where it may go on. */
  judgeFlow(destination: Destination, view: View): Failure | undefined {
    const listener = wayOutAt(view, destination.port)
    if (listener?.egress === undefined) return undefined
    const entry = { listener, view: () => view, peer: undefined, source: noParty, destination }
    return this.#judgedConnection(entry)
  }

  #judgedConnection(entry: Entry, isTold = true): Failure | undefined {
    const { listener, destination } = entry
    if (listener.egress === undefined) return undefined
    const egress = rulesFor(listener, listener.egress, destination?.name)
    const port = destination?.port ?? listener.port
    return this.#judged(egress, entry, { name: destination?.name, address: destination?.address, port }, destination?.name, isTold)
  }

  #judged(egress: Egress, entry: Entry, asked: Asked, name: string | undefined, isTold = true): Failure | undefined {
    const verdict = judgeEgress(egress, asked)
    const { destination, listener } = entry
    const place = destination === undefined ? listener.service : this.placeOf({ ...destination, ...(name === undefined ? {} : { name }) })
    if (isTold) this.#meter.egress(verdict.rule ?? egress.policy, verdict.isAllowed ? 'allow' : 'deny', place)
    if (verdict.isAllowed) return undefined
    const why = tellEgress(egress, verdict)
    if (isTold) this.#tell(place, why)
    return new Denied('egress-denied', `${place}: ${why}`, denialBy(verdict.rule ?? egress.policy, why))
  }

  /** Why an address may not be reached, whoever leads there. isNamed: by a name of the caller's own choice, among those that are allowed. */
  refusal(view: View, host: string, address: string, port: number, isNamed: boolean): Failure | undefined {
    const egress = view.listeners[everywhere]?.egress
    // Whoever owns a name could otherwise point it at what listens beside this proxy.
    if (isNamed && egress !== undefined && isOwnLoopback(egress, address)) return this.#ownLoopback(host, address, port)
    const rule = egress === undefined ? undefined : deniedAt(egress, address, port)
    if (rule === undefined) return undefined
    const why = tellEgress(egress!, { isAllowed: false, rule })
    this.#meter.egress(rule, 'deny', this.placeOf({ host, port }))
    this.#tell(`${host}:${port}`, why)
    return new Denied('egress-denied', `${host} is ${address}: ${why}`, denialBy(rule, why))
  }

  #ownLoopback(host: string, address: string, port: number): Failure {
    const why = 'an allowed name leads to the loopback of the machine of the proxy only where a rule allows that network too'
    this.#meter.egress('', 'deny', this.placeOf({ host, port }))
    this.#tell(`${host}:${port}`, why)
    return new Failure('egress-denied', `${host} is ${address}: ${why}`)
  }

  #tell(place: string, why: string): void {
    const now = performance.now()
    const key = `${place} ${why}`
    if (now - (this.#told.get(key) ?? Number.NEGATIVE_INFINITY) < tellAgainMs) return
    if (this.#told.size > 1000) this.#told.clear()
    this.#told.set(key, now)
    this.#log.warn(`a call to ${place} outside the mesh was denied: ${why}`, { reason: 'egress-denied' })
  }
}

/** by: `NAMESPACE/POLICY#RULE`, the policy alone for its default, or ''. */
function denialBy(by: string, why: string): Denial {
  const [policy = '', rule = ''] = by.split('#')
  return { decision: nextDecision(), policy, rule, condition: () => why }
}

type Asked = Parameters<typeof judgeEgress>[1]

const noParty = { service: '', namespace: '', workload: '', version: '', identity: '' }

/** In lower case, without port and without the dot at its end. */
const bare = (host: string): string =>
  (host.startsWith('[') ? host.slice(1).replace(/\].*$/, '') : host.replace(/:\d*$/, '')).replace(/\.$/, '').toLowerCase()

/** Whether the first bytes matter for where it goes, or whether it may. */
export function asksForBytes(listener: Listener, view: View): boolean {
  let known = byBytes.get(listener)
  if (known === undefined) byBytes.set(listener, (known = looksIntoBytes(listener, view)))
  return known
}
const byBytes = new WeakMap<Listener, boolean>()

function looksIntoBytes({ serverNames, routes, egress }: Listener, view: View): boolean {
  const hosts = view.routes[routes ?? '']?.hosts ?? []
  if (serverNames !== undefined || hosts.some(({ domains }) => domains.join() !== '*')) return true
  const targets = [...(egress?.deny ?? []), ...(egress?.allow ?? [])].flatMap(({ to }) => to)
  return targets.some(({ hosts, methods, paths }) => hosts !== undefined || methods !== undefined || paths !== undefined)
}

/** Whether a rule or an ExternalService tells this name from others, so that it must have an address of its own. */
export function isTold(view: View, name: string): boolean {
  let patterns = byView.get(view)
  if (patterns === undefined) byView.set(view, (patterns = patternsIn(view)))
  return patterns.some(pattern => isHost(pattern, name))
}
const byView = new WeakMap<View, readonly string[]>()

const patternsIn = (view: View): readonly string[] =>
  Object.values(view.listeners).flatMap(({ direction, host, egress, serverNames = [], routes }) => {
    if (direction !== 'outbound' || host !== '0.0.0.0' || egress === undefined) return []
    const denied = egress.deny.flatMap(({ to }) => to.flatMap(({ hosts = [] }) => hosts))
    const domains = (view.routes[routes ?? '']?.hosts ?? []).flatMap(each => each.domains).filter(domain => domain !== '*')
    return [...denied, ...allowedHosts(egress), ...serverNames.flatMap(({ names }) => names), ...domains]
  })
