/** Answers from outside, kept as long as they may be, at most so many; who asks what is being asked already waits for that. */

import type { Kept, Question } from '#wire/dns'

/** at: when it was read, on the caller's clock. */
export type Cached = { readonly kept: Kept; readonly at: number }

/** An answer is a few hundred bytes, so this is about half a megabyte. */
const mostEntries = 1024

export class DnsCache {
  readonly #entries = new Map<string, Cached>()
  readonly #asking = new Map<string, Promise<Cached | undefined>>()
  #hits = 0
  #misses = 0

  /** now: milliseconds, growing. ask: undefined when nobody answers, which is not kept. Rejects when `ask` does. */
  async find(question: Question, wantsDnssec: boolean, now: number, ask: () => Promise<Kept | undefined>): Promise<Cached | undefined> {
    const key = `${question.name.toLowerCase()} ${question.type} ${question.class} ${wantsDnssec}`
    const found = this.#entries.get(key)
    if (found !== undefined && now < found.at + found.kept.lifetimeSeconds * 1000) {
      this.#hits++
      // Used last, dropped last.
      this.#entries.delete(key)
      this.#entries.set(key, found)
      return found
    }
    this.#entries.delete(key)
    const asked = this.#asking.get(key)
    if (asked !== undefined) return asked
    this.#misses++
    const asking = ask().then(kept => {
      if (kept === undefined) return undefined
      const cached = { kept, at: now } // from before it was asked: never too young
      if (kept.lifetimeSeconds > 0) this.#keep(key, cached)
      return cached
    })
    this.#asking.set(key, asking)
    try {
      return await asking
    } finally {
      this.#asking.delete(key)
    }
  }

  #keep(key: string, cached: Cached): void {
    this.#entries.set(key, cached)
    if (this.#entries.size > mostEntries) this.#entries.delete(this.#entries.keys().next().value!)
  }

  get counts(): { hits: number; misses: number; entries: number } {
    return { hits: this.#hits, misses: this.#misses, entries: this.#entries.size }
  }
}
