/** The addresses of a name, for connections that this process makes itself. */

import { lookup } from 'node:dns/promises'
import net from 'node:net'
import { dnsTypes, parseReply } from '#wire/dns'
import type { AskOutside } from './ask.ts'

/** IPv4 first; empty: there is no such name, or nobody answers. Never rejects. */
export type Lookup = (name: string) => Promise<readonly string[]>

/** As the programs of the machine do it: its hosts file counts too. */
export const machineLookup: Lookup = async name => {
  try {
    return (await lookup(name, { all: true, order: 'ipv4first' })).map(({ address }) => address)
  } catch {
    return []
  }
}

/** By asking servers, each time anew. */
export const lookupBy =
  (ask: AskOutside): Lookup =>
  async name => {
    if (net.isIP(name) !== 0) return [name]
    for (const type of [dnsTypes.A, dnsTypes.AAAA]) {
      const reply = await ask({ name, type, class: 1 })
      const found = (reply === undefined ? [] : (parseReply(reply)?.answers ?? [])).flatMap(({ address }) => address ?? [])
      if (found.length > 0) return found
    }
    return []
  }
