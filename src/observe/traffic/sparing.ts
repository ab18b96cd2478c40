/** Whom each proxy leaves out, how much of its limits is used, and what its workload is given at once: as it last said. */

import type { MetricFamily } from '#model/metrics'
import { metricNames } from '#model/metrics'

/** backend: name of the one in question, such as a port of the service. until: ms since the epoch. */
export type LeftOut = {
  readonly proxy: string
  readonly service: string
  readonly backend: string
  readonly workload: string
  readonly address: string
  readonly cause: string
  readonly until: number
}
export type LimitUsed = {
  readonly proxy: string
  readonly service: string
  readonly backend: string
  readonly limit: string
  readonly most: number
  readonly used: number
}
/** listener: `inbound/PORT`. roundTripMs: what an answer takes with few under way; 0: not measured yet. */
export type ConcurrencyLimit = {
  readonly proxy: string
  readonly listener: string
  readonly limit: number
  readonly used: number
  readonly roundTripMs: number
}
export type Spared = {
  readonly leftOut: readonly LeftOut[]
  readonly limits: readonly LimitUsed[]
  readonly concurrency: readonly ConcurrencyLimit[]
}

const told: ReadonlySet<string> = new Set([
  metricNames.ejectionEnds,
  metricNames.backendLimit,
  metricNames.backendLimitUsed,
  metricNames.concurrencyLimit,
  metricNames.concurrencyUsed,
  metricNames.concurrencyRoundTrip,
])
/** A proxy has as many as it has endpoints that fail; one that made them up must not fill the memory. */
const mostOfOne = 2000

type Labels = Readonly<Record<string, string>>
type Value = { readonly name: string; readonly labels: Labels; readonly value: number }

export class Sparing {
  /** By proxy, then by name and labels. */
  readonly #values = new Map<string, Map<string, Value>>()

  /** isNew: the first push of this proxy, or the first of a new process of it. */
  take(proxyId: string, families: readonly MetricFamily[], isNew: boolean): void {
    if (isNew) this.#values.delete(proxyId)
    for (const { name, metrics } of families) {
      if (!told.has(name)) continue
      const known = this.#values.get(proxyId) ?? new Map<string, Value>()
      this.#values.set(proxyId, known)
      for (const { labels, value = 0 } of metrics) {
        const key = keyOf(name, labels)
        if (known.has(key) || known.size < mostOfOne) known.set(key, { name, labels, value })
      }
    }
  }

  /** service: only what is about this one, `NAME.NAMESPACE`, by whatever name, or in front of its workloads. serviceOf: of a proxy. behind: the service behind another name for some of its workloads. now: ms. */
  read(service: string | undefined, serviceOf: (proxy: string) => string, behind: (name: string) => string, now: number): Spared {
    const leftOut: LeftOut[] = []
    const limits: LimitUsed[] = []
    const concurrency: ConcurrencyLimit[] = []
    for (const [proxy, values] of this.#values) {
      const at = (name: string, labels: Labels): number => values.get(keyOf(name, labels))?.value ?? 0
      for (const { name, labels, value } of values.values()) {
        const {
          destination_service: to = '',
          destination_workload: workload = '',
          backend = '',
          address = '',
          cause = '',
          limit = '',
          listener = '',
        } = labels
        const isOf =
          service === undefined ||
          (name === metricNames.concurrencyLimit ? serviceOf(proxy) === service : to === service || behind(to) === service)
        // A limit may be 0; where there is none any more it is infinite.
        if (!isOf || (value === 0 && name !== metricNames.backendLimit) || value === Number.POSITIVE_INFINITY) continue
        if (name === metricNames.ejectionEnds && value * 1000 > now)
          leftOut.push({ proxy, service: to, backend, workload, address, cause, until: value * 1000 })
        else if (name === metricNames.backendLimit)
          limits.push({ proxy, service: to, backend, limit, most: value, used: at(metricNames.backendLimitUsed, labels) })
        else if (name === metricNames.concurrencyLimit)
          concurrency.push({
            proxy,
            listener,
            limit: value,
            used: at(metricNames.concurrencyUsed, labels),
            roundTripMs: at(metricNames.concurrencyRoundTrip, labels) * 1000,
          })
      }
    }
    return { leftOut, limits, concurrency }
  }

  forget(proxyId: string): void {
    this.#values.delete(proxyId)
  }
}

const keyOf = (name: string, labels: Labels): string =>
  `${name} ${Object.keys(labels)
    .sort()
    .map(label => `${label}=${labels[label]}`)
    .join(' ')}`
