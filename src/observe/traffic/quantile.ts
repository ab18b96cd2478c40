/** Latency from histograms: which bucket a count belongs to, and a quantile by interpolation. */

import { durationBuckets } from '#model/metrics'

/** One column per bucket and one for what is slower than the last. */
export const bucketColumns = durationBuckets.length + 1

/** The own bucket for a foreign upper bound in seconds: the first that is not smaller, so that another's finer or coarser buckets never make latency look better than it was. */
export function bucketOf(upperBound: number): number {
  const found = durationBuckets.findIndex(bound => bound >= upperBound - 1e-9)
  return found === -1 ? durationBuckets.length : found
}

/**
 * Milliseconds below which the share `q` of the counts lies, or undefined where nothing was counted.
 * Linear inside a bucket, as Prometheus' histogram_quantile does; past the last bound, that bound.
 */
export function quantile(q: number, counts: readonly number[]): number | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total <= 0) return undefined
  const wanted = q * total
  let below = 0
  for (const [bucket, count] of counts.entries()) {
    if (below + count < wanted || count === 0) {
      below += count
      continue
    }
    const upper = durationBuckets[bucket]
    if (upper === undefined) break
    const lower = bucket === 0 ? 0 : durationBuckets[bucket - 1]!
    return 1000 * (lower + ((upper - lower) * (wanted - below)) / count)
  }
  return 1000 * durationBuckets.at(-1)!
}
