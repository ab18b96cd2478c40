/** Counts the connections of callers by whether they proved who they are: what tells whether plaintext can be refused. */

import type { Socket } from '#io/net'
import { arrivalLabels, metricNames } from '#model/metrics'
import type { Ends } from '#wire/proxy-protocol'
import { endsOf } from './proxy-header.ts'
import type { Registry } from '../registry.ts'

/** Addresses that are told apart: one that made them up must not fill the memory. */
const mostSources = 100

export class Arrivals {
  readonly #all: ReturnType<Registry['family']>
  readonly #open: ReturnType<Registry['family']>
  readonly #sources = new Set<string>()

  constructor(registry: Registry) {
    this.#all = registry.family(
      metricNames.arrivals,
      'counter',
      'Connections of callers, by whether they proved who they are',
      arrivalLabels,
    )
    this.#open = registry.family(metricNames.arrived, 'gauge', 'Those that are open now', arrivalLabels)
    // Tells that it is counted, before there is anything to count.
    this.#all.sample(['', 'mutual', ''])
  }

  /** ends: who called, where a balancer in front says so. */
  opened(socket: Socket, listener: string, tls: 'mutual' | 'plaintext', ends: () => Ends | undefined): void {
    const labels = [listener, tls, tls === 'mutual' ? '' : this.#bounded(ends()?.source.host)]
    this.#all.sample(labels).value++
    const open = this.#open.sample(labels)
    open.value++
    socket.once('close', () => open.value--)
  }

  /** Plaintext where mutual TLS is demanded. */
  refused(socket: Socket, listener: string): void {
    this.#all.sample([listener, 'refused', this.#bounded(endsOf(socket)?.source.host)]).value++
  }

  #bounded(address = 'unknown'): string {
    if (this.#sources.has(address)) return address
    if (this.#sources.size >= mostSources) return 'other'
    this.#sources.add(address)
    return address
  }
}
