/** Slow start: an endpoint that has just come is given its full part only at the end of a window, so that it can warm up. */

import type { Endpoint } from '../backend.ts'
import type { Surroundings } from './picker.ts'

/** What a new endpoint is given at least, of its full part; Envoy's own default. */
const leastPart = 0.1

export class SlowStart {
  readonly #windowMs: number
  readonly #around: Surroundings
  #until = Number.POSITIVE_INFINITY

  constructor(windowMs: number, around: Surroundings) {
    this.#windowMs = windowMs
    this.#around = around
  }

  /** For these; from the end of the last window on it costs one look at the clock. */
  over(endpoints: readonly Endpoint[]): this {
    this.#until =
      endpoints.reduce((last, endpoint) => Math.max(last, this.#around.since(endpoint)), Number.NEGATIVE_INFINITY) + this.#windowMs
    return this
  }

  /** In [0.1, 1]. */
  part(endpoint: Endpoint): number {
    const now = this.#around.now()
    if (now >= this.#until) return 1
    return Math.min(1, Math.max(leastPart, (now - this.#around.since(endpoint)) / this.#windowMs))
  }

  /** By chance, as often as its part says: who is not admitted is passed over. */
  admits(endpoint: Endpoint): boolean {
    const part = this.part(endpoint)
    return part === 1 || this.#around.random() < part
  }
}
