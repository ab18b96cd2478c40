/**
 * How many requests at once a server bears, found out from how fast it answers (the gradient controller of Envoy's adaptive_concurrency). Owns no clock and no timer.
 *
 *   measuring ──so many answers at the lowest limit──▶ following ──interval is over, or five times at the lowest──▶ measuring
 *
 * Measuring: few at once, so that what they take is what an answer takes without a queue. Following: while answers come as fast as that the limit
 * grows, and when they take twice as long it is halved.
 */

import type { AdaptiveConcurrency } from '#model/listener'

/** Of so many answers of an interval at most the time is remembered, the newest. */
const mostSamples = 2048
const [leastGradient, mostGradient] = [0.5, 2]
/** So often on end at the lowest: what was measured may not hold any more. */
const oftenAtLowest = 5

export class Gradient {
  readonly settings: AdaptiveConcurrency
  readonly #random: () => number
  readonly #samples = new Float64Array(mostSamples)
  #count = 0
  #limit: number
  #underWay = 0
  #isMeasuring = true
  #measuringSince: number
  /** The limit to go on with when it is measured. */
  #before: number
  #leastMs = 0
  #measureAt = 0
  #updateAt = 0
  #timesLowest = 0

  /** now: ms that only grow. random: in [0, 1). */
  constructor(settings: AdaptiveConcurrency, now: number, random: () => number = Math.random) {
    this.settings = settings
    this.#random = random
    this.#limit = this.#before = settings.roundTrip.limit
    this.#measuringSince = now
  }

  get limit(): number {
    return this.#limit
  }
  get underWay(): number {
    return this.#underWay
  }
  get isMeasuring(): boolean {
    return this.#isMeasuring
  }
  /** What an answer takes when there is no queue; 0: not measured yet. */
  get leastMs(): number {
    return this.#leastMs
  }

  /** Whether one more may be under way; then `left` is owed. */
  enter(now: number): boolean {
    this.#advance(now)
    if (this.#underWay >= this.#limit) return false
    this.#underWay++
    return true
  }

  /** began: when it entered; undefined where it was not answered, or its time says nothing. */
  left(began: number | undefined, now: number): void {
    this.#underWay--
    this.#advance(now)
    // What began before the measuring did had others beside it.
    if (began === undefined || (this.#isMeasuring && began < this.#measuringSince)) return
    this.#samples[this.#count++ % mostSamples] = now - began
    if (this.#isMeasuring && this.#count >= this.settings.roundTrip.requests) this.#measured(now)
  }

  #measured(now: number): void {
    const { intervalMs, jitterPercent } = this.settings.roundTrip
    this.#leastMs = this.#summary()
    this.#isMeasuring = false
    this.#set(this.#before)
    this.#measureAt = now + intervalMs * (1 + (this.#random() * jitterPercent) / 100)
    this.#updateAt = now + this.settings.intervalMs
  }

  #advance(now: number): void {
    if (this.#isMeasuring) return
    if (now >= this.#updateAt) {
      this.#updateAt = now + this.settings.intervalMs
      if (this.#count > 0) this.#set(this.#next(this.#summary()))
    }
    if (now >= this.#measureAt || this.#timesLowest >= oftenAtLowest) this.#measure(now)
  }

  #measure(now: number): void {
    this.#isMeasuring = true
    this.#measuringSince = now
    this.#before = this.#limit
    this.#limit = this.settings.roundTrip.limit
    this.#timesLowest = 0
    this.#count = 0
  }

  #next(tookMs: number): number {
    const { mostLimit, roundTrip } = this.settings
    const aimMs = this.#leastMs * (1 + roundTrip.bufferPercent / 100)
    const gradient = Math.max(leastGradient, Math.min(mostGradient, tookMs === 0 ? mostGradient : aimMs / tookMs))
    const limit = this.#limit * gradient
    // Room for bursts, without which it would never grow.
    return Math.max(roundTrip.limit, Math.min(mostLimit, Math.floor(limit + Math.sqrt(limit))))
  }

  #set(limit: number): void {
    const lowest = this.settings.roundTrip.limit
    this.#timesLowest = this.#limit === lowest && limit === lowest ? this.#timesLowest + 1 : 0
    this.#limit = limit
  }

  /** The percentile of the samples, which are forgotten. */
  #summary(): number {
    const sorted = this.#samples.slice(0, Math.min(this.#count, mostSamples)).sort()
    this.#count = 0
    return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * this.settings.percentile) / 100))] ?? 0
  }
}
