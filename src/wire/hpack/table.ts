/** The dynamic table as a reader keeps it (RFC 7541 §2.3.2): the newest entry has the first index, the oldest goes when room is needed. */

import type { Entry } from './entry.ts'

export class DynamicTable {
  #ring: (Entry | undefined)[] = Array.from({ length: 16 })
  #newest = 0
  #count = 0
  #size = 0
  #maxSize: number

  constructor(maxSize: number) {
    this.#maxSize = maxSize
  }

  get maxSize(): number {
    return this.#maxSize
  }

  /** index: 0 is the newest. */
  at(index: number): Entry | undefined {
    return index < this.#count ? this.#ring[(this.#newest - index) & (this.#ring.length - 1)] : undefined
  }

  /** RFC 7541 §4.4: one that is larger than the table empties it and is not an error. */
  insert(entry: Entry): void {
    this.#evict(this.#maxSize - entry.size)
    if (entry.size > this.#maxSize) return
    if (this.#count === this.#ring.length) this.#grow()
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1)
    this.#ring[this.#newest] = entry
    this.#count++
    this.#size += entry.size
  }

  resize(maxSize: number): void {
    this.#maxSize = maxSize
    this.#evict(maxSize)
  }

  #evict(room: number): void {
    while (this.#size > room && this.#count > 0) {
      const oldest = (this.#newest - this.#count + 1) & (this.#ring.length - 1)
      this.#size -= this.#ring[oldest]!.size
      this.#ring[oldest] = undefined
      this.#count--
    }
  }

  #grow(): void {
    const old = this.#ring
    const ring: (Entry | undefined)[] = Array.from({ length: old.length * 2 })
    for (let index = 0; index < this.#count; index++) ring[this.#count - 1 - index] = old[(this.#newest - index) & (old.length - 1)]
    this.#ring = ring
    this.#newest = this.#count - 1
  }
}
