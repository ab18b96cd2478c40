/** What one request may go to: a backend with the endpoints that may serve now, and the choice among them. */

import { Failure } from '#base/failure'
import { leastRequest, roundRobin, usable } from '#model/balance'
import type { Backend, Endpoint, EndpointSet, Filter, View, WeightedBackend } from '#model/view'
import type { Pools } from './pool.ts'

/** A backend with the endpoints that may serve now; `endpoints` is undefined for the workload behind this proxy. */
export type Share = { readonly backend: Backend; readonly endpoints: readonly Endpoint[] | undefined; readonly filters: readonly Filter[] }

export function shareOf(picked: WeightedBackend, view: View, origin: string): Share {
  const backend = picked.backend === undefined ? undefined : view.backends[picked.backend]
  if (backend === undefined) throw new Failure('backend-invalid', origin)
  const endpoints = backend.type === 'local' ? undefined : usableOf(view.endpoints[backend.name])
  return { backend, endpoints, filters: picked.filters ?? [] }
}

const usableBySet = new WeakMap<EndpointSet, readonly Endpoint[]>()

/** Found once for each set that the control plane sent: a large one would cost every request a walk. */
function usableOf(set: EndpointSet | undefined): readonly Endpoint[] {
  if (set === undefined) return []
  let found = usableBySet.get(set)
  if (found === undefined) usableBySet.set(set, (found = usable(set.endpoints)))
  return found
}

let turn = 0

export function pickEndpoint({ backend, endpoints }: Share, pools: Pools, tried: readonly Endpoint[] = []): Endpoint | undefined {
  if (endpoints === undefined) return undefined
  const untried = tried.length === 0 ? endpoints : endpoints.filter(endpoint => !tried.includes(endpoint))
  const choice = untried.length > 0 ? untried : endpoints
  const endpoint = backend.balance === 'round-robin' ? roundRobin(choice, turn++) : leastRequest(choice, pools.load(backend), Math.random)
  if (endpoint === undefined) throw new Failure('no-endpoint', backend.name)
  return endpoint
}
