/** Which endpoints of one backend are left out for a while because they keep failing, stand out among the others or ask to be spared (Envoy's outlier detection). Owns no clock and no timer. */

import type { EjectionCause, OutlierDetection } from '#model/endpoint-health'
import { type Tally, Tallies } from './outlier-tallies.ts'

/** cause: what it did. forMs: how long it is left out; undefined where too many are out already (forbidden), or where chance spares it. */
export type Ejection = {
  readonly address: string
  readonly cause: EjectionCause
  readonly outcome: 'ejected' | 'forbidden' | 'spared'
  readonly forMs: number | undefined
}
/** until: ms on the clock of `answered`. */
export type LeftOut = { readonly address: string; readonly cause: EjectionCause; readonly until: number }

//   serving ──so many failures on end, or too many in an interval──▶ out ──time is over──▶ serving
type Standing = {
  of5xx: number
  ofGateway: number
  ofLocal: number
  /** How often it was left out lately, less one for each interval of service since. */
  times: number
  outUntil: number
  cause: EjectionCause
}

export class Outliers {
  readonly settings: OutlierDetection
  readonly #random: () => number
  /** By address: those that failed lately; of the others there is nothing to remember. */
  readonly #standings = new Map<string, Standing>()
  /** Only where somebody asks for comparison. */
  readonly #tallies: Tallies | undefined
  #count = 0

  /** random: in [0, 1). */
  constructor(settings: OutlierDetection, random: () => number = Math.random) {
    this.settings = settings
    this.#random = random
    if (settings.successRate !== undefined || settings.failurePercentage !== undefined)
      this.#tallies = new Tallies(settings.splitsLocalOrigin, settings.intervalMs)
  }

  /**
   * What an endpoint answered; undefined: nothing. count: of all endpoints. now: ms of performance.now(). pauseMs: for how long it asks to be
   * spared; absent: it does not say.
   */
  answered(address: string, status: number | undefined, count: number, now: number, pauseMs?: number): Ejection | undefined {
    this.#count = count
    this.#tallies?.add(address, status, now)
    const known = this.#standings.get(address)
    if (status !== undefined && status < 500) {
      if (status === 429 && this.settings.tooManyRequests !== undefined) return this.#spare(address, known, count, now, pauseMs)
      if (known !== undefined) this.#served(address, known, now)
      return undefined
    }
    // What was under way when it was left out says nothing new.
    if (known !== undefined && known.outUntil > now) return undefined
    const standing = known ?? this.#stands(address)
    const cause = this.#causeOf(standing, status)
    return cause === undefined ? undefined : this.#eject(address, standing, cause, count, now)
  }

