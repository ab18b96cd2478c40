/** What a client has received, and what of it may be put to use: the difference is what still waits for something it needs. */

import type { Backend, EndpointSet } from '#model/backend'
import type { Listener } from '#model/listener'
import type { RouteTable, WeightedBackend } from '#model/route'
import type { Trust } from '#model/trust'
import { type DnsName, emptyView, type View } from '#model/view'
import type { Part } from '../decode.ts'
import { type Chain, joinChains } from '../decode/fallback.ts'
import type { ToldBeside } from '../decode/revoked.ts'
import { type TypeUrl, typeUrls } from '../types.ts'

type Held = { readonly version: string; readonly part: Part }

export type Settled = {
  readonly view: View
  /** Something is under way for which a value waits. */
  readonly waiting: boolean
  /** All that the view names is there, and the first answers have all come. */
  readonly whole: boolean
}

export class Holdings {
  readonly #held = new Map<TypeUrl, Map<string, Held>>(Object.values(typeUrls).map(type => [type, new Map()]))
  /** Asked for by name and answered: there is none, or none that can be used. */
  readonly #absent = new Map<TypeUrl, Set<string>>(Object.values(typeUrls).map(type => [type, new Set()]))
  readonly #answered = new Set<TypeUrl>()
  #active: View = emptyView

  take(typeUrl: TypeUrl, name: string, version: string, part: Part): void {
    this.#held.get(typeUrl)!.set(name, { version, part })
    this.#absent.get(typeUrl)!.delete(name)
  }

  has(typeUrl: TypeUrl, name: string, version: string): boolean {
    return version !== '' && this.#held.get(typeUrl)!.get(name)?.version === version
  }

