/** Carries out what outlier detection finds for one backend: who is left out of the choice, the timers that take them back and compare them, and what is counted of it. */

import { longestTimerMs } from '#base/clock'
import type { Backend, Endpoint } from '#model/backend'
import type { OutlierDetection } from '#model/endpoint-health'
import { ejectedLabels, ejectionEndLabels, ejectionLabels, metricNames } from '#model/metrics'
import { addressOf } from './balancers.ts'
import { type Ejection, type LeftOut, Outliers } from './outliers.ts'
import type { Family, Registry } from '../registry.ts'

/** From now on these addresses of a backend are not picked. */
export type LeaveOut = (backend: string, addresses: ReadonlySet<string>) => void

/** until: ms since the epoch. */
export type Absent = LeftOut & { readonly workload: string }

export type EjectionFamilies = { readonly ejections: Family; readonly ejected: Family; readonly ends: Family }

export const ejectionFamilies = (registry: Registry): EjectionFamilies => ({
  ejections: registry.family(
    metricNames.ejections,
    'counter',
    'Endpoints that failed often enough to be left out, and whether they were',
    ejectionLabels,
  ),
  ejected: registry.family(metricNames.ejected, 'gauge', 'Endpoints that are left out now because they kept failing', ejectedLabels),
  ends: registry.family(
    metricNames.ejectionEnds,
    'gauge',
    'Until when an endpoint is left out, seconds since the epoch; 0: it is not',
    ejectionEndLabels,
  ),
})

/** Names of workloads, for metrics: endpoints come and go. */
const mostKnown = 20_000

export class Ejections {
  readonly settings: OutlierDetection
  readonly #backend: Pick<Backend, 'name' | 'service'>
  readonly #families: EjectionFamilies
  readonly #leaveOut: LeaveOut
  readonly #outliers: Outliers
  /** By address, of those that answered. */
  readonly #workloads = new Map<string, string>()
  #comparing: NodeJS.Timeout | undefined
  #isOver = false

  constructor(settings: OutlierDetection, backend: Pick<Backend, 'name' | 'service'>, families: EjectionFamilies, leaveOut: LeaveOut) {
    this.settings = settings
    this.#backend = backend
    this.#families = families
    this.#leaveOut = leaveOut
    this.#outliers = new Outliers(settings)
  }

  /** As of Outliers. */
  answered(endpoint: Endpoint, status: number | undefined, count: number, pauseMs: number | undefined): void {
    const now = performance.now()
    const address = addressOf(endpoint)
    if (this.#workloads.size >= mostKnown && !this.#workloads.has(address)) this.#workloads.clear()
    this.#workloads.set(address, endpoint.workload)
    const ejection = this.#outliers.answered(address, status, count, now, pauseMs)
    if (ejection !== undefined) this.#carryOut(ejection, now)
    const { dueAt } = this.#outliers
    if (dueAt !== undefined) this.#comparing ??= setTimeout(this.#compare, Math.min(dueAt - now + 1, longestTimerMs)).unref()
  }

  readonly #compare = (): void => {
    this.#comparing = undefined
    if (this.#isOver) return
    const now = performance.now()
    for (const ejection of this.#outliers.compare(now)) this.#carryOut(ejection, now)
    // Who has not answered for an interval may be gone for good.
    const left = this.#outliers.out(now)
    for (const address of this.#workloads.keys()) if (!left.has(address)) this.#workloads.delete(address)
  }

  #carryOut({ address, cause, outcome, forMs }: Ejection, now: number): void {
    const { service, name } = this.#backend
    const workload = this.#workloads.get(address) ?? ''
    this.#families.ejections.sample([service, workload, cause, outcome]).value++
    if (forMs === undefined) return
    const ejected = this.#families.ejected.sample([service, name, workload])
    const ends = this.#families.ends.sample([service, name, workload, address, cause])
    ejected.value = 1
    ends.value = Math.round((performance.timeOrigin + now + forMs) / 1000)
    this.#leaveOut(name, this.#outliers.out(now))
    const endsAt = now + forMs
    const back = () => {
      if (this.#isOver) return
      if (performance.now() < endsAt) return wait()
      const out = this.#outliers.out(performance.now())
      if (!out.has(address)) ejected.value = ends.value = 0
      this.#leaveOut(name, out)
    }
    // A timer may go off a moment early.
    const wait = () => void setTimeout(back, Math.min(endsAt - performance.now() + 2, longestTimerMs)).unref()
    wait()
  }

  get leftOut(): readonly Absent[] {
    return this.#outliers.leftOut(performance.now()).map(each => ({
      ...each,
      until: Math.round(performance.timeOrigin + each.until),
      workload: this.#workloads.get(each.address) ?? '',
    }))
  }

  /** Another policy holds: everybody serves again. */
  end(): void {
    this.#isOver = true
    clearTimeout(this.#comparing)
    for (const { samples } of [this.#families.ejected, this.#families.ends])
      for (const sample of samples.values()) if (sample.labels[1] === this.#backend.name) sample.value = 0
    this.#leaveOut(this.#backend.name, new Set())
  }
}
