/** The mesh DNS of one proxy: names of services get their virtual addresses, all else is asked of the machine's own servers and kept for as long as it holds. */

import type { View } from '#model/view'
import { type Answer, dnsTypes, encodeAnswer, handOn, parseQuery, type Query, type Question, readKept } from '#wire/dns'
import { type Cached, DnsCache } from './dns/cache.ts'
import type { OutsideNames } from './dns/outside.ts'
import { meshAnswer } from './dns/zone.ts'

export { OutsideNames } from './dns/outside.ts'

export type DnsOptions = {
  readonly view: () => View
  /** Resolves when the first view is there; its rejection is as an empty mesh. */
  readonly ready: () => Promise<void>
  /** The machine's servers; undefined when none answers. */
  readonly ask: (question: Question, wantsDnssec: boolean) => Promise<Uint8Array | undefined>
  /** Hears which addresses names outside the mesh have, and may give them virtual ones. */
  readonly outside?: OutsideNames
  /** Milliseconds that only ever grow. */
  readonly now: () => number
}

/** More records than fit into 64 KiB there are not. */
const tcpBytes = 65_535
/** RFC 1035 §4.2.1 for askers without EDNS; with it, what fits every path (DNS Flag Day 2020). */
const udpBytes = (query: Query): number => Math.min(query.edns?.udpBytes ?? 512, 1232)

export class MeshDns {
  readonly #options: DnsOptions
  readonly #cache: DnsCache

  constructor(options: DnsOptions) {
    this.#options = options
    this.#cache = new DnsCache()
  }

  /** One DNS message in, its answer out; undefined: say nothing. Never rejects. */
  async answer(message: Uint8Array, from: 'udp' | 'tcp'): Promise<Uint8Array | undefined> {
    const incoming = parseQuery(message)
    if (incoming.type === 'drop') return undefined
    if (incoming.type === 'refuse') return incoming.reply
    const { query } = incoming
    const maxBytes = from === 'tcp' ? tcpBytes : udpBytes(query)
    const reply = (answer: Answer) => encodeAnswer(query, answer, maxBytes)
    try {
      await this.#options.ready().catch(() => {})
      const ours = meshAnswer(this.#options.view(), query.question) ?? this.#options.outside?.answer(query.question)
      if (ours !== undefined) return reply(ours)
      return (await this.#askOutside(query, maxBytes)) ?? reply({ code: 'server-failure' })
    } catch {
      return reply({ code: 'server-failure' })
    }
  }

  async #askOutside(query: Query, maxBytes: number): Promise<Uint8Array | undefined> {
    const { outside, now } = this.#options
    const { question } = query
    const wantsDnssec = query.edns?.wantsDnssec ?? false
    const cached = await this.#find(question, wantsDnssec)
    if (cached === undefined) return undefined
    // A name that is asked for the first time may be given a virtual address here, once it is known to exist.
    const virtual = outside?.heard(question, cached.kept.bytes) ?? (await this.#virtualOfSix(question, cached.kept.code))
    if (virtual !== undefined) return encodeAnswer(query, virtual, maxBytes)
    const ageSeconds = Math.floor(Math.max(0, now() - cached.at) / 1000)
    return handOn(cached.kept, query, ageSeconds, maxBytes)
  }

  #find(question: Question, wantsDnssec: boolean): Promise<Cached | undefined> {
    const { ask, now } = this.#options
    return this.#cache.find(question, wantsDnssec, now(), async () => {
      const reply = await ask(question, wantsDnssec)
      return reply && readKept(reply)
    })
  }

  /** A host that has IPv6 addresses only is reached by an IPv4 one all the same, for virtual addresses are IPv4. */
  async #virtualOfSix(question: Question, code: number): Promise<Answer | undefined> {
    const { outside } = this.#options
    if (outside === undefined || !outside.hasVirtual(question.name.toLowerCase()) || question.type !== dnsTypes.A || code !== 0)
      return undefined
    const six = { ...question, type: dnsTypes.AAAA }
    const cached = await this.#find(six, false)
    if (cached !== undefined) outside.heard(six, cached.kept.bytes)
    return outside.answer(question)
  }

  /** For metrics: how often outside answers were found here. */
  get counts(): { readonly hits: number; readonly misses: number; readonly entries: number } {
    return this.#cache.counts
  }
}
