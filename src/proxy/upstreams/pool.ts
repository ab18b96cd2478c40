/** Ways to endpoints: what connects to each, and how many requests are in flight there, for the balancer. */

import { systemClock } from '#base/clock'
import type { Backend, Endpoint } from '#model/backend'
import type { Latency } from '#model/balance'
import type { Ends } from '#wire/proxy-protocol'
import { Balancers } from '../endpoints/balancers.ts'
import { asking, Checks } from '../endpoints/checks.ts'
import type { Reach } from './reach.ts'
import { Guards } from '../endpoints/guard.ts'
import { Lane, type Standing } from './lane.ts'
import type { Registry } from '../registry.ts'

/** One endpoint of one backend. The lanes are one and the same unless the endpoint is spoken to as its caller speaks. */
export type EndpointPool = {
  readonly http1: Lane
  readonly http2: Lane
  readonly backend: string
  readonly service: string
  readonly workload: string
  readonly isOutside: boolean
  /** Where it is: an address, or the workload behind this proxy. */
  readonly at: string
  inFlight: number
  /** Measured only for a balancer that looks at it. */
  latency: Latency | undefined
  lastUsed: number
}

export class Pools {
  readonly guards: Guards
  readonly balancers = new Balancers(this)
  readonly checks: Checks
  readonly #reach: Reach
  readonly #pools = new Map<string, EndpointPool>()
  /** The pool of an endpoint object of a current view, without building its key again. */
  #known = new WeakMap<object, { readonly backend: Backend; readonly pool: EndpointPool }>()

  constructor(reach: Reach, registry: Registry) {
    this.#reach = reach
    this.checks = new Checks({
      ask: asking((backend, endpoint) => this.of(backend, endpoint), reach),
      clock: systemClock,
      registry,
      leaveOut: (backend, addresses) => this.balancers.leaveOut(backend, addresses, 'checks'),
    })
    this.guards = new Guards(
      registry,
      (backend, addresses) => this.balancers.leaveOut(backend, addresses),
      backend => this.#connectionsOf(backend),
    )
  }

  of(backend: Backend, endpoint: Endpoint | undefined): EndpointPool {
    const object = endpoint ?? backend
    const known = this.#known.get(object)
    // The endpoint may be the same while the way to it changed.
    if (known?.backend === backend) return known.pool
    const kind = `${backend.name}|${backend.protocol}|${backend.connectTimeoutMs}|${backend.proxyProtocol ?? ''}${backend.tls === undefined ? '' : JSON.stringify(backend.tls)}`
    const key =
      endpoint === undefined
        ? kind
        : `${kind}|${endpoint.host}:${endpoint.port}|${endpoint.mtls ? `${backend.profile ?? ''} ${backend.identities.join()}` : 'plain'}`
    let pool = this.#pools.get(key)
    if (pool === undefined) this.#pools.set(key, (pool = this.#poolOf(backend, endpoint)))
    this.#known.set(object, { backend, pool })
    return pool
  }

  #poolOf(backend: Backend, endpoint: Endpoint | undefined): EndpointPool {
    const { name } = backend
    const mayConnect = () => this.mayConnect(name)
    const http1 = new Lane(backend, endpoint, this.#reach, true, { mayConnect })
    const http2 = backend.protocol === 'downstream' ? new Lane(backend, endpoint, this.#reach, false, { mayConnect }) : http1
    const at = endpoint === undefined ? `127.0.0.1:${backend.port}` : `${endpoint.host}:${endpoint.port}`
    return {
      http1,
      http2,
      backend: name,
      service: backend.service,
      workload: endpoint?.workload ?? '',
      isOutside: backend.isExternal === true && endpoint?.mtls !== true,
      at,
      inFlight: 0,
      latency: undefined,
      lastUsed: 0,
    }
  }

  /** For one exchange only, where a PROXY header names its caller in front of the connection; close it afterwards. Undefined where none is wanted. */
  alone(backend: Backend, endpoint: Endpoint | undefined, isHttp1: boolean, ends: (() => Ends | undefined) | undefined): Lane | undefined {
    if (backend.proxyProtocol === undefined || endpoint?.mtls === true) return undefined
    return new Lane(backend, endpoint, this.#reach, isHttp1, { ends })
  }

  /** Whether the policy of a backend allows one connection more. */
  mayConnect(backend: string): boolean {
    const guard = this.guards.known(backend)
    const most = guard?.limits.connections
    if (guard === undefined || most === undefined) return true
    return this.#connectionsOf(backend) < most
  }

  #connectionsOf(backend: string): number {
    let sum = this.guards.known(backend)?.opaque ?? 0
    for (const pool of this.#pools.values())
      if (pool.backend === backend) sum += pool.http1.connections + (pool.http2 === pool.http1 ? 0 : pool.http2.connections)
    return sum
  }

  /** What there is to each endpoint now. */
  standings(): (Standing & { readonly service: string; readonly workload: string; readonly endpoint: string })[] {
    return [...this.#pools.values()].flatMap(({ http1, http2, service, workload, at }) =>
      [...http1.standings(), ...(http2 === http1 ? [] : http2.standings())].map(each => ({ service, workload, endpoint: at, ...each })),
    )
  }

  /** Closes what idles too long; drops pools of endpoints that are gone. now: ms of Date.now(). */
  sweep(now: number): void {
    for (const [key, pool] of this.#pools) {
      pool.http1.sweep(now)
      if (pool.http2 !== pool.http1) pool.http2.sweep(now)
      if (!pool.http1.isEmpty || !pool.http2.isEmpty || pool.inFlight > 0) pool.lastUsed = now
      else if (now - pool.lastUsed > 300_000) {
        this.#pools.delete(key)
        this.#known = new WeakMap()
      }
    }
  }

  /** Credentials changed: what was made with the old ones ends when its exchanges have. */
  retire(): void {
    for (const lane of this.#lanes()) lane.retire()
  }

  /** What may be called outside the mesh is something else now: the same for connections there, for their addresses were judged when they were made. */
  retireOutside(): void {
    for (const { isOutside, http1, http2 } of this.#pools.values()) if (isOutside) for (const lane of new Set([http1, http2])) lane.retire()
  }

  /** From now on no connection is kept, and nobody is asked. */
  close(): void {
    this.checks.stop()
    for (const lane of this.#lanes()) lane.close()
  }

  #lanes(): Lane[] {
    return [...this.#pools.values()].flatMap(({ http1, http2 }) => [http1, http2])
  }
}