  /** The last good value stays; where there was none it counts as answered. */
  reject(typeUrl: TypeUrl, name: string): void {
    if (!this.#held.get(typeUrl)!.has(name)) this.#absent.get(typeUrl)!.add(name)
  }

  /**
   * The server says that there is no such resource. What something here still leads to stays as it was, as in Envoy: endpoints go with their cluster,
   * routes with their listener, and roots never, for without any nobody could be trusted.
   */
  remove(typeUrl: TypeUrl, name: string): void {
    if (typeUrl === typeUrls.cluster || typeUrl === typeUrls.listener) this.#held.get(typeUrl)!.delete(name)
    else if (!this.#held.get(typeUrl)!.has(name)) this.#absent.get(typeUrl)!.add(name)
  }

  /** Not asked for any more. */
  forget(typeUrl: TypeUrl, name: string): void {
    this.#held.get(typeUrl)!.delete(name)
    this.#absent.get(typeUrl)!.delete(name)
  }

  answered(typeUrl: TypeUrl): void {
    this.#answered.add(typeUrl)
  }

  versions(typeUrl: TypeUrl): Record<string, string> {
    return Object.fromEntries([...this.#held.get(typeUrl)!].map(([name, { version }]) => [name, version]))
  }

  /** Of clusters received and of those that are still in use. */
  wantedEndpoints(): ReadonlySet<string> {
    const backends = [...this.#backends(), ...Object.values(this.#active.backends)]
    return new Set(backends.filter(({ type }) => type === 'endpoints').map(({ name }) => name))
  }

  wantedRoutes(): ReadonlySet<string> {
    const listeners = [...this.#parts<Listener>('listener'), ...Object.values(this.#active.listeners)]
    return new Set(listeners.flatMap(tablesOf))
  }

  /** impatient: what waits is used as it is. */
  settle(impatient: boolean): Settled {
    const active = this.#active
    const received = { backends: byName(this.#backends()), routes: byName(this.#parts<RouteTable>('route')) }
    let waiting = false
    const ready = (isReady: boolean): boolean => {
      waiting ||= !isReady
      return isReady || impatient
    }
    const isWarm = ({ type, name }: Backend): boolean => type !== 'endpoints' || this.#isAnswered(typeUrls.endpoints, name)
    const leadsToWarm = (names: Iterable<string>): boolean => {
      for (const name of names) if (received.backends[name] !== undefined && !isWarm(received.backends[name])) return false
      return true
    }

    const routes: Record<string, RouteTable> = {}
    for (const table of Object.values(received.routes)) {
      const chosen = ready(leadsToWarm(backendsOf(table))) ? table : active.routes[table.name]
      if (chosen !== undefined) routes[table.name] = chosen
    }
    const listeners: Record<string, Listener> = {}
    for (const listener of this.#parts<Listener>('listener')) {
      const hasRoutes = tablesOf(listener).every(name => routes[name] !== undefined || this.#isAbsent(typeUrls.route, name))
      const chosen = ready(hasRoutes && leadsToWarm(named(listener.backends ?? []))) ? listener : active.listeners[listener.name]
      if (chosen !== undefined) listeners[listener.name] = chosen
    }
    const backends: Record<string, Backend> = {}
    for (const backend of Object.values(received.backends)) {
      const chosen = ready(isWarm(backend)) ? backend : active.backends[backend.name]
      if (chosen !== undefined) backends[backend.name] = chosen
    }
    // What was removed stays as long as something in use leads to it.
    for (const name of withFallbacks(inUse(listeners, routes), active.backends)) {
      const kept = active.backends[name]
      if (backends[name] === undefined && kept !== undefined && received.backends[name] === undefined) backends[name] = kept
    }
    const sets = byBackend(this.#parts<EndpointSet>('endpoints'))
    const endpoints: Record<string, EndpointSet> = {}
    for (const { name, type } of Object.values(backends)) {
      const set = sets[name] ?? active.endpoints[name]
      if (type === 'endpoints' && set !== undefined) endpoints[name] = set
    }
    const dns = this.#parts<readonly DnsName[]>('dns')
    const [trust] = this.#parts<Trust>('trust')
    const [withdrawn] = this.#parts<ToldBeside>('withdrawn')

    this.#active = whole(active, {
      listeners: sameOrNew(active.listeners, listeners),
      routes: sameOrNew(active.routes, routes),
      backends: sameOrNew(active.backends, backends),
      endpoints: sameOrNew(active.endpoints, endpoints),
      dns: dns.length === 1 ? dns[0]! : dns.length === 0 && active.dns.length === 0 ? active.dns : dns.flat(),
      trust: trust === undefined ? active.trust : without(trust, withdrawn),
    })
    const all = this.#answered.has(typeUrls.cluster) && this.#answered.has(typeUrls.listener) && trust !== undefined
    return { view: this.#active, waiting: waiting || !all, whole: all && !waiting }
  }

  #isAnswered(typeUrl: TypeUrl, name: string): boolean {
    return this.#held.get(typeUrl)!.has(name) || this.#isAbsent(typeUrl, name)
  }

  #isAbsent(typeUrl: TypeUrl, name: string): boolean {
    return this.#absent.get(typeUrl)!.has(name)
  }

  #backends(): readonly Backend[] {
    return joinChains(this.#parts<Backend>('backend'), this.#parts<Chain>('chain'))
  }

  #parts<Value>(type: Part['type']): Value[] {
    const parts: Value[] = []
    for (const { part } of this.#held.get(typeOf[type])!.values()) if (part.type === type) parts.push(part.value as Value)
    return parts
  }
}

const typeOf: Readonly<Record<Part['type'], TypeUrl>> = {
  listener: typeUrls.listener,
  dns: typeUrls.listener,
  route: typeUrls.route,
  backend: typeUrls.cluster,
  chain: typeUrls.cluster,
  endpoints: typeUrls.endpoints,
  trust: typeUrls.secret,
  withdrawn: typeUrls.secret,
}

const joined = new WeakMap<Trust, WeakMap<ToldBeside, Trust>>()
/** The same object for the same two. */
function without(trust: Trust, withdrawn: ToldBeside | undefined): Trust {
  if (withdrawn === undefined || Object.keys(withdrawn).length === 0) return trust
  const known = joined.get(trust) ?? new WeakMap<ToldBeside, Trust>()
  joined.set(trust, known)
  const found = known.get(withdrawn) ?? { ...trust, ...withdrawn }
  known.set(withdrawn, found)
  return found
}

/** What is in use leads on to its fallbacks. */
function withFallbacks(names: Iterable<string>, backends: View['backends']): ReadonlySet<string> {
  const found = new Set(names)
  for (const name of found) {
    const next = backends[name]?.fallback
    if (next !== undefined) found.add(next)
  }
  return found
}

const byName = <Part extends { readonly name: string }>(parts: readonly Part[]): Record<string, Part> =>
  Object.fromEntries(parts.map(part => [part.name, part]))
const byBackend = (parts: readonly EndpointSet[]): Record<string, EndpointSet> =>
  Object.fromEntries(parts.map(part => [part.backend, part]))

const tablesOf = ({ routes, terminates = [] }: Listener): readonly string[] => [
  ...(routes === undefined ? [] : [routes]),
  ...terminates.flatMap(each => each.routes ?? []),
]

const referred = new WeakMap<RouteTable, ReadonlySet<string>>()

/** The backends that a table leads to; kept, since the same table is asked about at every change of anything. */
function backendsOf(table: RouteTable): ReadonlySet<string> {
  let names = referred.get(table)
  if (names === undefined) {
    names = new Set(
      table.hosts.flatMap(host => host.routes.flatMap(({ action }) => (action.type === 'forward' ? [...named(action.backends)] : []))),
    )
    referred.set(table, names)
  }
  return names
}

function* named(backends: readonly WeightedBackend[]): Iterable<string> {
  for (const { backend } of backends) if (backend !== undefined) yield backend
}

function* inUse(listeners: View['listeners'], routes: View['routes']): Iterable<string> {
  for (const { backends } of Object.values(listeners)) if (backends !== undefined) yield* named(backends)
  for (const table of Object.values(routes)) yield* backendsOf(table)
}

/** The old record where nothing in it changed. */
function sameOrNew<Part>(old: Readonly<Record<string, Part>>, fresh: Readonly<Record<string, Part>>): Readonly<Record<string, Part>> {
  const names = Object.keys(fresh)
  return names.length === Object.keys(old).length && names.every(name => old[name] === fresh[name]) ? old : fresh
}

function whole(old: View, fresh: View): View {
  return (Object.keys(old) as (keyof View)[]).every(key => old[key] === fresh[key]) ? old : fresh
}
