/** Fuzz target of the DNS codec: what is read can be written and is read the same, and nothing throws. */

import assert from 'node:assert/strict'
import { type Answer, dnsTypes, encodeAnswer, encodeQuery, parseQuery, parseReply, type Query } from '../src/wire/dns.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import { run } from './run.ts'

const pieces = ['\0', '\xc0\x0c', '\xc0\0', '\xff\xff', '\x3f', '\x40', '\0\x29', '\0\0\x29\x02\0\0\0\0\0\0\0', '\0\x01\0\x01'].map(text =>
  Buffer.from(text, 'latin1'),
)
const names = ['', 'a', 'Catalog.Shop.weft', 'a\\046b.c', 'x'.repeat(63), `${'ab.'.repeat(80)}c`]

/**
 * 1. A broken query is dropped, refused with a reply that can be read, or understood; what is understood is written and read again as the same.
 * 2. A broken reply is read or not, and never throws.
 */
export function check(seed: number): void {
  const random = new Random(seed)
  const edns = random.chance(0.5) ? { udpBytes: 512 + random.below(4_000), wantsDnssec: random.chance(0.5) } : undefined
  const type = random.pick([dnsTypes.A, dnsTypes.AAAA, dnsTypes.SRV, 65_280])
  const query: Query = {
    id: random.below(65_536),
    isRecursionDesired: random.chance(0.5),
    question: { name: random.pick(names), type, class: 1 },
    edns,
  }
  const incoming = parseQuery(mutate(random, encodeQuery(query), pieces))
  if (incoming.type === 'refuse') assert.equal(parseReply(incoming.reply)?.code, incoming.code)
  if (incoming.type === 'query') assert.deepEqual(parseQuery(encodeQuery(incoming.query)), incoming)

  const addresses = Array.from({ length: random.below(40) }, () =>
    type === dnsTypes.A ? `10.0.0.${random.below(256)}` : `fd00::${random.below(65_536).toString(16)}`,
  )
  const answer: Answer = {
    code: 'ok',
    addresses: type === dnsTypes.A || type === dnsTypes.AAAA ? addresses : [],
    ttlSeconds: random.below(100_000),
  }
  const bytes = encodeAnswer(query, answer, 65_535)
  assert.equal(parseReply(bytes)?.answers.length, answer.addresses!.length)
  parseReply(mutate(random, bytes, pieces))
}

if (import.meta.main) run('dns', check)
