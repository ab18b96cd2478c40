/** Counts callers that were refused before they could say a word, by what was wrong with what they showed. */

import { handshakeLabels, metricNames } from '#model/metrics'
import type { Family, Registry } from './registry.ts'

export class Handshakes {
  readonly #refused: Family

  constructor(registry: Registry) {
    this.#refused = registry.family(metricNames.handshakes, 'counter', 'Callers of mutual TLS that were refused, by why', handshakeLabels)
  }

  refused(listener: string, reason: string): void {
    this.#refused.sample([listener, reason]).value++
  }
}
