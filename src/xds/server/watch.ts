/** What one stream watches of one type: names, or all (`*`). */

import type { Resources } from '../encode.ts'
import type { DeltaRequest } from '../messages.ts'
import { type EncodedResource, typeUrls } from '../types.ts'

const nothing: Readonly<Record<string, string>> = {}

export class Watch {
  readonly names = new Set<string>()
  isWildcard = false
  /** Nothing has been replied yet. */
  isFirstReply = true
  /** Of the newest reply. */
  lastNonce = ''
  #begun = false
  #wildcardAsked = false
  /** What the client said it still has, until the first reply has taken it into account. */
  #initial = nothing

  has(name: string): boolean {
    return this.isWildcard || this.names.has(name)
  }

  /** Returns the names that were asked for now; also those that were asked for before must be sent again. */
  change({ typeUrl, subscribe, unsubscribe, initialVersions }: DeltaRequest): readonly string[] {
    if (!this.#begun) {
      this.#initial = initialVersions
      // Without any name the first request about listeners or clusters means all: the older way of saying `*`.
      if (subscribe.length === 0 && isWholesale(typeUrl)) this.isWildcard = true
    }
    this.#begun = true
    const fresh: string[] = []
    for (const name of subscribe) {
      if (name === '*') {
        this.isWildcard = true
        this.#wildcardAsked = true
      } else {
        this.names.add(name)
        fresh.push(name)
      }
    }
    for (const name of unsubscribe) {
      if (name === '*') this.isWildcard = false
      else this.names.delete(name)
    }
    return fresh
  }

  /** State of the world: all names that are wanted. Returns the new ones. */
  replace(typeUrl: string, names: readonly string[]): readonly string[] {
    const isWildcard = names.includes('*') || (names.length === 0 && isWholesale(typeUrl) && (!this.#begun || this.isWildcard))
    this.#begun = true
    this.isWildcard = isWildcard
    const wanted = names.filter(name => name !== '*')
    const fresh = wanted.filter(name => !this.names.has(name))
    this.names.clear()
    for (const name of wanted) this.names.add(name)
    return fresh
  }

  takeWildcardAsked(): boolean {
    const asked = this.#wildcardAsked
    this.#wildcardAsked = false
    return asked
  }

  alreadyHas({ name, version }: EncodedResource): boolean {
    return this.#initial[name] === version
  }

  /** What the client still has and is no more. */
  unknownTo(all: Resources): string[] {
    return Object.keys(this.#initial).filter(name => !all.has(name))
  }

  replied(): void {
    this.isFirstReply = false
    this.#wildcardAsked = false
    this.#initial = nothing
  }
}

const isWholesale = (typeUrl: string): boolean => typeUrl === typeUrls.listener || typeUrl === typeUrls.cluster
