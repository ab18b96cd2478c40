/** What was found out of connections whose protocol nothing declares: by proxy and listener, how often and when last. */

import type { MetricFamily } from '#model/metrics'
import { metricNames } from '#model/metrics'

/** count: since its proxy started. lastAt: ms, when the control plane was told; absent where it was before the proxy was first heard of. */
export type Found = {
  readonly direction: string
  readonly listener: string
  readonly protocol: string
  readonly outcome: string
  readonly count: number
  readonly lastAt?: number
}

/** A proxy has as many as it has listeners of which it does so; one that made them up must not fill the memory. */
const mostOfOne = 2000

export class Detections {
  readonly #byProxy = new Map<string, Map<string, Found>>()

  /** isNew: the first push of this proxy, which tells of long ago too. */
  take(proxyId: string, families: readonly MetricFamily[], isNew: boolean, at: number): void {
    const family = families.find(({ name }) => name === metricNames.detections)
    if (family === undefined) return
    const known = this.#byProxy.get(proxyId) ?? new Map<string, Found>()
    this.#byProxy.set(proxyId, known)
    for (const { labels, value: count = 0 } of family.metrics) {
      const { direction = '', listener = '', protocol = '', outcome = '' } = labels
      if (outcome === 'declared') continue
      const key = `${direction} ${listener} ${protocol} ${outcome}`
      const before = known.get(key)
      if (before === undefined && known.size >= mostOfOne) continue
      const lastAt = count === before?.count ? before.lastAt : isNew ? undefined : at
      known.set(key, { direction, listener, protocol, outcome, count, ...(lastAt === undefined ? {} : { lastAt }) })
    }
  }

  of(proxyId: string): readonly Found[] {
    return [...(this.#byProxy.get(proxyId)?.values() ?? [])].sort((a, b) =>
      a.listener < b.listener ? -1 : a.listener > b.listener ? 1 : b.count - a.count,
    )
  }

  forget(proxyId: string): void {
    this.#byProxy.delete(proxyId)
  }
}
