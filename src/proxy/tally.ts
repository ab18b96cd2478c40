/** Counters come up: what a worker counted since it last told, added to the numbers of the process that owns it. */

import { type MetricFamily, metricNames } from '#model/metrics'
import type { Family, Registry, Sample } from './registry.ts'

type Change = { readonly labels: readonly string[]; readonly value: number; readonly sum: number; readonly buckets?: readonly number[] }

/** Differences, each family with all that is needed to make it where it is not known yet: worker and owner may be of different versions. */
export type Counts = readonly (Pick<Family, 'name' | 'type' | 'help' | 'labelNames'> & { readonly changes: readonly Change[] })[]

/** What is true of one process, and of no sum. */
const ownOf = new Set<string>([metricNames.startTime, metricNames.certificateExpiry])

type Told = { value: number; sum: number; buckets: readonly number[] }
const nothing: Told = { value: 0, sum: 0, buckets: [] }

/** The worker's side. */
export class Teller {
  readonly #registry: Registry
  readonly #told = new WeakMap<Sample, Told>()

  constructor(registry: Registry) {
    this.#registry = registry
  }

  /** Since the last call; empty when nothing was counted. */
  take(): Counts {
    return this.#registry.families.flatMap(({ name, type, help, labelNames, samples }) => {
      if (ownOf.has(name)) return []
      const changes = [...samples.values()].flatMap(sample => this.#changeOf(sample) ?? [])
      return changes.length === 0 ? [] : [{ name, type, help, labelNames, changes }]
    })
  }

  #changeOf(sample: Sample): Change | undefined {
    const told = this.#told.get(sample) ?? nothing
    if (sample.value === told.value && sample.sum === told.sum) return undefined
    const { labels, value, sum, buckets } = sample
    this.#told.set(sample, { value, sum, buckets: [...(buckets ?? [])] })
    const change = { labels, value: value - told.value, sum: sum - told.sum }
    return buckets === undefined ? change : { ...change, buckets: buckets.map((count, at) => count - (told.buckets[at] ?? 0)) }
  }
}

/** The owner's side, one for each worker: counters stay when it is gone, gauges do not. */
export class Share {
  readonly #registry: Registry
  readonly #gauges = new Map<Sample, number>()

  constructor(registry: Registry) {
    this.#registry = registry
  }

  add(counts: Counts): void {
    for (const { name, type, help, labelNames, changes } of counts) {
      const family = familyOf(this.#registry, name, type, help, labelNames)
      for (const change of changes) {
        const sample = family.sample(change.labels)
        sample.value += change.value
        sample.sum += change.sum
        change.buckets?.forEach((count, at) => {
          if (sample.buckets !== undefined && at < sample.buckets.length) sample.buckets[at]! += count
        })
        if (type === 'gauge') this.#gauges.set(sample, (this.#gauges.get(sample) ?? 0) + change.value)
      }
    }
  }

  /** The worker is gone, and what was open in it. */
  withdraw(): void {
    for (const [sample, value] of this.#gauges) sample.value -= value
    this.#gauges.clear()
  }
}

const familyOf = (registry: Registry, name: string, type: MetricFamily['type'], help: string, labelNames: readonly string[]): Family =>
  registry.families.find(known => known.name === name) ?? registry.family(name, type, help, labelNames)
