/** What one request may go to: a backend with the endpoints that may serve now, and the choice among them. */

import { Failure } from '#base/failure'
import type { Backend, Endpoint, EndpointSet } from '#model/backend'
import { type Balancer, Latency } from '#model/balance'
import type { Filter } from '#model/filter'
import type { WeightedBackend } from '#model/route'
import type { View } from '#model/view'
import type { ResponseHead } from '#wire/http1'
import type { Affinity } from './affinity.ts'
import type { Entry } from '../telemetry/entry.ts'
import type { Exit } from '../exit.ts'
import { standIn } from './fallback.ts'
import type { EndpointPool, Pools } from '../upstreams/pool.ts'

/** A backend with the endpoints that may serve now; `endpoints` and `balancer` are undefined for the workload behind this proxy. */
export type Share = {
  readonly backend: Backend
  readonly endpoints: readonly Endpoint[] | undefined
  readonly balancer: Balancer | undefined
  readonly filters: readonly Filter[]
  /** By what the request is recognised, where its route asks for that. */
  readonly affinity: Affinity | undefined
  /** Of a connection of opaque bytes, where its listener asks for that. */
  readonly key: number | undefined
  /** Nobody wants to know which endpoint answers, nor how fast. */
  readonly isPlain: boolean
}

const noFilters: readonly Filter[] = []
const nobody: readonly Endpoint[] = []

/** origin: of the route, for people. exit, entry, asked: who finds the place of a backend without endpoints, for a caller that came there and named that host. */
export function shareOf(
  picked: WeightedBackend,
  view: View,
  origin: string,
  pools: Pools,
  affinity?: Affinity,
  key = affinity?.key,
  exit?: Exit,
  entry?: Entry,
  asked?: string,
): Share {
  const own = picked.backend === undefined ? undefined : view.backends[picked.backend]
  if (own === undefined) throw new Failure('backend-invalid', origin)
  if (own.fallback === undefined)
    return own.type === 'named' || own.type === 'original'
      ? shareOutside(own, picked, exit, entry, asked)
      : shareAt(own, picked, view, pools, affinity, key)
  const backend = standIn(own, view, pools)
  // A session is with an endpoint of the backend's own, and stays with it.
  return shareAt(backend, picked, view, pools, backend === own ? affinity : undefined, key)
}

function shareAt(
  backend: Backend,
  picked: WeightedBackend,
  view: View,
  pools: Pools,
  affinity: Affinity | undefined,
  key: number | undefined,
): Share {
  const filters = picked.filters ?? noFilters
  if (backend.type === 'local')
    return { backend, endpoints: undefined, balancer: undefined, filters, affinity: undefined, key: undefined, isPlain: true }
  const set = setOf(backend, view)
  const balancer = set === undefined ? undefined : pools.balancers.of(backend, set)
  const isPlain = affinity === undefined && backend.balance !== 'peak-ewma'
  return { backend, endpoints: balancer?.endpoints ?? nobody, balancer, filters, affinity, key, isPlain }
}

/** To the one place that the caller itself asks for. */
function shareOutside(backend: Backend, { filters = noFilters }: WeightedBackend, exit?: Exit, entry?: Entry, asked?: string): Share {
  if (exit === undefined || entry === undefined)
    throw new Failure('backend-invalid', `${backend.name} is a wildcard: nothing says which host is meant`)
  const endpoints = [exit.wayTo(backend, entry, asked)]
  return { backend, endpoints, balancer: undefined, filters, affinity: undefined, key: undefined, isPlain: true }
}

/** The endpoints of a backend, wherever a view has them. */
export function setOf(backend: Backend, view: View): EndpointSet | undefined {
  if (backend.type !== 'hosts') return view.endpoints[backend.name]
  let set = sets.get(backend)
  if (set === undefined) sets.set(backend, (set = { backend: backend.name, endpoints: backend.hosts ?? nobody }))
  return set
}
const sets = new WeakMap<Backend, EndpointSet>()

/** tried: not again, as long as there are others. Undefined for the workload behind this proxy. */
export function pickEndpoint({ backend, endpoints, balancer, affinity, key }: Share, tried: readonly Endpoint[]): Endpoint | undefined {
  if (endpoints === undefined) return undefined
  // The one place that its caller asked for.
  if (balancer === undefined && endpoints.length === 1) return endpoints[0]
  const wanted = affinity?.wanted
  if (wanted !== undefined && !tried.includes(wanted)) return wanted
  const endpoint = balancer?.pick(key, tried.length === 0 ? undefined : new Set(tried))
  if (endpoint === undefined)
    throw new Failure('no-endpoint', balancer?.says === undefined ? backend.name : `${backend.name}: ${balancer.says}`)
  return endpoint
}

type Edit = (head: ResponseHead) => ResponseHead

/** For a share that is not plain: `edit`, and what is to be done when the head of the answer comes. */
export function noting({ backend, affinity }: Share, endpoint: Endpoint | undefined, pool: EndpointPool | undefined, edit: Edit): Edit {
  if (endpoint === undefined || pool === undefined) return edit
  const began = performance.now()
  return head => {
    if (backend.balance === 'peak-ewma') {
      const now = performance.now()
      ;(pool.latency ??= new Latency()).observe(now - began, now)
    }
    const edited = edit(head)
    return affinity === undefined ? edited : affinity.answeredBy(endpoint, edited)
  }
}
