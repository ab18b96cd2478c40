/** The mesh DNS of one workload: names of services get their virtual addresses, all else is asked of the host's own resolvers. */

import type { View } from '#model/view'
import { type Answer, dnsTypes, encodeAnswer, parseQuery } from '#wire/dns'

/** Names that only the mesh may know: what it does not know there does not exist. */
const ownZones = ['.cluster.local', '.mesh']
/** Addresses of services do not change; the answer is short-lived all the same, so that a service that goes is forgotten. */
const ttlSeconds = 10

export type MeshDns = {
  readonly view: () => View
  readonly ready: () => Promise<void> /** The host's resolvers; undefined when none answers. */
  readonly forward: (query: Uint8Array) => Promise<Uint8Array | undefined>
}

/** One DNS message in, its answer out; undefined: say nothing. */
export async function answerDns(
  message: Uint8Array,
  { view, ready, forward }: MeshDns,
  from: 'udp' | 'tcp',
): Promise<Uint8Array | undefined> {
  const incoming = parseQuery(message)
  if (incoming.type === 'drop') return undefined
  if (incoming.type === 'refuse') return incoming.reply
  const { query } = incoming
  const maxBytes = from === 'tcp' ? 65_535 : undefined
  const reply = (answer: Answer) => encodeAnswer(query, answer, maxBytes)
  await ready().catch(() => {})
  const name = query.question.name.toLowerCase()
  const addresses = addressesOf(view(), name)
  if (addresses !== undefined)
    return reply(
      query.question.type === dnsTypes.A
        ? { code: 'ok', addresses, ttlSeconds, isAuthoritative: true }
        : { code: 'ok', isAuthoritative: true },
    )
  if (ownZones.some(zone => name.endsWith(zone))) return reply({ code: 'no-such-name', isAuthoritative: true })
  return (await forward(message)) ?? reply({ code: 'server-failure' })
}

const indexes = new WeakMap<View['dns'], Map<string, readonly string[]>>()

function addressesOf({ dns }: View, name: string): readonly string[] | undefined {
  let index = indexes.get(dns)
  if (index === undefined) indexes.set(dns, (index = new Map(dns.map(entry => [entry.name, entry.addresses]))))
  return index.get(name)
}
