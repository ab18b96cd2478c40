/**
 * The one that promises the shortest wait: of two drawn at random, that with the smaller product of its recent latency and of what is under
 * way there (peak-EWMA, as Finagle and Linkerd have it). A slower answer counts at once, a faster one little by little.
 */

import type { Endpoint } from '../view.ts'
import { type Avoid, drawn, others, type Picker, type Surroundings, sumsOf } from './picker.ts'
import type { SlowStart } from './slow-start.ts'

/** Within so long a slow answer loses two thirds of its weight. */
const decayMs = 10_000
/** What an endpoint that has answered nothing yet, but was asked, is taken to need: more than any measured one. */
const unknownMs = 60_000

export class Latency {
  #ms = 0
  #at = 0

  /** ms: from the request to the head of its answer. */
  observe(ms: number, now: number): void {
    const before = this.read(now)
    this.#ms = ms > before ? ms : before + ms * (1 - Math.exp((this.#at - now) / decayMs))
    this.#at = now
  }

  /** Milliseconds; 0 where nothing was measured. What was long ago counts less, so that a slow endpoint is tried again. */
  read(now: number): number {
    return this.#ms === 0 ? 0 : this.#ms * Math.exp((this.#at - now) / decayMs)
  }
}

export class PeakEwma implements Picker {
  readonly endpoints: readonly Endpoint[]
  readonly #around: Surroundings
  readonly #slow: SlowStart | undefined
  readonly #sums: Float64Array | undefined

  constructor(endpoints: readonly Endpoint[], around: Surroundings, slow: SlowStart | undefined) {
    this.endpoints = endpoints
    this.#around = around
    this.#slow = slow?.over(endpoints)
    this.#sums = sumsOf(endpoints)
  }

  pick(_key: number | undefined, avoid?: Avoid): Endpoint | undefined {
    if (avoid !== undefined) {
      const now = this.#around.now()
      return others(this.endpoints, avoid).reduce((best, other) => (this.#cost(other, now) < this.#cost(best, now) ? other : best))
    }
    let found = this.#fastest()
    if (this.#slow !== undefined) for (let again = 0; again < 8 && !this.#slow.admits(found); again++) found = this.#fastest()
    return found
  }

  #fastest(): Endpoint {
    const { endpoints } = this
    const count = endpoints.length
    if (count === 1) return endpoints[0]!
    const random = this.#around.random()
    const one = this.#sums === undefined ? Math.floor(random * count) : drawn(this.#sums, random)
    const again = this.#around.random()
    const other = this.#sums === undefined ? (one + 1 + Math.floor(again * (count - 1))) % count : drawn(this.#sums, again)
    const now = this.#around.now()
    const [a, b] = [endpoints[one]!, endpoints[other]!]
    return this.#cost(a, now) <= this.#cost(b, now) ? a : b
  }

  #cost(endpoint: Endpoint, now: number): number {
    const { inFlight, latency } = this.#around.usage(endpoint)
    const ms = latency?.read(now) ?? 0
    return ms === 0 ? (inFlight === 0 ? 0 : unknownMs + inFlight) : (ms * (inFlight + 1)) / endpoint.weight
  }
}
