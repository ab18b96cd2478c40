/** Upstream connections by endpoint: idle ones kept for the next request, requests in flight counted for the balancer. */

import type { Backend, Endpoint } from '#model/view'
import { type Connected, connect, type Reach } from './connect.ts'
import { Http1Upstream } from './upstream-http1.ts'

/** One endpoint of one backend. */
export type EndpointPool = { readonly idle: Http1Upstream[]; inFlight: number; lastUsed: number }

const maxIdle = 256

export class Pools {
  readonly #reach: Reach
  readonly #pools = new Map<string, EndpointPool>()
  /** The pool of an endpoint object of a current view, without building its key again. */
  #known = new WeakMap<object, EndpointPool>()
  #isClosed = false

  constructor(reach: Reach) {
    this.#reach = reach
  }

  of(backend: Backend, endpoint: Endpoint | undefined): EndpointPool {
    const object = endpoint ?? backend
    let pool = this.#known.get(object)
    if (pool === undefined) {
      const key =
        endpoint === undefined
          ? backend.name
          : `${backend.name}|${endpoint.host}:${endpoint.port}|${endpoint.mtls ? backend.identities.join() : 'plain'}`
      pool = this.#pools.get(key)
      if (pool === undefined) this.#pools.set(key, (pool = { idle: [], inFlight: 0, lastUsed: 0 }))
      this.#known.set(object, pool)
    }
    return pool
  }

  load =
    (backend: Backend) =>
    (endpoint: Endpoint): number =>
      this.of(backend, endpoint).inFlight

  /** A connection that is free: the one used last, since it is the least likely to be closed by the peer. */
  idle(pool: EndpointPool): Http1Upstream | undefined {
    const now = Date.now()
    for (let upstream = pool.idle.pop(); upstream !== undefined; upstream = pool.idle.pop()) {
      if (upstream.isUsable && !upstream.isStale(now)) return upstream
      upstream.close()
    }
    return undefined
  }

  async open(backend: Backend, endpoint: Endpoint | undefined, pool: EndpointPool): Promise<Http1Upstream> {
    const connected: Connected = await connect(backend, endpoint, this.#reach)
    return new Http1Upstream(connected, upstream => {
      if (this.#isClosed || pool.idle.length >= maxIdle) upstream.close()
      else pool.idle.push(upstream)
    })
  }

  /** Closes what idles longer than its peer said it would keep it; drops pools of endpoints that are gone. now: ms. */
  sweep(now: number): void {
    for (const [key, pool] of this.#pools) {
      const kept = pool.idle.filter(upstream => upstream.isUsable && !upstream.isStale(now))
      for (const upstream of pool.idle) if (!kept.includes(upstream)) upstream.close()
      pool.idle.splice(0, pool.idle.length, ...kept)
      if (kept.length > 0 || pool.inFlight > 0) pool.lastUsed = now
      else if (now - pool.lastUsed > 300_000) {
        this.#pools.delete(key)
        this.#known = new WeakMap()
      }
    }
  }

  /** Idle connections made with old credentials or identities end; those in use end after their request. */
  close(): void {
    this.#isClosed = true
    for (const pool of this.#pools.values()) for (const upstream of pool.idle.splice(0)) upstream.close()
  }
}
