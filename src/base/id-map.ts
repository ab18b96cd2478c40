/**
 * A map by number for things that come and go with every request. A `Map` whose entries come and go makes a new table again and again, and the old
 * ones, once they are old to the garbage collector, keep all later ones and what stood in them alive until the next full collection: a third of a
 * busy proxy's time. This one keeps its arrays. Open addressing, linear probing, deletion by moving back (Knuth, TAOCP 3, 6.4, algorithm R).
 */
export class IdMap<Value> {
  #keys: Int32Array
  #values: (Value | undefined)[]
  #mask: number
  #size = 0

  /** capacity: a power of two; it grows by itself. */
  constructor(capacity = 16) {
    this.#keys = new Int32Array(capacity)
    this.#values = Array.from<Value | undefined>({ length: capacity })
    this.#mask = capacity - 1
  }

  get size(): number {
    return this.#size
  }

  /** id: a whole number from 1 to 2³¹ - 1. */
  get(id: number): Value | undefined {
    const at = this.#placeOf(id)
    return this.#keys[at] === id ? this.#values[at] : undefined
  }

  set(id: number, value: Value): void {
    let at = this.#placeOf(id)
    if (this.#keys[at] !== id) {
      if ((this.#size + 1) * 2 > this.#keys.length) {
        this.#grow()
        at = this.#placeOf(id)
      }
      this.#size++
    }
    this.#keys[at] = id
    this.#values[at] = value
  }

  /** Whether it was there. */
  delete(id: number): boolean {
    let hole = this.#placeOf(id)
    if (this.#keys[hole] !== id) return false
    for (let at = (hole + 1) & this.#mask; this.#keys[at] !== 0; at = (at + 1) & this.#mask) {
      const home = this.#homeOf(this.#keys[at]!)
      // One that stands between its home and here may not move before its home.
      if (((at - home) & this.#mask) < ((at - hole) & this.#mask)) continue
      this.#keys[hole] = this.#keys[at]!
      this.#values[hole] = this.#values[at]
      hole = at
    }
    this.#keys[hole] = 0
    this.#values[hole] = undefined
    this.#size--
    return true
  }

  /** All that are there now, in no order. */
  values(): Value[] {
    return this.#values.filter((_, at) => this.#keys[at] !== 0) as Value[]
  }

  clear(): void {
    this.#keys.fill(0)
    this.#values.fill(undefined)
    this.#size = 0
  }

  /** Stream ids are odd or even throughout: halved, those that follow each other stand side by side. */
  #homeOf(id: number): number {
    return (id >> 1) & this.#mask
  }

  /** Where it stands, or the free place where it would. */
  #placeOf(id: number): number {
    let at = this.#homeOf(id)
    for (let key = this.#keys[at]; key !== 0 && key !== id; key = this.#keys[at]) at = (at + 1) & this.#mask
    return at
  }

  #grow(): void {
    const keys = this.#keys
    const values = this.#values
    this.#keys = new Int32Array(keys.length * 2)
    this.#values = Array.from<Value | undefined>({ length: keys.length * 2 })
    this.#mask = this.#keys.length - 1
    keys.forEach((id, from) => {
      if (id === 0) return
      const at = this.#placeOf(id)
      this.#keys[at] = id
      this.#values[at] = values[from]
    })
  }
}
