/** Ring hash (Karger 1997, as ketama has it): each endpoint stands at many places of a ring, and a key goes to the next place. */

import type { Endpoint } from '../backend.ts'
import { hashOf, mixed } from './hash.ts'
import type { Avoid, Picker, Surroundings } from './picker.ts'

/** Of an endpoint of the least weight, the number of ketama: shares are then even to about 8 %. It must not depend on how many there are, or a change moves keys between those that stay. */
const placesEach = 160
/** Half a megabyte, for one backend. */
export const usualMostPlaces = 131_072

export class Ring implements Picker {
  readonly endpoints: readonly Endpoint[]
  readonly #around: Surroundings
  readonly #places: Uint32Array
  readonly #owners: Uint32Array

  /** size: the least and the most places on the ring; each endpoint has one at least. */
  constructor(endpoints: readonly Endpoint[], around: Surroundings, size: { readonly min?: number; readonly max?: number } = {}) {
    this.endpoints = endpoints
    this.#around = around
    const base = endpoints.reduce((least, { weight }) => Math.min(least, weight), Number.POSITIVE_INFINITY)
    const sum = endpoints.reduce((total, { weight }) => total + weight / base, 0)
    let each = size.min === undefined ? placesEach : Math.ceil(size.min / sum)
    while (each > 1 && each * sum > (size.max ?? usualMostPlaces)) each = Math.floor(each / 2)
    // Place and owner in one number, so that the runtime sorts them natively: 32 bits and 21.
    const found: number[] = []
    for (const [owner, { host, port, weight }] of endpoints.entries()) {
      const seed = hashOf(`${host}:${port}`)
      const count = Math.max(1, Math.round((each * weight) / base))
      for (let at = 0; at < count; at++) found.push(mixed(seed + Math.imul(at, 0x9e3779b1)) * 2_097_152 + owner)
    }
    const sorted = Float64Array.from(found).sort()
    this.#places = Uint32Array.from(sorted, both => Math.floor(both / 2_097_152))
    this.#owners = Uint32Array.from(sorted, both => both % 2_097_152)
  }

  pick(key: number | undefined, avoid?: Avoid): Endpoint | undefined {
    const first = this.#at(key ?? Math.floor(this.#around.random() * 4_294_967_296))
    const found = this.endpoints[this.#owners[first]!]
    if (avoid === undefined || found === undefined || !avoid.has(found)) return found
    for (let step = 1; step < this.#owners.length; step++) {
      const next = this.endpoints[this.#owners[(first + step) % this.#owners.length]!]!
      if (!avoid.has(next)) return next
    }
    return found
  }

  #at(key: number): number {
    let [low, high] = [0, this.#places.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#places[middle]! >= key) high = middle
      else low = middle + 1
    }
    return low === this.#places.length ? 0 : low
  }
}
