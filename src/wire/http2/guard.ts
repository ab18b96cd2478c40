/** What a peer may cost without giving: frames that carry nothing, streams that end before they are answered, replies that it does not read. RFC 9113 §10.5. */

import { Budget } from './budget.ts'
import { errorCodes, Fault } from './codes.ts'
import type { Limits2 } from './limits.ts'

export class Guard {
  readonly #noise: Budget
  readonly #resets: Budget
  readonly #maxReplies: number
  #replies = 0
  #tickedAt: number | undefined

  constructor(limits: Limits2) {
    this.#noise = new Budget(limits.noiseBurst, limits.noisePerSecond)
    this.#resets = new Budget(limits.resetBurst, limits.resetsPerSecond)
    this.#maxReplies = limits.maxReplies
  }

  /** A frame came that carries nothing. */
  noise(): void {
    if (!this.#noise.spend()) throw new Fault(errorCodes.enhanceYourCalm, 'RFC 9113 §10.5: too many frames that carry nothing')
  }

  /** Something came or went that such frames go with: a head, DATA. */
  worked(count: number): void {
    this.#noise.earn(count)
  }

  /** A stream ended before it was answered, because the peer reset it or made us do so (CVE-2023-44487, CVE-2025-8671). */
  reset(): void {
    if (!this.#resets.spend())
      throw new Fault(errorCodes.enhanceYourCalm, 'RFC 9113 §10.5: too many streams that end before they are answered')
  }

  /** An exchange ended as it should. */
  exchanged(): void {
    this.#resets.earn(1)
    this.#noise.earn(2)
  }

  /** A frame is written only because the peer made us. */
  reply(): void {
    if (++this.#replies > this.#maxReplies) throw new Fault(errorCodes.enhanceYourCalm, 'RFC 9113 §10.5: the replies are not read')
  }

  drained(): void {
    this.#replies = 0
  }

  tick(nowMs: number): void {
    if (this.#tickedAt !== undefined && nowMs > this.#tickedAt) {
      const seconds = (nowMs - this.#tickedAt) / 1_000
      this.#noise.passed(seconds)
      this.#resets.passed(seconds)
    }
    this.#tickedAt = nowMs
  }
}
