/**
 * The revocation lists that proxies and others get: signed by the mesh's own authority, anew whenever somebody is revoked and twice a day, or those of whoever
 * else signs, asked for again and again.
 */

import type { Clock } from '#base/clock'
import { type Crl, type CrlEntry, readCrls } from '#identity/crl'
import type { Issuer } from './issuer.ts'

export type ListsPlace = {
  readonly issuer: Issuer
  /** What is revoked. */
  readonly entries: () => readonly CrlEntry[]
  readonly clock: Clock
  /** There are others now. */
  readonly onChange: () => void
}

const hourMs = 3_600_000
const renewMs = 12 * hourMs
/** Timers stand still while a host sleeps, the clock does not: lists that ended meanwhile are signed anew soon after it wakes. */
const lookMs = 2000
/** Longer than any certificate of a workload is good for: who gets no newer list gets no newer certificate either, and does not go down the sooner. */
export const listLifeMs = 72 * hourMs

export class Lists {
  readonly #place: ListsPlace
  #own: readonly string[] | undefined
  #number = 0n
  #renewAt: number
  #cancel: () => void

  constructor(place: ListsPlace) {
    this.#place = place
    this.#renewAt = place.clock.now() + renewMs
    this.#cancel = place.clock.after(lookMs, () => this.#look())
  }

  /** PEM, of all authorities that a chain of this mesh may have, as far as it is known. */
  current(): readonly string[] {
    const { issuer } = this.#place
    if (issuer.signLists === undefined) return issuer.lists?.() ?? []
    return (this.#own ??= this.#sign(issuer.signLists))
  }

  /** Whether they say anything: whether anybody must look at them. */
  get isEmpty(): boolean {
    return this.#place.issuer.signLists === undefined ? this.current().length === 0 : this.#place.entries().length === 0
  }

  /** Whether there is one of each authority of a chain. */
  get areWhole(): boolean {
    return this.#place.issuer.signLists !== undefined
  }

  /** As read. */
  told(): readonly Crl[] {
    return this.current().flatMap(pem => readCrls(pem))
  }

  /** Somebody was revoked, or other authorities sign now. */
  renew(): void {
    this.#own = undefined
  }

  close(): void {
    this.#cancel()
  }

  #look(): void {
    const { clock, onChange } = this.#place
    this.#cancel = clock.after(lookMs, () => this.#look())
    if (clock.now() < this.#renewAt) return
    this.#renewAt = clock.now() + renewMs
    this.renew()
    onChange()
  }

  #sign(signLists: NonNullable<Issuer['signLists']>): readonly string[] {
    const now = this.#place.clock.now()
    // Rises with every list, also over restarts, as RFC 5280 §5.2.3 demands, as long as the clock of the machine does.
    this.#number = this.#number < BigInt(now) ? BigInt(now) : this.#number + 1n
    const thisUpdate = Math.floor(now / 1000) * 1000
    return signLists({ number: this.#number, thisUpdate, nextUpdate: thisUpdate + listLifeMs, entries: this.#place.entries() })
  }
}
