/**
 * Which endpoint serves next. A balancer is made once for a set of endpoints and a policy, and then picks without allocation:
 *
 *   endpoints ─serving─▶ levels: the nearest first, each with its part ─picker─▶ endpoint
 *
 * Round robin, random and the two that look at the load take the same time for any number of endpoints of one weight; with weights, and for
 * ring hash, it grows with the logarithm.
 */

import { Random } from './balance/random.ts'
import { LeastRequest, Scan } from './balance/least-request.ts'
import { Maglev } from './balance/maglev.ts'
import { PeakEwma } from './balance/peak-ewma.ts'
import type { Avoid, Picker, Surroundings } from './balance/picker.ts'
import { Ring } from './balance/ring.ts'
import { RoundRobin } from './balance/round-robin.ts'
import { levelsOf } from './balance/serving.ts'
import { SlowStart } from './balance/slow-start.ts'
import { mixed } from './balance/hash.ts'
import type { Backend, Endpoint } from './backend.ts'

export { combined, hashOf } from './balance/hash.ts'
export { Latency } from './balance/latency.ts'
export type { Avoid, Surroundings, Usage } from './balance/picker.ts'

export interface Balancer {
  /** All that may be picked now, the nearest first. */
  readonly endpoints: readonly Endpoint[]
  /** Why there are none of them, for people. */
  readonly says?: string
  /**
   * Undefined where there is none to choose from.
   * key: 32 bits of what the request is recognised by, for ring hash and Maglev; undefined: any endpoint will do.
   * avoid: not these, as long as there are others.
   */
  pick(key: number | undefined, avoid?: Avoid): Endpoint | undefined
}

export type Policy = Pick<Backend, 'balance' | 'balancing'>

/** isOut: what is not to be used although the control plane calls it healthy. */
export function makeBalancer(
  endpoints: readonly Endpoint[],
  policy: Policy,
  around: Surroundings,
  isOut?: (endpoint: Endpoint) => boolean,
): Balancer {
  const levels = levelsOf(endpoints, policy.balancing?.panicPercent ?? 0, isOut)
  const pickers = levels.map(level => pickerOf(level.endpoints, policy, around))
  const [first] = pickers
  if (first === undefined) return nobody
  if (pickers.length === 1) return first
  return new Levels(
    pickers,
    levels.map(level => level.part),
    around,
  )
}

const nobody: Balancer = { endpoints: [], pick: () => undefined }

function pickerOf(endpoints: readonly Endpoint[], { balance, balancing = {} }: Policy, around: Surroundings): Picker {
  const { choices = 2, slowStartMs = 0 } = balancing
  const slow = slowStartMs > 0 ? new SlowStart(slowStartMs, around) : undefined
  switch (balance) {
    case 'round-robin':
      return new RoundRobin(endpoints, around, slow)
    case 'random':
      return new Random(endpoints, around)
    case 'least-request':
      return choices === 'all' ? new Scan(endpoints, around, slow) : new LeastRequest(endpoints, around, choices, slow)
    case 'peak-ewma':
      return new PeakEwma(endpoints, around, slow)
    case 'ring-hash':
      return new Ring(endpoints, around, balancing.ringSize)
    case 'maglev':
      return new Maglev(endpoints, around, balancing.tableSize)
  }
}

/** Several at once: near ones that cannot carry everything, and those that help them. */
class Levels implements Balancer {
  readonly endpoints: readonly Endpoint[]
  readonly #pickers: readonly Picker[]
  readonly #parts: readonly number[]
  readonly #around: Surroundings

  constructor(pickers: readonly Picker[], parts: readonly number[], around: Surroundings) {
    this.endpoints = pickers.flatMap(picker => picker.endpoints)
    this.#pickers = pickers
    this.#parts = parts
    this.#around = around
  }

  pick(key: number | undefined, avoid?: Avoid): Endpoint | undefined {
    // What has a key goes to the same level each time.
    let left = key === undefined ? this.#around.random() : mixed(key ^ 0x5bd1e995) / 4_294_967_296
    let at = 0
    while (at < this.#parts.length - 1 && left >= this.#parts[at]!) left -= this.#parts[at++]!
    const found = this.#pickers[at]!.pick(key, avoid)
    if (avoid === undefined || found === undefined || !avoid.has(found)) return found
    for (const picker of this.#pickers) {
      const other = picker.pick(key, avoid)
      if (other !== undefined && !avoid.has(other)) return other
    }
    return found
  }
}
