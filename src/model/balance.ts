/** Which endpoint serves next: `(endpoints, load, random) → endpoint`, pure but for the turn that round robin keeps with its caller. */

import type { Endpoint } from './view.ts'

/** Requests or connections in flight at an endpoint. */
export type Load = (endpoint: Endpoint) => number

/** Those to choose from: the healthy, else the degraded, never the unhealthy or draining (Envoy's priority by health, without panic). */
export function usable(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const healthy = endpoints.filter(endpoint => endpoint.health === 'healthy' && endpoint.weight > 0)
  return healthy.length > 0 ? healthy : endpoints.filter(endpoint => endpoint.health === 'degraded' && endpoint.weight > 0)
}

/** turn: how many picks came before. Weights are honoured by repeating the cycle of the sum of weights, spread evenly. */
export function roundRobin(endpoints: readonly Endpoint[], turn: number): Endpoint | undefined {
  const count = endpoints.length
  if (count === 0) return undefined
  const first = endpoints[0]!.weight
  if (endpoints.every(endpoint => endpoint.weight === first)) return endpoints[turn % count]
  const sum = endpoints.reduce((total, endpoint) => total + endpoint.weight, 0)
  // A golden-ratio step visits the weight line evenly, so heavy endpoints are not hit in bursts.
  let at = ((turn * 0.618033988749895) % 1) * sum
  for (const endpoint of endpoints) {
    if (at < endpoint.weight) return endpoint
    at -= endpoint.weight
  }
  return endpoints[count - 1]
}

/** Power of two choices (Mitzenmacher 2001): two at random, the one with less in flight for its weight. random() is in [0, 1). */
export function leastRequest(endpoints: readonly Endpoint[], load: Load, random: () => number): Endpoint | undefined {
  const count = endpoints.length
  if (count <= 1) return endpoints[0]
  const one = Math.floor(random() * count)
  const other = (one + 1 + Math.floor(random() * (count - 1))) % count
  const a = endpoints[one]!
  const b = endpoints[other]!
  return (load(a) + 1) / a.weight <= (load(b) + 1) / b.weight ? a : b
}
