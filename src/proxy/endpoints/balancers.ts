/** The balancers of one proxy: made once for each set of endpoints and policy, with what is remembered when either changes. */

import type { Backend, Endpoint, EndpointSet } from '#model/backend'
import { type Balancer, makeBalancer, type Surroundings, type Usage } from '#model/balance'

/** What is told of endpoints to the balancers of one proxy, and what they tell. */
export type Surrounding = {
  /** What is under way at an endpoint. */
  of(backend: Backend, endpoint: Endpoint): Usage
  readonly checks: { used(backend: Backend, set: EndpointSet): void }
  readonly guards: { follow(backend: Backend): void }
}

type Known = { readonly backend: Backend; readonly out: ReadonlySet<string>; readonly balancer: Balancer }

/** Why this proxy leaves out what the control plane calls healthy: it keeps failing, or fails its health check. */
type Cause = 'failures' | 'checks'

const none: ReadonlySet<string> = new Set()

export class Balancers {
  readonly #pools: Surrounding
  readonly #known = new WeakMap<EndpointSet, Known>()
  /** By name of the backend. */
  readonly #memories = new Map<string, Memory>()
  readonly #byAddress = new WeakMap<EndpointSet, ReadonlyMap<string, Endpoint>>()
  readonly #out = new Map<string, ReadonlySet<string>>()
  /** Why: by cause, then by backend. */
  readonly #outBy = new Map<Cause, Map<string, ReadonlySet<string>>>()

  constructor(pools: Surrounding) {
    this.#pools = pools
  }

  of(backend: Backend, set: EndpointSet): Balancer {
    if (backend.healthCheck !== undefined) this.#pools.checks.used(backend, set)
    const known = this.#known.get(set)
    if (known?.backend !== backend) this.#pools.guards.follow(backend)
    const out = this.#out.size === 0 ? none : (this.#out.get(backend.name) ?? none)
    if (known !== undefined && known.backend === backend && known.out === out) return known.balancer
    const memory = this.#memories.get(backend.name) ?? new Memory()
    this.#memories.set(backend.name, memory)
    const { endpoints } = set
    const around = new Around(backend, this.#pools, memory)
    const slow = (backend.balancing?.slowStartMs ?? 0) > 0
    if (slow) around.arrived = memory.see(endpoints.filter(each => each.health === 'healthy' && !out.has(addressOf(each))))
    const made = makeBalancer(endpoints, backend, around, out.size === 0 ? undefined : each => out.has(addressOf(each)))
    const balancer = made.endpoints.length > 0 || endpoints.length === 0 ? made : { ...made, says: this.#whyNone(backend, endpoints) }
    this.#known.set(set, { backend, out, balancer })
    return balancer
  }

  /** The endpoint at an address, as `addressOf` gives it, if it may serve: a session stays there although others are nearer. */
  servingAt({ name }: Backend, set: EndpointSet, address: string): Endpoint | undefined {
    let known = this.#byAddress.get(set)
    if (known === undefined) this.#byAddress.set(set, (known = new Map(set.endpoints.map(each => [addressOf(each), each]))))
    const found = known.get(address)
    const mayServe = found !== undefined && (found.health === 'healthy' || found.health === 'degraded') && found.weight > 0
    return mayServe && this.#out.get(name)?.has(address) !== true ? found : undefined
  }

  /** Whether any is well and not left out; who is picked in a panic only does not count. */
  mayAnyServe({ name }: Backend, { endpoints }: EndpointSet): boolean {
    const out = this.#out.get(name) ?? none
    return endpoints.some(each => (each.health === 'healthy' || each.health === 'degraded') && each.weight > 0 && !out.has(addressOf(each)))
  }

  /** From now on these endpoints of a backend, by `addressOf`, count as unhealthy for this cause; none: for it all of them serve again. */
  leaveOut(backend: string, addresses: ReadonlySet<string>, cause: Cause = 'failures'): void {
    const by = this.#outBy.get(cause) ?? new Map<string, ReadonlySet<string>>()
    this.#outBy.set(cause, by)
    if (addresses.size === 0) by.delete(backend)
    else by.set(backend, addresses)
    const all = new Set([...this.#outBy.values()].flatMap(each => [...(each.get(backend) ?? none)]))
    const before = this.#out.get(backend) ?? none
    if (before.size === all.size && all.isSubsetOf(before)) return
    if (all.size === 0) this.#out.delete(backend)
    else this.#out.set(backend, all)
  }

  #whyNone({ name }: Backend, endpoints: readonly Endpoint[]): string {
    const outOf = (cause: Cause) => this.#outBy.get(cause)?.get(name)?.size ?? 0
    const parts = [
      [endpoints.filter(({ health }) => health !== 'healthy' && health !== 'degraded').length, 'not ready'],
      [outOf('checks'), 'failing the health check'],
      [outOf('failures'), 'left out for their failures'],
    ] as const
    const said = parts.flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`]))
    return `of ${endpoints.length} endpoint${endpoints.length === 1 ? '' : 's'} ${said.join(', ') || 'none has a weight'}`
  }
}

export const addressOf = ({ host, port }: { readonly host: string; readonly port: number }): string => `${host}:${port}`

/** A workload that was started anew is another one, also at the address that it had: what was there before may have gone unseen, for nobody called. */
const whoOf = (endpoint: Endpoint): string => `${addressOf(endpoint)} ${endpoint.workload}`

/** What is known of a backend's endpoints from one set to the next. */
class Memory {
  turn = 0
  /** When each began to serve; absent until first looked at. */
  #since: ReadonlyMap<string, number> | undefined

  see(serving: readonly Endpoint[]): ReadonlyMap<Endpoint, number> {
    const before = this.#since
    // Those that were there when this proxy came need no warming up that it could know of.
    const fresh = before === undefined ? Number.NEGATIVE_INFINITY : performance.now()
    const found = new Map(serving.map(endpoint => [endpoint, before?.get(whoOf(endpoint)) ?? fresh]))
    this.#since = new Map([...found].map(([endpoint, since]) => [whoOf(endpoint), since]))
    return found
  }
}

class Around implements Surroundings {
  readonly #backend: Backend
  readonly #pools: Surrounding
  readonly #memory: Memory
  arrived: ReadonlyMap<Endpoint, number> | undefined

  constructor(backend: Backend, pools: Surrounding, memory: Memory) {
    this.#backend = backend
    this.#pools = pools
    this.#memory = memory
  }

  get turn(): number {
    return this.#memory.turn
  }
  set turn(turn: number) {
    this.#memory.turn = turn
  }
  usage(endpoint: Endpoint): Usage {
    return this.#pools.of(this.#backend, endpoint)
  }
  random(): number {
    return Math.random()
  }
  now(): number {
    return performance.now()
  }
  since(endpoint: Endpoint): number {
    return this.arrived?.get(endpoint) ?? Number.NEGATIVE_INFINITY
  }
}
