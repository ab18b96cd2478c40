/**
 * Who may serve: the healthy, the nearest first, with as much as they can carry; the degraded only where nobody is healthy.
 *
 * A level of which some are unhealthy carries 1.4 times the part that is healthy (Envoy's overprovisioning factor): with five of seven it
 * carries all, below that the next level helps.
 */

import type { Endpoint } from '../backend.ts'

const overprovisioning = 1.4

/** part: of all picks, in (0, 1]; those of all levels add up to 1. endpoints: at least one. */
export type Level = { readonly endpoints: readonly Endpoint[]; readonly part: number }

/** panicPercent: where fewer than so many of a level may serve and no other level makes up for it, all of it are used, whatever their health. */
export function levelsOf(
  endpoints: readonly Endpoint[],
  panicPercent: number,
  isOut: (endpoint: Endpoint) => boolean = () => false,
): readonly Level[] {
  const priorities = [...new Set(endpoints.map(priorityOf))].sort((a, b) => a - b)
  const levels = priorities.map(priority => {
    const all = endpoints.filter(endpoint => endpoint.weight > 0 && priorityOf(endpoint) === priority)
    const inUse = all.filter(endpoint => !isOut(endpoint))
    return {
      all,
      healthy: inUse.filter(endpoint => endpoint.health === 'healthy'),
      degraded: inUse.filter(endpoint => endpoint.health === 'degraded'),
    }
  })
  if (panicPercent > 0) {
    const able = levels.map(({ all, healthy, degraded }) => capacity(healthy.length + degraded.length, all.length))
    if (able.reduce((sum, each) => sum + each, 0) < 1) {
      const isInPanic = levels.map(({ all, healthy, degraded }) => healthy.length + degraded.length < (all.length * panicPercent) / 100)
      if (isInPanic.some(Boolean))
        return shared(
          levels.map(({ all, healthy, degraded }, at) => {
            // What goes away is not used in a panic either.
            const list = isInPanic[at] ? all.filter(endpoint => endpoint.health !== 'draining') : healthy.length > 0 ? healthy : degraded
            return { list, able: list.length / endpoints.length }
          }),
        )
    }
  }
  const isAnyHealthy = levels.some(({ healthy }) => healthy.length > 0)
  return shared(
    levels.map(({ all, healthy, degraded }) => {
      const list = isAnyHealthy ? healthy : degraded
      return { list, able: capacity(list.length, all.length) }
    }),
  )
}

const priorityOf = (endpoint: Endpoint): number => endpoint.priority ?? 0

const capacity = (count: number, of: number): number => (of === 0 ? 0 : Math.min(1, (overprovisioning * count) / of))

/** Each takes what those before it leave; where all together cannot carry everything, each takes more in proportion. */
function shared(levels: readonly { readonly list: readonly Endpoint[]; readonly able: number }[]): readonly Level[] {
  const sum = Math.min(
    1,
    levels.reduce((total, { able }) => total + able, 0),
  )
  let left = 1
  const found: Level[] = []
  for (const { list, able } of levels) {
    const part = sum === 0 ? 0 : Math.min(left, able / sum)
    left -= part
    if (part > 1e-9) found.push({ endpoints: list, part })
  }
  return found
}
