/** Time as a value that is handed in, so that machines never ask for it themselves. */

/** Milliseconds since the epoch, and one-shot timers. `after` returns the function that cancels. */
export interface Clock {
  now(): number
  after(ms: number, run: () => void): () => void
}

/** The longest time that a timer of Node takes, 24 days: a longer one would go off at once. */
export const longestTimerMs = 2 ** 31 - 1

export const systemClock: Clock = {
  now: Date.now,
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}

/** A clock that a test turns by hand. */
export class TestClock implements Clock {
  #now: number
  #due: { at: number; run: () => void }[] = []
  constructor(now = 0) {
    this.#now = now
  }
  now(): number {
    return this.#now
  }
  after(ms: number, run: () => void): () => void {
    const entry = { at: this.#now + ms, run }
    this.#due.push(entry)
    return () => {
      this.#due = this.#due.filter(other => other !== entry)
    }
  }
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const next = this.#due.filter(entry => entry.at <= end).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.#now = next.at
      this.#due = this.#due.filter(entry => entry !== next)
      next.run()
    }
    this.#now = end
  }
}
