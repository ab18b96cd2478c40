/** Who stands in for a backend none of whose endpoints may serve, as far as a view tells: what a proxy itself leaves out, and limits that are used up, are not in it. */

import type { Backend } from '../backend.ts'
import type { View } from '../view.ts'

/** The backend itself where it can serve, or where nobody can for it. */
export function helperOf(own: Backend, view: View): Backend {
  const asked = new Set<Backend>()
  for (let next: Backend | undefined = own; next !== undefined && !asked.has(next); next = view.backends[next.fallback ?? '']) {
    if (mayServe(next, view)) return next
    asked.add(next)
  }
  return own
}

const mayServe = ({ name, type }: Backend, view: View): boolean =>
  type !== 'endpoints' ||
  (view.endpoints[name]?.endpoints ?? []).some(({ health, weight }) => weight > 0 && (health === 'healthy' || health === 'degraded'))
