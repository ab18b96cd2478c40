/** Flow control, RFC 9113 §5.2 and §6.9: how much a peer may send us, and when it is told that it may send more. */

import { largestWindow } from '../codes.ts'

/** A window after WINDOW_UPDATE or a change of the initial size; undefined: past 2³¹-1 (§6.9.1). It may be below zero: the sender then waits (§6.9.2). */
export function grown(window: number, by: number): number | undefined {
  const sum = window + by
  return sum > largestWindow ? undefined : sum
}

/** What a peer may send on one stream. */
export class Credit {
  readonly #size: number
  #owed = 0
  /** What may still come. */
  left: number
  /** Received and not consumed. */
  held = 0

  constructor(size: number) {
    this.#size = size
    this.left = size
  }

  take(bytes: number): void {
    this.left -= bytes
    this.held += bytes
  }

  /** Returns the increment of a WINDOW_UPDATE that is due, or 0: half a window at a time. */
  consumed(bytes: number): number {
    this.held -= bytes
    this.#owed += bytes
    if (this.#owed * 2 < this.#size) return 0
    const due = this.#owed
    this.#owed = 0
    this.left += due
    return due
  }
}

/** What a peer may send on all streams. It is given back on arrival, not on consumption, as long as no more than `maxHeld` is in our hands or on the way to them. */
export class SharedCredit {
  readonly #size: number
  readonly #maxHeld: number
  #left: number
  #held = 0

  constructor(size: number, maxHeld: number) {
    this.#size = size
    this.#maxHeld = maxHeld
    this.#left = size
  }

  /** False: the peer sent more than it may. */
  take(bytes: number): boolean {
    this.#left -= bytes
    this.#held += bytes
    return this.#left >= 0
  }

  release(bytes: number): void {
    this.#held -= bytes
  }

  /** The increment that is due, or 0. */
  due(): number {
    const missing = this.#size - this.#left
    if (missing * 2 < this.#size || this.#held + this.#size > this.#maxHeld) return 0
    this.#left = this.#size
    return missing
  }
}
