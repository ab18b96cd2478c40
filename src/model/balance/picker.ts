/** What all ways of choosing have in common: what they are told, and what they do when some endpoints are to be avoided. */

import type { Endpoint } from '../backend.ts'
import type { Latency } from './latency.ts'

/** A set of endpoints is one. */
export type Avoid = { has(endpoint: Endpoint): boolean }

/** inFlight: requests or connections under way at an endpoint. latency: how fast it answers, where that is measured. */
export type Usage = { readonly inFlight: number; readonly latency?: Latency | undefined }

/** What a balancer asks of the world around it. */
export type Surroundings = {
  usage(endpoint: Endpoint): Usage
  /** In [0, 1). */
  random(): number
  /** Milliseconds that only grow. */
  now(): number
  /** When it came, on the clock of `now`; far in the past for those that were there from the first. */
  since(endpoint: Endpoint): number
  /** How many turns of round robin were taken: kept when the endpoints change. */
  turn: number
}

export interface Picker {
  readonly endpoints: readonly Endpoint[]
  /** With `avoid`, still one of those where there is no other. */
  pick(key: number | undefined, avoid?: Avoid): Endpoint | undefined
}

/** For another try at a request, which is rare: so it may walk and allocate. */
export function others(endpoints: readonly Endpoint[], avoid: Avoid): readonly Endpoint[] {
  const left = endpoints.filter(endpoint => !avoid.has(endpoint))
  return left.length > 0 ? left : endpoints
}

/** The weights added up one by one, for drawing by weight in logarithmic time; undefined where all are equal. */
export function sumsOf(endpoints: readonly Endpoint[]): Float64Array | undefined {
  const first = endpoints[0]?.weight
  if (endpoints.every(endpoint => endpoint.weight === first)) return undefined
  let sum = 0
  return Float64Array.from(endpoints, endpoint => (sum += endpoint.weight))
}

/** The index whose stretch of the line of weights holds a point. part: in [0, 1). */
export function drawn(sums: Float64Array, part: number): number {
  const at = part * sums[sums.length - 1]!
  let [low, high] = [0, sums.length - 1]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sums[middle]! > at) high = middle
    else low = middle + 1
  }
  return low
}
