/** How many requests the workload behind this proxy is given at once, at ports where that is found out. What was found outlives views. */

import { Failure } from '#base/failure'
import { concurrencyLabels, metricNames } from '#model/metrics'
import type { View } from '#model/view'
import type { Exchange } from '../requests/exchange.ts'
import { Gradient } from './gradient.ts'
import type { Registry } from '../registry.ts'

/** isMeasuring: few are let in for a moment, to see how fast an answer can be. roundTripMs: that; 0: not known yet. */
export type ConcurrencyNow = {
  readonly listener: string
  readonly limit: number
  readonly underWay: number
  readonly isMeasuring: boolean
  readonly roundTripMs: number
}

export class Concurrency {
  /** By name of the listener. */
  #gradients: ReadonlyMap<string, Gradient> = new Map()
  #listeners: View['listeners'] | undefined
  /** A request need not ask for more than this where nobody wants it. */
  isInUse = false

  constructor(registry: Registry) {
    const limit = registry.family(
      metricNames.concurrencyLimit,
      'gauge',
      'Requests at once that the workload is given now',
      concurrencyLabels,
    )
    const used = registry.family(metricNames.concurrencyUsed, 'gauge', 'Requests under way at a port with such a limit', concurrencyLabels)
    const least = registry.family(
      metricNames.concurrencyRoundTrip,
      'gauge',
      'How long an answer takes when few are under way, by which the limit is found',
      concurrencyLabels,
    )
    registry.before(() => {
      for (const { listener, limit: now, underWay, roundTripMs } of this.now) {
        limit.sample([listener]).value = now
        used.sample([listener]).value = underWay
        least.sample([listener]).value = roundTripMs / 1000
      }
      for (const { samples } of [limit, used, least])
        for (const sample of samples.values()) if (!this.#gradients.has(sample.labels[0]!)) sample.value = 0
    })
  }

  /** From now on these ports are limited, and others are not. */
  follow({ listeners }: View): void {
    if (listeners === this.#listeners) return
    this.#listeners = listeners
    const before = this.#gradients
    const found = new Map<string, Gradient>()
    for (const { name, direction, concurrency } of Object.values(listeners)) {
      if (concurrency === undefined || direction !== 'inbound') continue
      const known = before.get(name)
      const isSame = known !== undefined && JSON.stringify(known.settings) === JSON.stringify(concurrency)
      found.set(name, isSame ? known : new Gradient(concurrency, performance.now()))
    }
    this.#gradients = found
    this.isInUse = found.size > 0
  }

  /** Throws where as much is under way as there may be. now: performance.now(). */
  admit(exchange: Exchange, now: number): void {
    const { name } = exchange.entry.listener
    const gradient = this.#gradients.get(name)
    if (gradient === undefined) return
    if (!gradient.enter(now)) throw new Failure('concurrency-limit', `${gradient.limit} at once at ${name}`)
    exchange.onOver = () => {
      const isMeasure = exchange.status !== 0 && !exchange.isGone && !exchange.isTunnel
      gradient.left(isMeasure ? now : undefined, performance.now())
    }
  }

  get now(): readonly ConcurrencyNow[] {
    return [...this.#gradients].map(([listener, { limit, underWay, isMeasuring, leastMs }]) => ({
      listener,
      limit,
      underWay,
      isMeasuring,
      roundTripMs: leastMs,
    }))
  }
}
