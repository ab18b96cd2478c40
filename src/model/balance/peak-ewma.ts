/**
 * The one that promises the shortest wait: of two drawn at random, that with the smaller product of its recent latency and of what is under
 * way there (peak-EWMA, as Finagle and Linkerd have it). A slower answer counts at once, a faster one little by little.
 */

import type { Endpoint } from '../backend.ts'
import { ByWeight } from './by-weight.ts'
import { drawn } from './picker.ts'

/** What an endpoint that has answered nothing yet, but was asked, is taken to need: more than any measured one. */
const unknownMs = 60_000

export class PeakEwma extends ByWeight {
  protected among(left: readonly Endpoint[]): Endpoint | undefined {
    const now = this.around.now()
    return left.reduce((best, other) => (this.#cost(other, now) < this.#cost(best, now) ? other : best))
  }

  protected next(): Endpoint {
    const { endpoints, sums, around } = this
    const count = endpoints.length
    if (count === 1) return endpoints[0]!
    const random = around.random()
    const one = sums === undefined ? Math.floor(random * count) : drawn(sums, random)
    const again = around.random()
    const other = sums === undefined ? (one + 1 + Math.floor(again * (count - 1))) % count : drawn(sums, again)
    const now = around.now()
    const [a, b] = [endpoints[one]!, endpoints[other]!]
    return this.#cost(a, now) <= this.#cost(b, now) ? a : b
  }

  #cost(endpoint: Endpoint, now: number): number {
    const { inFlight, latency } = this.around.usage(endpoint)
    const ms = latency?.read(now) ?? 0
    return ms === 0 ? (inFlight === 0 ? 0 : unknownMs + inFlight) : (ms * (inFlight + 1)) / endpoint.weight
  }
}
