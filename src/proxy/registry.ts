/** Counters, gauges and histograms of this process, cheap enough for the request path: a sample is found once by its labels and then only added to. */

import { durationBuckets, type MetricFamily } from '#model/metrics'

/** One number, or with `buckets` a histogram: counts per bound, then count and sum. */
export type Sample = {
  readonly labels: readonly string[]
  value: number
  readonly buckets: number[] | undefined
  sum: number
  sent: number
}

export class Family {
  readonly name: string
  readonly type: MetricFamily['type']
  readonly help: string
  readonly labelNames: readonly string[]
  readonly samples = new Map<string, Sample>()

  constructor(name: string, type: MetricFamily['type'], help: string, labelNames: readonly string[]) {
    this.name = name
    this.type = type
    this.help = help
    this.labelNames = labelNames
  }

  has(labels: readonly string[]): boolean {
    return this.samples.has(labels.join('\u0000'))
  }

  /** labels in the order of labelNames. Keep the result where the labels repeat. */
  sample(labels: readonly string[]): Sample {
    const key = labels.join('\u0000')
    let sample = this.samples.get(key)
    if (sample === undefined) {
      sample = {
        labels,
        value: 0,
        buckets: this.type === 'histogram' ? Array.from({ length: durationBuckets.length + 1 }, () => 0) : undefined,
        sum: 0,
        sent: Number.NaN,
      }
      this.samples.set(key, sample)
    }
    return sample
  }
}

/** seconds into a histogram sample: value counts observations. */
export function observe(sample: Sample, seconds: number): void {
  let low = 0
  let high = durationBuckets.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (seconds <= durationBuckets[middle]!) high = middle
    else low = middle + 1
  }
  sample.buckets![low]!++
  sample.value++
  sample.sum += seconds
}

/** Who asks for the numbers: Prometheus, or the push that goes to the control plane. */
export type Reading = 'text' | 'all' | 'changed'

export class Registry {
  readonly families: Family[] = []
  readonly #before: ((reading: Reading) => void)[] = []

  /** Called before each reading: the place to set what depends on the moment. */
  before(set: (reading: Reading) => void): void {
    this.#before.push(set)
  }

  family(name: string, type: MetricFamily['type'], help: string, labelNames: readonly string[]): Family {
    const family = new Family(name, type, help, labelNames)
    this.families.push(family)
    return family
  }

  /** Prometheus text format 0.0.4. */
  text(): string {
    for (const set of this.#before) set('text')
    const lines: string[] = []
    for (const { name, type, help, labelNames, samples } of this.families) {
      if (samples.size === 0) continue
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
      for (const sample of samples.values()) {
        const labels = labelNames.map((label, at) => `${label}="${escaped(sample.labels[at] ?? '')}"`).join(',')
        if (sample.buckets === undefined) {
          const value = sample.value === Number.POSITIVE_INFINITY ? '+Inf' : sample.value
          lines.push(`${name}${labels && `{${labels}}`} ${value}`)
          continue
        }
        let below = 0
        sample.buckets.forEach((count, at) => {
          below += count
          lines.push(`${name}_bucket{${labels}${labels && ','}le="${durationBuckets[at] ?? '+Inf'}"} ${below}`)
        })
        lines.push(`${name}_sum${labels && `{${labels}}`} ${sample.sum}`, `${name}_count${labels && `{${labels}}`} ${sample.value}`)
      }
    }
    return `${lines.join('\n')}\n`
  }

  /** The same as plain data, for the push to the control plane: everything, or what changed since the last call. */
  collect(which: 'all' | 'changed'): MetricFamily[] {
    for (const set of this.#before) set(which)
    return this.families.flatMap(({ name, type, labelNames, samples }) => {
      const metrics = [...samples.values()]
        .filter(sample => which === 'all' || sample.sent !== sample.value)
        .map(sample => {
          sample.sent = sample.value
          const labels = Object.fromEntries(labelNames.map((label, at) => [label, sample.labels[at] ?? '']))
          if (sample.buckets === undefined) return { labels, value: sample.value }
          let below = 0
          const buckets = sample.buckets.map((count, at) => ({
            upperBound: durationBuckets[at] ?? Number.POSITIVE_INFINITY,
            cumulativeCount: (below += count),
          }))
          return { labels, histogram: { count: sample.value, sum: sample.sum, buckets } }
        })
      return metrics.length === 0 ? [] : [{ name, type, metrics }]
    })
  }
}

const escaped = (value: string): string => value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
