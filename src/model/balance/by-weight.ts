/** What those have in common that draw endpoints by weight, and pass over one that has just come as often as its slow start says. */

import type { Endpoint } from '../backend.ts'
import { type Avoid, others, type Picker, type Surroundings, sumsOf } from './picker.ts'
import type { SlowStart } from './slow-start.ts'

/** So often another is drawn in place of one that is not admitted. */
const mostAgain = 8

export abstract class ByWeight implements Picker {
  readonly endpoints: readonly Endpoint[]
  protected readonly around: Surroundings
  /** Undefined where all weigh the same. */
  protected readonly sums: Float64Array | undefined
  readonly #slow: SlowStart | undefined

  constructor(endpoints: readonly Endpoint[], around: Surroundings, slow: SlowStart | undefined) {
    this.endpoints = endpoints
    this.around = around
    this.sums = sumsOf(endpoints)
    this.#slow = slow?.over(endpoints)
  }

  pick(_key: number | undefined, avoid?: Avoid): Endpoint | undefined {
    if (avoid !== undefined) return this.among(others(this.endpoints, avoid))
    let found = this.next()
    if (this.#slow !== undefined) for (let again = 0; again < mostAgain && !this.#slow.admits(found); again++) found = this.next()
    return found
  }

  protected abstract next(): Endpoint
  /** For another try: of those that are left, at least one. */
  protected abstract among(left: readonly Endpoint[]): Endpoint | undefined
}
