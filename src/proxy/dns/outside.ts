/**
 * Hosts outside the mesh by name: which names the workload was told for an address, and, where wanted, a virtual address for each name, so that two databases
 * on one port and one address are still told apart.
 */

import { type Answer, dnsTypes, parseReply, type Question } from '#wire/dns'

/** Beside the virtual addresses of services, 240.77.0.0/16: reserved too, so no real destination is hidden (RFC 1112 §4). */
const block = '240.78.'
const blockSize = 65_534

/** What a workload keeps in mind of names is not more; the one that was not asked for longest goes first. */
const mostNames = 4096
const ttlSeconds = 30

export type OutsideOptions = {
  /** virtual: every name outside gets an address of its own. Else its real ones are given, and only remembered. */
  readonly virtual: boolean
  /** Names that get one in any case, for something is said of them that must not be said of others; absent: none. */
  readonly isTold?: (name: string) => boolean
}

export class OutsideNames {
  readonly isVirtual: boolean
  readonly #isTold: (name: string) => boolean
  readonly #byName = new Map<string, string>()
  readonly #byVirtual = new Map<string, string>()
  /** By real address: the names that led there. */
  readonly #heard = new Map<string, Set<string>>()
  #next = 1

  constructor({ virtual, isTold = () => false }: OutsideOptions) {
    this.isVirtual = virtual
    this.#isTold = isTold
  }

  /** The name that a connection to this address means; undefined when none is known, or several are. */
  nameOf(address: string): string | undefined {
    const virtual = this.#byVirtual.get(address)
    if (virtual !== undefined) return virtual
    const names = this.#heard.get(address)
    return names?.size === 1 ? names.values().next().value : undefined
  }

  /** Where a connection to a virtual address really goes: a name to look up. undefined: it is no such address. */
  hostOf(address: string): string | undefined {
    return this.#byVirtual.get(address)
  }

  /** Whether a name, in lower case, is given an address of its own. Reverse names are, where any may be. */
  hasVirtual(name: string): boolean {
    return this.isVirtual || name.endsWith('.78.240.in-addr.arpa') || this.#isTold(name)
  }

  /** For names that have a virtual address already, and for the names of such addresses. */
  answer({ name, type, class: kind }: Question): Answer | undefined {
    const lower = name.toLowerCase()
    if (!this.hasVirtual(lower) || kind !== 1) return undefined
    if (type === dnsTypes.PTR) return this.#pointer(lower)
    const address = this.#byName.get(lower)
    if (address === undefined || (type !== dnsTypes.A && type !== dnsTypes.AAAA)) return undefined
    this.#byName.delete(lower)
    this.#byName.set(lower, address) // asked for last
    return type === dnsTypes.A ? { code: 'ok', addresses: [address], ttlSeconds } : { code: 'ok' }
  }

  #pointer(name: string): Answer | undefined {
    const parts = /^(\d+)\.(\d+)\.78\.240\.in-addr\.arpa$/.exec(name)
    if (parts === null) return undefined
    const found = this.#byVirtual.get(`${block}${parts[2]}.${parts[1]}`)
    return found === undefined ? { code: 'no-such-name' } : { code: 'ok', names: [found], ttlSeconds }
  }

  /** The machine's servers answered. What to say instead, where the name gets a virtual address. */
  heard(question: Question, reply: Uint8Array): Answer | undefined {
    if (question.class !== 1 || (question.type !== dnsTypes.A && question.type !== dnsTypes.AAAA)) return undefined
    const read = parseReply(reply)
    const addresses = (read?.answers ?? []).flatMap(record => record.address ?? [])
    if (addresses.length === 0) return undefined
    const name = question.name.toLowerCase()
    for (const address of addresses) this.#remember(address, name)
    if (!this.hasVirtual(name)) return undefined
    const address = this.#byName.get(name) ?? this.#allot(name)
    return question.type === dnsTypes.A ? { code: 'ok', addresses: [address], ttlSeconds } : { code: 'ok' }
  }

  #remember(address: string, name: string): void {
    const names = this.#heard.get(address)
    if (names !== undefined) {
      // With more than a few it is a shared front; that there are two is all that matters.
      if (names.size < 2) names.add(name)
      return
    }
    this.#heard.set(address, new Set([name]))
    if (this.#heard.size > mostNames) this.#heard.delete(this.#heard.keys().next().value!)
  }

  #allot(name: string): string {
    if (this.#byName.size >= mostNames) {
      const [oldest, freed] = this.#byName.entries().next().value!
      this.#byName.delete(oldest)
      this.#byVirtual.delete(freed)
    }
    let address: string
    do {
      address = `${block}${this.#next >> 8}.${this.#next & 255}`
      this.#next = (this.#next % blockSize) + 1
    } while (this.#byVirtual.has(address))
    this.#byName.set(name, address)
    this.#byVirtual.set(address, name)
    return address
  }
}
