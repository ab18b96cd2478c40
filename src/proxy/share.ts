/** What one request may go to: a backend with the endpoints that may serve now, and the choice among them. */

import { Failure } from '#base/failure'
import type { Balancer } from '#model/balance'
import type { Backend, Endpoint, Filter, View, WeightedBackend } from '#model/view'
import type { Pools } from './pool.ts'

/** A backend with the endpoints that may serve now; `endpoints` and `balancer` are undefined for the workload behind this proxy. */
export type Share = {
  readonly backend: Backend
  readonly endpoints: readonly Endpoint[] | undefined
  readonly balancer: Balancer | undefined
  readonly filters: readonly Filter[]
  /** What the request is recognised by, where its route asks for that. */
  readonly key: number | undefined
}

const noFilters: readonly Filter[] = []
const nobody: readonly Endpoint[] = []

/** origin: of the route, for people. */
export function shareOf(picked: WeightedBackend, view: View, origin: string, pools: Pools, key?: number): Share {
  const backend = picked.backend === undefined ? undefined : view.backends[picked.backend]
  if (backend === undefined) throw new Failure('backend-invalid', origin)
  const filters = picked.filters ?? noFilters
  if (backend.type === 'local') return { backend, endpoints: undefined, balancer: undefined, filters, key }
  const set = view.endpoints[backend.name]
  const balancer = set === undefined ? undefined : pools.balancers.of(backend, set)
  return { backend, endpoints: balancer?.endpoints ?? nobody, balancer, filters, key }
}

/** tried: not again, as long as there are others. Undefined for the workload behind this proxy. */
export function pickEndpoint({ backend, endpoints, balancer, key }: Share, tried: readonly Endpoint[]): Endpoint | undefined {
  if (endpoints === undefined) return undefined
  const endpoint = balancer?.pick(key, tried.length === 0 ? undefined : new Set(tried))
  if (endpoint === undefined) throw new Failure('no-endpoint', backend.name)
  return endpoint
}
