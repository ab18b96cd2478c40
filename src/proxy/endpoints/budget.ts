/** How many further tries a backend bears: a share of the requests of the last seconds, or a rate that is always allowed (Gateway API GEP-3388). */

import type { RetryConstraint } from '#model/retry'

/** Where nobody says otherwise: as Gateway API has it. */
export const defaultConstraint: RetryConstraint = { percent: 20, intervalMs: 10_000, least: { count: 10, intervalMs: 1000 } }

export class Budget {
  readonly constraint: RetryConstraint
  readonly #requests: Window
  readonly #retries: Window
  readonly #recent: Window

  constructor(constraint: RetryConstraint = defaultConstraint) {
    this.constraint = constraint
    this.#requests = new Window(constraint.intervalMs)
    this.#retries = new Window(constraint.intervalMs)
    this.#recent = new Window(constraint.least.intervalMs)
  }

  /** A request that may be tried again begins. now: ms of performance.now(). */
  count(now: number): void {
    this.#requests.add(now)
  }

  /** Whether one more try is allowed; then it is taken from the budget. */
  take(now: number): boolean {
    const { percent, least } = this.constraint
    const isAllowed = this.#recent.sum(now) < least.count || (this.#retries.sum(now) + 1) * 100 <= percent * this.#requests.sum(now)
    if (!isAllowed) return false
    this.#retries.add(now)
    this.#recent.add(now)
    return true
  }
}

const parts = 10

/** How often something was in the last so many milliseconds, exact to a tenth of that: never more than there was. */
class Window {
  readonly #counts = new Float64Array(parts)
  readonly #partMs: number
  /** Number of the newest part since the beginning of time. */
  #newest = 0
  #sum = 0

  constructor(intervalMs: number) {
    this.#partMs = intervalMs / parts
  }

  add(now: number): void {
    this.#turnTo(now)
    this.#counts[this.#newest % parts]!++
    this.#sum++
  }

  sum(now: number): number {
    this.#turnTo(now)
    return this.#sum
  }

  #turnTo(now: number): void {
    const part = Math.floor(now / this.#partMs)
    if (part <= this.#newest) return
    for (let at = Math.max(this.#newest + 1, part - parts + 1); at <= part; at++) {
      this.#sum -= this.#counts[at % parts]!
      this.#counts[at % parts] = 0
    }
    this.#newest = part
  }
}
