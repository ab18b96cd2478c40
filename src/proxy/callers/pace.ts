/** Bytes that pass no faster than a rate: in small portions, so that a reader sees a slow line and not a stuttering one. */

/** For how long a portion lasts. */
const portionMs = 50

/** Bytes per second; at least one at a time. */
export class Pace {
  readonly #bps: number
  readonly #send: (bytes: Uint8Array) => void
  /** All that waited is sent. */
  readonly #onEmpty: () => void
  #waiting: Uint8Array[] = []
  /** When what was sent has had its time; ms of performance.now(). */
  #dueAt = 0
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(bps: number, send: (bytes: Uint8Array) => void, onEmpty: () => void) {
    this.#bps = bps
    this.#send = send
    this.#onEmpty = onEmpty
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  add(bytes: Uint8Array): void {
    if (this.#isStopped || bytes.length === 0) return
    this.#waiting.push(bytes)
    if (this.#timer === undefined) this.#pump()
  }

  stop(): void {
    this.#isStopped = true
    this.#waiting = []
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  readonly #pump = (): void => {
    this.#timer = undefined
    const portion = Math.max(1, Math.floor((this.#bps * portionMs) / 1000))
    for (;;) {
      const first = this.#waiting[0]
      if (first === undefined || this.#isStopped) return
      const now = performance.now()
      // A timer may be late by a few portions: that is made up for, and no more.
      if (this.#dueAt < now - 4 * portionMs) this.#dueAt = now
      if (this.#dueAt > now) {
        this.#timer = setTimeout(this.#pump, this.#dueAt - now)
        return
      }
      const part = first.length <= portion ? first : first.subarray(0, portion)
      if (part === first) this.#waiting.shift()
      else this.#waiting[0] = first.subarray(portion)
      this.#dueAt += (part.length * 1000) / this.#bps
      this.#send(part)
      if (this.#waiting.length === 0) this.#onEmpty()
    }
  }
}
