/** The one with the least under way for its weight: of a few drawn at random, or of all. */

import type { Endpoint } from '../backend.ts'
import { ByWeight } from './by-weight.ts'
import { type Avoid, drawn, others, type Picker, type Surroundings } from './picker.ts'
import type { SlowStart } from './slow-start.ts'

/**
 * Power of two choices (Mitzenmacher 2001). Those looked at are drawn by weight, and of two that are equally busy for their weight the first
 * is taken, so that idle endpoints are chosen by weight and busy ones carry what their weight says.
 */
export class LeastRequest extends ByWeight {
  readonly #choices: number

  constructor(endpoints: readonly Endpoint[], around: Surroundings, choices: number, slow: SlowStart | undefined) {
    super(endpoints, around, slow)
    this.#choices = choices
  }

  protected among(left: readonly Endpoint[]): Endpoint | undefined {
    return leastOf(left, this.around)
  }

  protected next(): Endpoint {
    const { endpoints } = this
    const count = endpoints.length
    if (count === 1) return endpoints[0]!
    const first = this.#draw()
    let best = endpoints[first]!
    let least = burden(best, this.around)
    for (let looked = 1; looked < this.#choices; looked++) {
      const at = this.sums === undefined ? (first + 1 + Math.floor(this.around.random() * (count - 1))) % count : this.#drawOther(first)
      const other = endpoints[at]!
      const load = burden(other, this.around)
      if (load < least) {
        best = other
        least = load
      }
    }
    return best
  }

  #draw(): number {
    const part = this.around.random()
    return this.sums === undefined ? Math.floor(part * this.endpoints.length) : drawn(this.sums, part)
  }

  #drawOther(than: number): number {
    const at = this.#draw()
    return at === than ? this.#draw() : at
  }
}

/** Looks at all of them. */
export class Scan implements Picker {
  readonly endpoints: readonly Endpoint[]
  readonly #around: Surroundings
  readonly #slow: SlowStart | undefined

  constructor(endpoints: readonly Endpoint[], around: Surroundings, slow: SlowStart | undefined) {
    this.endpoints = endpoints
    this.#around = around
    this.#slow = slow?.over(endpoints)
  }

  pick(_key: number | undefined, avoid?: Avoid): Endpoint | undefined {
    if (avoid !== undefined) return leastOf(others(this.endpoints, avoid), this.#around)
    return leastOf(this.endpoints, this.#around, this.#slow)
  }
}

const burden = (endpoint: Endpoint, around: Surroundings): number => around.usage(endpoint).inFlight / endpoint.weight

/** From a random place on, so that equals are not always the same; among idle ones of different weight the heavy would else starve the light, so one more is counted for each. */
function leastOf(endpoints: readonly Endpoint[], around: Surroundings, slow?: SlowStart): Endpoint | undefined {
  const count = endpoints.length
  const start = Math.floor(around.random() * count)
  let best: Endpoint | undefined
  let least = Number.POSITIVE_INFINITY
  for (let step = 0; step < count; step++) {
    const endpoint = endpoints[start + step < count ? start + step : start + step - count]!
    const weight = slow === undefined ? endpoint.weight : endpoint.weight * slow.part(endpoint)
    const load = (around.usage(endpoint).inFlight + 1) / weight
    if (load < least) {
      best = endpoint
      least = load
    }
  }
  return best
}
