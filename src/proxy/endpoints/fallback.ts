/** Who stands in for a backend that names another: while none of its own endpoints may serve, or as much is under way there as its policy allows. */

import type { Backend } from '#model/backend'
import type { View } from '#model/view'
import type { Pools } from '../upstreams/pool.ts'

type Reason = 'no-endpoint' | 'backend-limit'

/** The backend itself where it can serve, or where nobody can for it. */
export function standIn(own: Backend, view: View, pools: Pools): Backend {
  const why = whyNot(own, view, pools)
  if (why === undefined) return own
  const asked = new Set([own])
  for (let next = fallbackOf(own, view); next !== undefined && !asked.has(next); next = fallbackOf(next, view)) {
    if (whyNot(next, view, pools) === undefined) {
      pools.guards.fellBack(own.service, next.service, why)
      return next
    }
    asked.add(next)
  }
  return own
}

const fallbackOf = ({ fallback }: Backend, view: View): Backend | undefined =>
  fallback === undefined ? undefined : view.backends[fallback]

/** In a panic all endpoints are picked: a fallback comes before that. */
function whyNot(backend: Backend, view: View, pools: Pools): Reason | undefined {
  if (backend.type !== 'endpoints') return undefined
  pools.guards.follow(backend)
  const set = view.endpoints[backend.name]
  if (set === undefined || !pools.balancers.mayAnyServe(backend, set)) return 'no-endpoint'
  if (backend.limits === undefined) return undefined
  const isFull = pools.guards.of(backend).isFull || (backend.protocol === 'tcp' && !pools.mayConnect(backend.name))
  return isFull ? 'backend-limit' : undefined
}
