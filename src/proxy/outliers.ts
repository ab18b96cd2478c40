/** Which endpoints of one backend are left out for a while because they keep failing (Envoy's outlier detection, by failures on end). Owns no clock and no timer. */

import type { OutlierDetection } from '#model/view'

/** Why an endpoint was left out; the same words as in a BackendPolicy. */
export type EjectionCause = 'consecutive5xx' | 'consecutiveGatewayErrors' | 'consecutiveLocalOriginFailures'

/** cause: what it did. forMs: how long it is left out; undefined where too many are out already. */
export type Ejection = { readonly cause: EjectionCause; readonly forMs: number | undefined }

//   serving ──so many failures on end──▶ out ──time is over──▶ serving
type Standing = {
  of5xx: number
  ofGateway: number
  ofLocal: number
  /** How often it was left out lately, less one for each interval of service since. */
  times: number
  outUntil: number
}

export class Outliers {
  readonly settings: OutlierDetection
  /** By address: those that failed lately; of the others there is nothing to remember. */
  readonly #standings = new Map<string, Standing>()

  constructor(settings: OutlierDetection) {
    this.settings = settings
  }

  /** What an endpoint answered; undefined: nothing. count: of all endpoints. now: ms of performance.now(). */
  answered(address: string, status: number | undefined, count: number, now: number): Ejection | undefined {
    const known = this.#standings.get(address)
    if (status !== undefined && status < 500) {
      if (known !== undefined) this.#served(address, known, now)
      return undefined
    }
    // What was under way when it was left out says nothing new.
    if (known !== undefined && known.outUntil > now) return undefined
    const standing = known ?? { of5xx: 0, ofGateway: 0, ofLocal: 0, times: 0, outUntil: 0 }
    if (known === undefined) this.#standings.set(address, standing)
    const cause = this.#causeOf(standing, status)
    return cause === undefined ? undefined : this.#eject(standing, cause, count, now)
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

  #eject(standing: Standing, cause: EjectionCause, count: number, now: number): Ejection {
    const { baseEjectionMs, maxEjectionMs, maxEjectionPercent } = this.settings
    standing.of5xx = standing.ofGateway = standing.ofLocal = 0
    if ((this.out(now).size + 1) * 100 > maxEjectionPercent * count) return { cause, forMs: undefined }
    standing.times = this.#timesAt(standing, now) + 1
    const forMs = Math.min(maxEjectionMs, baseEjectionMs * standing.times)
    standing.outUntil = now + forMs
    return { cause, forMs }
  }

  #timesAt({ times, outUntil }: Standing, now: number): number {
    return Math.max(0, times - Math.floor((now - outUntil) / this.settings.intervalMs))
  }

  /** The addresses that are left out at this moment. */
  out(now: number): ReadonlySet<string> {
    const found = new Set<string>()
    for (const [address, { outUntil }] of this.#standings) if (outUntil > now) found.add(address)
    return found
  }
}
