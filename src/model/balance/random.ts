/** Any one, heavier ones more often. */

import type { Endpoint } from '../backend.ts'
import { type Avoid, drawn, others, type Picker, type Surroundings, sumsOf } from './picker.ts'

export class Random implements Picker {
  readonly endpoints: readonly Endpoint[]
  readonly #around: Surroundings
  readonly #sums: Float64Array | undefined

  constructor(endpoints: readonly Endpoint[], around: Surroundings) {
    this.endpoints = endpoints
    this.#around = around
    this.#sums = sumsOf(endpoints)
  }

  pick(_key: number | undefined, avoid?: Avoid): Endpoint | undefined {
    const part = this.#around.random()
    if (avoid === undefined && this.#sums !== undefined) return this.endpoints[drawn(this.#sums, part)]
    const from = avoid === undefined ? this.endpoints : others(this.endpoints, avoid)
    return from[Math.floor(part * from.length)]
  }
}
