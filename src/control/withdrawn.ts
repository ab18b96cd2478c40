/** Who is revoked, as the control plane itself goes by it: who gets no certificate, no token and no configuration, and what stands on the revocation list. */

import type { CrlEntry, CrlReason } from '#identity/crl'
import { isRevoked, tellRevoked } from '#model/revoked'
import type { Revoked } from '#model/trust'
import type { IssuedBook, IssuedTo } from './authority/issued.ts'

/** Whoever asks is revoked; the message is one sentence. */
export class RevokedError extends Error {}

export class Withdrawn {
  readonly #book: IssuedBook
  readonly #told = new Set<() => void>()
  #revoked: readonly Revoked[] = []
  #entries: readonly CrlEntry[] = []

  constructor(book: IssuedBook) {
    this.#book = book
  }

  /** For the list: ordered by serial. Empty: nothing that this authority signed, or was told of by serial, is revoked. */
  get entries(): readonly CrlEntry[] {
    return this.#entries
  }

  /** Called when somebody was revoked, or is not any more. */
  onChange(told: () => void): void {
    this.#told.add(told)
  }

  /** What holds from now on, as the compiler made it of the Revocations. */
  set(revoked: readonly Revoked[]): void {
    if (revoked === this.#revoked) return
    this.#revoked = revoked
    this.#entries = this.#list()
    for (const told of this.#told) told()
  }

  issued(one: IssuedTo): void {
    this.#book.add(one)
  }

  /** The fingerprint of the root to which it leads; undefined: not known. */
  rootOf(serial: string): string | undefined {
    return this.#book.rootOf(serial)
  }

  /** What revokes it; undefined: nothing does. serial: as below. */
  find(identity: string, serial?: string): Revoked | undefined {
    return isRevoked(this.#revoked, identity, serial)
  }

  /** A sentence; undefined: it is not revoked. serial: of the certificate by which it is known, lower-case hex. */
  why(identity: string, serial?: string): string | undefined {
    const found = this.find(identity, serial)
    if (found === undefined) return undefined
    return 'serial' in found
      ? `the certificate ${found.serial} of ${identity} ${tellRevoked(found)}: get another by a new join token`
      : `${identity} ${tellRevoked(found)}; weft cert revocations lists what is, --undo takes it back`
  }

  /** Throws RevokedError. */
  admit(identity: string, serial?: string): void {
    const why = this.why(identity, serial)
    if (why !== undefined) throw new RevokedError(why)
  }

  #list(): readonly CrlEntry[] {
    const reasons = new Map<string, string>()
    for (const each of this.#revoked) if ('serial' in each) reasons.set(each.serial, each.reason)
    if (this.#revoked.some(each => 'identity' in each))
      for (const { serial, identity } of this.#book.all()) {
        const found = isRevoked(this.#revoked, identity)
        if (found !== undefined && !reasons.has(serial)) reasons.set(serial, found.reason)
      }
    const since = this.#book.since(reasons.keys())
    return [...reasons]
      .map(([serial, reason]) => ({ serial, at: since.get(serial)!, reason: reason as CrlReason }))
      .sort((one, other) => (one.serial < other.serial ? -1 : 1))
  }
}
