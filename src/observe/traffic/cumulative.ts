/** Turns what proxies have counted since they started into what happened since the last push. */

import type { MetricFamily } from '#model/metrics'
import { metricNames } from '#model/metrics'

/** How often one thing happened between `from` and `to`. */
export type Increase = { readonly amount: number; readonly from: number; readonly to: number }

type Known = { startedAt: number | undefined; lastAt: number; readonly values: Map<string, number> }

/** A push that tells only what changed says nothing of the time before: its counts are at most this old. */
const sparseMs = 5_000
/** A proxy that began earlier than this and is not known was known once and is forgotten: its counts are not news. */
const newForMs = 600_000

/**
 * Remembers the last value of every counter of every proxy, up to `most` of them; what comes on top is not counted and shows in `dropped`.
 * A push is whole (with the proxy's start time: at the beginning and after a reconnect) or sparse (only what changed). A counter that shrank,
 * or a proxy whose start time changed, began again at zero.
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

  get isHalfFull(): boolean {
    return this.#size > this.most / 2
  }

  /** Begins one push: returns the function that says, for each counter of it, how much it grew. */
  push(proxyId: string, families: readonly MetricFamily[], at: number): (key: string, value: number) => Increase | undefined {
    const startedAt = startOf(families)
    let known = this.#proxies.get(proxyId)
    const isNew = known === undefined
    if (known === undefined) {
      known = { startedAt, lastAt: at, values: new Map() }
      this.#proxies.set(proxyId, known)
    } else if (startedAt !== undefined) {
      if (known.startedAt !== undefined && Math.abs(startedAt - known.startedAt) > 1_000) this.#forget(known)
      known.startedAt = startedAt
    }
    // Of a proxy that ran before this store did, the first values are only where counting begins.
    const fromZero = !isNew || (startedAt !== undefined && startedAt >= this.since && startedAt > at - newForMs)
    const from = isNew
      ? fromZero
        ? (startedAt ?? at)
        : at
      : startedAt === undefined
        ? Math.max(known.lastAt, at - sparseMs)
        : known.lastAt
    known.lastAt = at
    const { values } = known
    return (key, value) => {
      const last = values.get(key)
      if (last === undefined && !this.#admit()) return undefined
      values.set(key, value)
      const amount = last === undefined ? (fromZero ? value : 0) : value < last ? value : value - last
      return { amount, from, to: at }
    }
  }

  /** Forgets the proxies that have pushed nothing since `before`. */
  expire(before: number): void {
    for (const [id, known] of this.#proxies) {
      if (known.lastAt >= before) continue
      this.#forget(known)
      this.#proxies.delete(id)
    }
  }

  #forget(known: Known): void {
    this.#size -= known.values.size
    known.values.clear()
  }

  #admit(): boolean {
    if (this.#size < this.most) {
      this.#size++
      return true
    }
    this.dropped++
    return false
  }
}

function startOf(families: readonly MetricFamily[]): number | undefined {
  const seconds = families.find(family => family.name === metricNames.startTime)?.metrics[0]?.value
  return seconds === undefined ? undefined : seconds * 1000
}
