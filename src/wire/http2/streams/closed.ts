/** Streams that ended lately, and how: what still comes for them is late, or a mistake of the peer. */

/** `ended`: both sides ended it. `reset`: the peer reset it. `dropped`: we did, so that more may be on the way. */
type How = 'ended' | 'reset' | 'dropped'

/** How many of each are remembered: a peer that answers for an older one is told STREAM_CLOSED, which does no harm. */
const kept = 256

class Ring {
  readonly #ids: number[] = []
  #next = 0
  add(id: number): void {
    this.#ids[this.#next] = id
    this.#next = (this.#next + 1) % kept
  }
  has(id: number): boolean {
    return this.#ids.includes(id)
  }
}

export class Closed {
  readonly #rings: Readonly<Record<How, Ring>> = { ended: new Ring(), reset: new Ring(), dropped: new Ring() }
  add(id: number, how: How): void {
    this.#rings[how].add(id)
  }
  /** undefined: not one that is remembered. */
  how(id: number): How | undefined {
    if (this.#rings.dropped.has(id)) return 'dropped'
    if (this.#rings.reset.has(id)) return 'reset'
    return this.#rings.ended.has(id) ? 'ended' : undefined
  }
}
