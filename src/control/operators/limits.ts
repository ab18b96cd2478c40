/** How much one caller may ask of the operator API: requests in time, watches at once. What is too much is told with when to come again. */

import { Buckets } from '#base/token-bucket'
import { Refusal } from '../api/refusal.ts'

export type Limits = { readonly requestsPerSecond: number; readonly burst: number; readonly watches: number }

/** So many callers are told apart; others share one allowance. */
const mostCallers = 10_000
/** Proofs that do not hold, of one address: whoever mistypes has a few, whoever guesses gets nowhere. */
const failures = { requests: 1, intervalMs: 1000, burst: 20 }

export class CallerLimits {
  readonly #limits: () => Limits
  /** Milliseconds of a clock that does not go back. */
  readonly #now: () => number
  readonly #requests = new Buckets(mostCallers)
  readonly #failures = new Buckets(mostCallers)
  readonly #watches = new Map<string, number>()
  constructor(limits: () => Limits, now: () => number) {
    this.#limits = limits
    this.#now = now
  }

  /** Throws a Refusal. */
  request(caller: string): void {
    const { requestsPerSecond, burst } = this.#limits()
    const { isTaken, nextMs } = this.#requests.take(caller, { requests: requestsPerSecond, intervalMs: 1000, burst }, this.#now())
    if (!isTaken) throw tooMany(`more than ${requestsPerSecond} requests a second from one caller`, nextMs)
  }

  /** After a proof that did not hold. Throws a Refusal. */
  failure(address: string): void {
    const { isTaken, nextMs } = this.#failures.take(address, failures, this.#now())
    if (!isTaken) throw tooMany('too many logins that failed from this address', nextMs)
  }

  /** Returns what ends it. Throws a Refusal. */
  watch(caller: string): () => void {
    const open = this.#watches.get(caller) ?? 0
    const { watches } = this.#limits()
    if (open >= watches) throw tooMany(`${open} watches of one caller are open, and no more may be: end some`, 1000)
    this.#watches.set(caller, open + 1)
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      const left = (this.#watches.get(caller) ?? 1) - 1
      if (left <= 0) this.#watches.delete(caller)
      else this.#watches.set(caller, left)
    }
  }
}

const tooMany = (says: string, nextMs: number): Refusal => {
  const retryAfterSeconds = Math.max(1, Math.ceil(nextMs / 1000))
  return new Refusal(429, 'TooManyRequests', `${says}: try again in ${retryAfterSeconds} s`, { retryAfterSeconds })
}
