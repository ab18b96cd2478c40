/** Turns what proxies have counted since they started into what happened since the last push. */

import type { MetricFamily } from '#model/metrics'
import { metricNames } from '#model/metrics'

/** How often one thing happened between `from` and `to`. */
export type Increase = { readonly amount: number; readonly from: number; readonly to: number }

type Known = { startedAt: number | undefined; lastAt: number; readonly values: Map<string, { value: number; at: number }> }

/**
 * Remembers the last value of every counter of every proxy, up to `most` of them; what comes on top is not counted and shows in `dropped`.
 * A counter that shrank, or a proxy whose start time changed, began again at zero.
 */
export class Cumulative {
  readonly most: number
  dropped = 0
  #proxies = new Map<string, Known>()
  #size = 0
  /** A proxy that started after this moment cannot have counted anything that was missed. */
  readonly since: number

  constructor(most: number, since: number) {
    this.most = most
    this.since = since
  }

  /** Begins one push: returns the function that says, for each counter of it, how much it grew. */
  push(proxyId: string, families: readonly MetricFamily[], at: number): (key: string, value: number) => Increase | undefined {
    const startedAt = startOf(families)
    let known = this.#proxies.get(proxyId)
    const isNew = known === undefined
    if (known === undefined) {
      known = { startedAt, lastAt: at, values: new Map() }
      this.#proxies.set(proxyId, known)
    } else if (startedAt !== undefined && known.startedAt !== undefined && Math.abs(startedAt - known.startedAt) > 1_000) {
      this.#size -= known.values.size
      known.values.clear()
      known.startedAt = startedAt
    }
    // Of a proxy that ran before this store did, the first values are only where counting begins.
    const fromZero = !isNew || (startedAt !== undefined && startedAt >= this.since)
    const from = isNew ? (fromZero ? (startedAt ?? at) : at) : known.lastAt
    known.lastAt = at
    return (key, value) => this.#grow(known, key, value, fromZero, from, at)
  }

  /** Forgets counters and proxies that have not been seen since `before`. */
  expire(before: number): void {
    for (const [id, known] of this.#proxies) {
      for (const [key, last] of known.values) if (last.at < before && known.values.delete(key)) this.#size--
      if (known.lastAt < before && known.values.size === 0) this.#proxies.delete(id)
    }
  }

  #grow(known: Known, key: string, value: number, fromZero: boolean, from: number, at: number): Increase | undefined {
    const last = known.values.get(key)
    if (last === undefined) {
      if (this.#size >= this.most) {
        this.dropped++
        return undefined
      }
      this.#size++
      known.values.set(key, { value, at })
      return { amount: fromZero ? value : 0, from, to: at }
    }
    const amount = value < last.value ? value : value - last.value
    const since = last.at
    last.value = value
    last.at = at
    return { amount, from: since, to: at }
  }
}

function startOf(families: readonly MetricFamily[]): number | undefined {
  const seconds = families.find(family => family.name === metricNames.startTime)?.metrics[0]?.value
  return seconds === undefined ? undefined : seconds * 1000
}
