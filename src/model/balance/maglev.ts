/** Maglev (Eisenbud 2016, §3.4): a table filled in turns, each endpoint by an order of its own; a key looks up its slot. */

import type { Endpoint } from '../backend.ts'
import { hashOf, mixed } from './hash.ts'
import type { Avoid, Picker, Surroundings } from './picker.ts'

/** Prime, and a hundred slots for each of some hundred endpoints: as the paper and Envoy have it. */
export const usualTableSize = 65_537

export class Maglev implements Picker {
  readonly endpoints: readonly Endpoint[]
  readonly #around: Surroundings
  readonly #table: Uint32Array

  /** size: a prime. */
  constructor(endpoints: readonly Endpoint[], around: Surroundings, size = usualTableSize) {
    this.endpoints = endpoints
    this.#around = around
    this.#table = tableOf(endpoints, size)
  }

  pick(key: number | undefined, avoid?: Avoid): Endpoint | undefined {
    const size = this.#table.length
    let slot = (key ?? Math.floor(this.#around.random() * 4_294_967_296)) % size
    const found = this.endpoints[this.#table[slot]!]
    if (avoid === undefined || found === undefined || !avoid.has(found)) return found
    for (let step = 0; step < size; step++) {
      slot = (slot + 1) % size
      const next = this.endpoints[this.#table[slot]!]!
      if (!avoid.has(next)) return next
    }
    return found
  }
}

/** Endpoints of full weight take a slot in every round, lighter ones in as many of them as their weight says. */
function tableOf(endpoints: readonly Endpoint[], size: number): Uint32Array {
  const table = new Uint32Array(size)
  const taken = new Uint8Array(size)
  const names = endpoints.map(({ host, port }) => hashOf(`${host}:${port}`))
  const slots = Uint32Array.from(names, name => mixed(name ^ 0x2545f491) % size)
  const steps = Uint32Array.from(names, name => (mixed(name ^ 0x6c8e9cf5) % (size - 1)) + 1)
  const heaviest = endpoints.reduce((most, { weight }) => Math.max(most, weight), 0)
  const owed = new Float64Array(endpoints.length)
  let filled = 0
  while (filled < size) {
    for (let owner = 0; owner < endpoints.length && filled < size; owner++) {
      owed[owner]! += endpoints[owner]!.weight / heaviest
      if (owed[owner]! < 1 - 1e-9) continue
      owed[owner]! -= 1
      let slot = slots[owner]!
      while (taken[slot] === 1) slot = (slot + steps[owner]!) % size
      taken[slot] = 1
      table[slot] = owner
      slots[owner] = (slot + steps[owner]!) % size
      filled++
    }
  }
  return table
}