  #stands(address: string): Standing {
    const standing: Standing = { of5xx: 0, ofGateway: 0, ofLocal: 0, times: 0, outUntil: Number.NEGATIVE_INFINITY, cause: 'consecutive5xx' }
    this.#standings.set(address, standing)
    return standing
  }

  #served(address: string, standing: Standing, now: number): void {
    if (standing.outUntil > now) return
    standing.of5xx = standing.ofGateway = standing.ofLocal = 0
    if (this.#timesAt(standing, now) === 0) this.#standings.delete(address)
  }

  #causeOf(standing: Standing, status: number | undefined): EjectionCause | undefined {
    const { consecutive5xx, consecutiveGatewayErrors, consecutiveLocalOriginFailures, splitsLocalOrigin } = this.settings
    if (status === undefined && splitsLocalOrigin)
      return ++standing.ofLocal === consecutiveLocalOriginFailures ? 'consecutiveLocalOriginFailures' : undefined
    standing.ofLocal = 0
    standing.of5xx++
    if (status === undefined || (status >= 502 && status <= 504)) standing.ofGateway++
    else standing.ofGateway = 0
    if (standing.of5xx === consecutive5xx) return 'consecutive5xx'
    return standing.ofGateway > 0 && standing.ofGateway === consecutiveGatewayErrors ? 'consecutiveGatewayErrors' : undefined
  }

  /** It is well and says itself for how long it has enough: that makes no later ejection longer. */
  #spare(address: string, known: Standing | undefined, count: number, now: number, askedMs: number | undefined): Ejection | undefined {
    if (known !== undefined && known.outUntil > now) return undefined
    const { pauseMs, longestMs } = this.settings.tooManyRequests!
    const forMs = Math.min(longestMs, askedMs ?? pauseMs)
    if (forMs <= 0) return undefined
    return this.#leave(address, known ?? this.#stands(address), 'tooManyRequests', count, now, () => forMs)
  }

  #eject(address: string, standing: Standing, cause: EjectionCause, count: number, now: number): Ejection {
    const { baseEjectionMs, maxEjectionMs } = this.settings
    return this.#leave(address, standing, cause, count, now, () => {
      standing.times = this.#timesAt(standing, now) + 1
      return Math.min(maxEjectionMs, baseEjectionMs * standing.times)
    })
  }

  #leave(address: string, standing: Standing, cause: EjectionCause, count: number, now: number, lasting: () => number): Ejection {
    const { maxEjectionPercent, enforcing } = this.settings
    standing.of5xx = standing.ofGateway = standing.ofLocal = 0
    const percent = enforcing?.[cause] ?? 100
    if (percent < 100 && this.#random() * 100 >= percent) return { address, cause, outcome: 'spared', forMs: undefined }
    if ((this.out(now).size + 1) * 100 > maxEjectionPercent * count) return { address, cause, outcome: 'forbidden', forMs: undefined }
    const forMs = lasting()
    standing.outUntil = now + forMs
    standing.cause = cause
    return { address, cause, outcome: 'ejected', forMs }
  }

  #timesAt({ times, outUntil }: Standing, now: number): number {
    return times === 0 ? 0 : Math.max(0, times - Math.floor((now - outUntil) / this.settings.intervalMs))
  }

  /** When the answers of this interval are to be compared; undefined while there are none, or nobody asked. */
  get dueAt(): number | undefined {
    return this.#tallies?.dueAt
  }

  /** At `dueAt`: compares what was counted since the interval began; the next begins with the next answer. */
  compare(now: number): readonly Ejection[] {
    const tallies = this.#tallies
    if (tallies === undefined) return []
    const { external, local } = tallies.take()
    const found = [...this.#standingOut(external, 'successRate', 'failurePercentage', now)]
    if (this.settings.splitsLocalOrigin)
      found.push(...this.#standingOut(local, 'localOriginSuccessRate', 'localOriginFailurePercentage', now))
    return found
  }

  /** The worst first, for not all of them may go. What is out already says nothing, and is no measure for others. */
  *#standingOut(tallies: readonly Tally[], byRate: EjectionCause, byPercent: EjectionCause, now: number): Iterable<Ejection> {
    const serving = tallies.filter(({ address }) => (this.#standings.get(address)?.outUntil ?? Number.NEGATIVE_INFINITY) <= now)
    const worstFirst = serving.toSorted((a, b) => a.good / a.total - b.good / b.total)
    const { successRate, failurePercentage } = this.settings
    const gone = new Set<string>()
    const eject = (address: string, cause: EjectionCause): Ejection => {
      gone.add(address)
      return this.#eject(address, this.#standings.get(address) ?? this.#stands(address), cause, this.#count, now)
    }
    if (successRate !== undefined) {
      const { minimumHosts, requestVolume, stdevThousandths } = successRate
      const heard = worstFirst.filter(({ total }) => total >= requestVolume)
      const least = heard.length < minimumHosts ? 0 : leastRate(heard, stdevThousandths / 1000)
      for (const { address, good, total } of heard) if ((good / total) * 100 < least) yield eject(address, byRate)
    }
    if (failurePercentage === undefined) return
    const { minimumHosts, requestVolume, percent } = failurePercentage
    const heard = worstFirst.filter(({ total }) => total >= requestVolume)
    if (heard.length < minimumHosts) return
    for (const { address, good, total } of heard)
      if (!gone.has(address) && ((total - good) / total) * 100 >= percent) yield eject(address, byPercent)
  }

  /** The addresses that are left out at this moment. */
  out(now: number): ReadonlySet<string> {
    const found = new Set<string>()
    for (const [address, { outUntil }] of this.#standings) if (outUntil > now) found.add(address)
    return found
  }

  leftOut(now: number): readonly LeftOut[] {
    return [...this.#standings].flatMap(([address, { outUntil, cause }]) => (outUntil > now ? [{ address, cause, until: outUntil }] : []))
  }
}

/** Percent: mean − factor × standard deviation, of the whole and not of a sample, as Envoy has it. */
function leastRate(tallies: readonly Tally[], factor: number): number {
  const rates = tallies.map(({ good, total }) => (good / total) * 100)
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length
  const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length
  return mean - factor * Math.sqrt(variance)
}
