/** Queries and answers into bytes. */

import { concat, noBytes } from '#base/bytes'
import { type Answer, type DnsCode, dnsCodes, dnsTypes, type Edns, type Query, type Soa } from './message.ts'
import { addressBytes } from './address.ts'
import { nameBytes } from './name.ts'

const isResponse = 0x8000
const isAuthoritative = 0x0400
const isTruncated = 0x0200
const recursionDesired = 0x0100
const recursionAvailable = 0x0080

/** The name of the question, which every message of ours has right behind its header (RFC 1035 §4.1.4). */
const pointerToQuestion = Uint8Array.of(0xc0, 12)

/** What we say we can take over UDP: fits every path without fragments (DNS Flag Day 2020). */
const ourUdpBytes = 1_232

/** edns left out: none is sent and the reply may have 512 bytes. Throws an Error for a name that is none. */
export function encodeQuery(query: Query): Uint8Array {
  const { id, question, edns } = query
  const flags = query.isRecursionDesired ? recursionDesired : 0
  return concat([header(id, flags, [1, 0, 0, edns ? 1 : 0]), questionBytes(question), edns ? option(edns, 0) : noBytes])
}

/**
 * The answer to `query`: its id, question, RD and EDNS come back. maxBytes: 65535 over TCP; over UDP leave it out, and it is what the asker said it can take.
 * An answer that does not fit is sent without records and marked as truncated, so that the asker comes back over TCP (RFC 2181 §9).
 */
export function encodeAnswer(query: Query, answer: Answer, maxBytes = Math.min(query.edns?.udpBytes ?? 512, ourUdpBytes)): Uint8Array {
  const ttlSeconds = answer.ttlSeconds ?? 0
  const records = [
    ...(answer.addresses ?? []).map(address => addressRecord(query, address, ttlSeconds)),
    ...(answer.services ?? []).map(({ port, target }) =>
      record(pointerToQuestion, dnsTypes.SRV, 1, ttlSeconds, concat([shorts(0, 100, port), nameBytes(target)])),
    ),
    ...(answer.names ?? []).map(name => record(pointerToQuestion, dnsTypes.PTR, 1, ttlSeconds, nameBytes(name))),
  ]
  const soa = answer.soa && records.length === 0 ? [soaRecord(answer.soa)] : []
  const whole = message(query, answer, records, soa, 0)
  return whole.length <= maxBytes ? whole : message(query, answer, [], [], isTruncated)
}

function message(
  { id, isRecursionDesired, question, edns }: Query,
  answer: Answer,
  records: readonly Uint8Array[],
  soa: readonly Uint8Array[],
  truncated: number,
): Uint8Array {
  const code = dnsCodes[answer.code]
  const flags =
    isResponse |
    recursionAvailable |
    truncated |
    (isRecursionDesired ? recursionDesired : 0) |
    (answer.isAuthoritative ? isAuthoritative : 0) |
    (code & 0xf)
  const counts = [1, records.length, soa.length, edns ? 1 : 0] as const
  return concat([
    header(id, flags, counts),
    questionBytes(question),
    ...records,
    ...soa,
    edns ? option({ ...edns, udpBytes: ourUdpBytes }, code) : noBytes,
  ])
}

/** The answer to what could not be read as a query: only its header comes back. */
export function encodeRefusal(id: number, queryFlags: number, code: DnsCode): Uint8Array {
  const number = dnsCodes[code]
  const flags = isResponse | (queryFlags & (0x7800 | recursionDesired)) | (number & 0xf)
  return concat([
    header(id, flags, [0, 0, 0, number > 15 ? 1 : 0]),
    number > 15 ? option({ udpBytes: ourUdpBytes, wantsDnssec: false }, number) : noBytes,
  ])
}

function header(id: number, flags: number, counts: readonly [number, number, number, number]): Uint8Array {
  return shorts(id, flags, ...counts)
}

const shorts = (...numbers: readonly number[]): Uint8Array =>
  Uint8Array.from(numbers.flatMap(number => [(number >> 8) & 0xff, number & 0xff]))
const long = (number: number): Uint8Array => shorts(number >>> 16, number & 0xffff)

const questionBytes = ({ name, type, class: kind }: Query['question']): Uint8Array => concat([nameBytes(name), shorts(type, kind)])

function addressRecord({ question }: Query, address: string, ttlSeconds: number): Uint8Array {
  const bytes = addressBytes(address)
  if (bytes === undefined || question.type !== (bytes.length === 4 ? dnsTypes.A : dnsTypes.AAAA))
    throw new Error(`DNS: ${address} does not answer a question of type ${question.type}`)
  return record(pointerToQuestion, question.type, 1, ttlSeconds, bytes)
}

function soaRecord({ zone, primary, mailbox, serial, ttlSeconds, minimumSeconds }: Soa): Uint8Array {
  const times = [serial, 3_600, 600, 86_400, minimumSeconds].map(long) // refresh, retry and expire are for secondaries, of which there are none
  return record(nameBytes(zone), dnsTypes.SOA, 1, ttlSeconds, concat([nameBytes(primary), nameBytes(mailbox), ...times]))
}

/** RFC 6891 §6.1.2: the upper bits of the code and the DNSSEC bit stand where a TTL would. */
const option = ({ udpBytes, wantsDnssec }: Edns, code: number): Uint8Array =>
  record(Uint8Array.of(0), dnsTypes.OPT, udpBytes, ((code >> 4) << 24) | (wantsDnssec ? 0x8000 : 0), noBytes)

const record = (name: Uint8Array, type: number, kind: number, ttlSeconds: number, content: Uint8Array): Uint8Array =>
  concat([name, shorts(type, kind), long(ttlSeconds), shorts(content.length), content])
