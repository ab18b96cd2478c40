/** Which endpoints of a backend may be picked now, and why the others are left out. */

import type { Backend, Endpoint, EndpointSet } from '../backend.ts'
import { makeBalancer, type Surroundings } from '../balance.ts'
import type { WayIn } from './arrive.ts'

/** why: it is left out. way: how it goes on there. */
export type EndpointTold = Endpoint & { readonly isUsed: boolean; readonly why?: string; readonly way?: WayIn }

/** Who may be picked does not depend on it, only who is. */
const anywhere: Surroundings = {
  usage: () => ({ inFlight: 0 }),
  random: () => 0,
  now: () => 0,
  since: () => Number.NEGATIVE_INFINITY,
  turn: 0,
}

export function tellEndpoints(
  backend: Backend,
  set: EndpointSet | undefined,
  reach: (endpoint: Endpoint) => WayIn,
): readonly EndpointTold[] {
  const all = set?.endpoints ?? []
  const used = new Set(makeBalancer(all, backend, anywhere).endpoints)
  return all.map(endpoint =>
    used.has(endpoint) ? { ...endpoint, isUsed: true, way: reach(endpoint) } : { ...endpoint, isUsed: false, why: whyNot(endpoint) },
  )
}

function whyNot({ health, weight, priority = 0 }: Endpoint): string {
  if (weight === 0) return 'its weight is 0'
  if (health === 'unhealthy') return 'it is not ready'
  if (health === 'draining') return 'it is ending'
  if (health === 'degraded') return 'its proxy is away: it is used only when nothing is healthy'
  return priority > 0 ? 'nearer ones can carry everything' : 'others can carry everything'
}
