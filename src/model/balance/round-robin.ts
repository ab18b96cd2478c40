/** One after the other; heavier ones more often, spread evenly. */

import type { Endpoint } from '../view.ts'
import { type Avoid, drawn, others, type Picker, type Surroundings, sumsOf } from './picker.ts'
import type { SlowStart } from './slow-start.ts'

/** A golden-ratio step visits the line of weights evenly, so that heavy endpoints are not hit in bursts. */
const step = 0.618033988749895

export class RoundRobin implements Picker {
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
      const left = others(this.endpoints, avoid)
      return left[this.#around.turn++ % left.length]
    }
    let found = this.#next()
    if (this.#slow !== undefined) for (let again = 0; again < 8 && !this.#slow.admits(found); again++) found = this.#next()
    return found
  }

  #next(): Endpoint {
    const turn = this.#around.turn++
    return this.endpoints[this.#sums === undefined ? turn % this.endpoints.length : drawn(this.#sums, (turn * step) % 1)]!
  }
}
