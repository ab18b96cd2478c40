/** How fast an endpoint answered of late: what was long ago counts less. */

/** Within so long a slow answer loses two thirds of its weight. */
const decayMs = 10_000
export class Latency {
  #ms = 0
  #at = 0

  /** ms: from the request to the head of its answer. */
  observe(ms: number, now: number): void {
    const before = this.read(now)
    this.#ms = ms > before ? ms : before + ms * (1 - Math.exp((this.#at - now) / decayMs))
    this.#at = now
  }

  /** Milliseconds; 0 where nothing was measured. What was long ago counts less, so that a slow endpoint is tried again. */
  read(now: number): number {
    return this.#ms === 0 ? 0 : this.#ms * Math.exp((this.#at - now) / decayMs)
  }
}
