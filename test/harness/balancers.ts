/** The one suite of all ways of choosing: the table of them, a world that they choose in, and how even their choices must be. */

import { Random } from '../../fuzz/random.ts'
import type { Endpoint, Health } from '../../src/model/backend.ts'
import { type Balancer, hashOf, type Latency, type Policy, type Surroundings } from '../../src/model/balance.ts'

export const endpoint = (at: number, more: Partial<Endpoint> = {}): Endpoint => ({
  host: `10.0.${at >> 8}.${at & 255}`,
  port: 8080,
  weight: 1,
  health: 'healthy',
  mtls: true,
  workload: `w-${at}.default`,
  ...more,
})
export const some = (count: number): Endpoint[] => Array.from({ length: count }, (_, at) => endpoint(at))
export const weighing = (...weights: number[]): Endpoint[] => weights.map((weight, at) => endpoint(at, { weight }))
export const inHealth = (...list: Health[]): Endpoint[] => list.map((health, at) => endpoint(at, { health }))

export class World implements Surroundings {
  readonly #random: Random
  readonly inFlight = new Map<Endpoint, number>()
  readonly latency = new Map<Endpoint, Latency>()
  readonly arrived = new Map<Endpoint, number>()
  turn = 0
  clock = 0
  constructor(seed = 7) {
    this.#random = new Random(seed)
  }
  usage(of: Endpoint) {
    return { inFlight: this.inFlight.get(of) ?? 0, latency: this.latency.get(of) }
  }
  random(): number {
    return this.#random.next()
  }
  now(): number {
    return this.clock
  }
  since(of: Endpoint): number {
    return this.arrived.get(of) ?? Number.NEGATIVE_INFINITY
  }
}

export const policies: readonly (Policy & { readonly called: string })[] = [
  { called: 'round robin', balance: 'round-robin' },
  { called: 'random', balance: 'random' },
  { called: 'least request', balance: 'least-request' },
  { called: 'least request of four', balance: 'least-request', balancing: { choices: 4 } },
  { called: 'least request of all', balance: 'least-request', balancing: { choices: 'all' } },
  { called: 'peak EWMA', balance: 'peak-ewma' },
  { called: 'ring hash', balance: 'ring-hash' },
  { called: 'Maglev', balance: 'maglev' },
]
export const isHash = ({ balance }: Policy): boolean => balance === 'ring-hash' || balance === 'maglev'
export const keys = (count: number): number[] => Array.from({ length: count }, (_, at) => hashOf(`user-${at}`))

export function counted(balancer: Balancer, among: readonly Endpoint[], picks: number, isKeyed = true): number[] {
  const got = new Map(among.map(each => [each, 0]))
  for (let at = 0; at < picks; at++) {
    const found = balancer.pick(isKeyed ? hashOf(`user-${at}`) : undefined)!
    got.set(found, got.get(found)! + 1)
  }
  return among.map(each => got.get(each)!)
}

/**
 * Pearson's statistic of how far the counts are from the parts, and the most that it may be: the mean of the chi-square distribution and four of its standard
 * deviations. What is hashed is dealt out unevenly by itself: shares of a ring vary as one over the places of each endpoint (160, or fewer where a ring of
 * 131,072 is full), those of a table as the rest of a slot.
 */
export function unevenness(
  got: readonly number[],
  parts: readonly number[],
  { balance }: Policy,
): { readonly statistic: number; readonly most: number } {
  const picks = got.reduce((sum, each) => sum + each, 0)
  const whole = parts.reduce((sum, each) => sum + each, 0)
  const statistic = parts.reduce((sum, part, at) => {
    const expected = (picks * part) / whole
    return sum + (got[at]! - expected) ** 2 / expected
  }, 0)
  const freedom = parts.length - 1
  const mean = picks / parts.length
  let places = 160
  while (places * whole > 131_072) places = Math.floor(places / 2)
  const slots = 65_537 / parts.length
  const spread = balance === 'ring-hash' ? 1 / places : balance === 'maglev' ? 1 / (4 * slots * slots) + 0.001 : 0
  return { statistic, most: (freedom + 4 * Math.sqrt(2 * freedom)) * (1 + mean * spread) + 2 }
}
