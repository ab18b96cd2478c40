/** Samples by what was seen, a map for each thing in turn: a key joined of all would be built and hashed anew for every request. */

export class Found<Samples> {
  readonly #next = new Map<string | number | undefined, Found<Samples>>()
  samples: Samples | undefined

  at(seen: string | number | undefined): Found<Samples> {
    let next = this.#next.get(seen)
    if (next === undefined) this.#next.set(seen, (next = new Found()))
    return next
  }
}
