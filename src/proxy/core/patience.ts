/** Waits for the first view and the first certificate, as long as a connection has patience. */

import { Failure } from '#base/failure'

export class Patience {
  readonly #ms: number
  readonly #waiting = new Set<() => void>()
  #isOver = false

  constructor(ms: number) {
    this.#ms = ms
  }

  /** All that was waited for is there. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Rejects with `not-ready` when patience ends. */
  wait(): Promise<void> {
    if (this.#isOver) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(done)
        reject(new Failure('not-ready'))
      }, this.#ms)
      this.#waiting.add(done)
    })
  }

  end(): void {
    this.#isOver = true
    for (const done of this.#waiting) done()
    this.#waiting.clear()
  }
}
