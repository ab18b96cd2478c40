/** Token buckets by name: how many of something may be had, evenly over time and some at once. The clock is the caller's. */

/** So many in each interval, at most `burst` at once. */
export type Rate = { readonly requests: number; readonly intervalMs: number; readonly burst: number }

/** remaining: whole tokens left. nextMs: until the next is there. fullMs: until all are. */
export type Taken = { readonly isTaken: boolean; readonly remaining: number; readonly nextMs: number; readonly fullMs: number }

/** at: when `tokens` was right. */
type Bucket = { tokens: number; at: number }

/** How many of the oldest buckets are looked at when there is no room for another. */
const lookedAt = 32

/** The buckets of one limit. Beyond `most` names, those that are not known yet share one bucket: new names must not buy more tokens. */
export class Buckets {
  readonly #most: number
  readonly #by = new Map<string, Bucket>()
  #shared: Bucket | undefined

  constructor(most: number) {
    this.#most = most
  }

  /** Takes so many tokens, or none where there are not as many. now: milliseconds of a clock that does not go back. */
  take(name: string, { requests, intervalMs, burst }: Rate, now: number, count = 1): Taken {
    const bucket = this.#of(name, burst, intervalMs / requests, now)
    const perMs = requests / intervalMs
    bucket.tokens = Math.min(burst, bucket.tokens + Math.max(0, now - bucket.at) * perMs)
    bucket.at = now
    const isTaken = bucket.tokens >= count
    if (isTaken) bucket.tokens -= count
    const { tokens } = bucket
    return {
      isTaken,
      remaining: Math.floor(tokens),
      nextMs: Math.max(0, ((isTaken ? 1 : Math.max(1, count)) - tokens) / perMs),
      fullMs: (burst - tokens) / perMs,
    }
  }

  #of(name: string, burst: number, msPerToken: number, now: number): Bucket {
    let bucket = this.#by.get(name)
    if (bucket !== undefined) return bucket
    if (this.#by.size >= this.#most && !this.#makeRoom(burst, msPerToken, now)) return (this.#shared ??= { tokens: burst, at: now })
    this.#by.set(name, (bucket = { tokens: burst, at: now }))
    return bucket
  }

  /** A bucket that is full again says nothing. Those that were looked at go to the end, so that all have their turn. */
  #makeRoom(burst: number, msPerToken: number, now: number): boolean {
    let looked = 0
    for (const [name, bucket] of this.#by) {
      if (++looked > lookedAt) break
      this.#by.delete(name)
      if (bucket.tokens + (now - bucket.at) / msPerToken < burst) this.#by.set(name, bucket)
    }
    return this.#by.size < this.#most
  }
}
