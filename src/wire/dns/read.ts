/** Queries and replies out of bytes that anybody may have sent. */

import { type DnsCode, dnsCodes, type DnsRecord, dnsTypes, type Edns, type Incoming, type Question, type Reply } from './message.ts'
import { addressText } from './address.ts'
import { readName } from './name.ts'
import { encodeRefusal } from './write.ts'

const headerBytes = 12

/** Sections of a message are short; more records than this are not looked at by anybody. */
const maxRecords = 512

type Header = { readonly id: number; readonly flags: number; readonly counts: readonly [number, number, number, number] }

/** A message of one UDP datagram or of one TCP frame. Never throws. */
export function parseQuery(bytes: Uint8Array): Incoming {
  const header = readHeader(bytes)
  if (header === undefined || header.flags & 0x8000) return { type: 'drop' }
  const { id, flags, counts } = header
  const refuse = (code: DnsCode): Incoming => ({ type: 'refuse', code, reply: encodeRefusal(id, flags, code) })
  if ((flags >> 11) & 0xf) return refuse('not-implemented') // RFC 1035 §4.1.1: only the standard query
  if (counts[0] !== 1 || flags & 0x0200) return refuse('format-error') // RFC 9619: exactly one question
  const read = readQuestion(bytes, headerBytes)
  if (read === undefined) return refuse('format-error')
  const records = readRecords(bytes, read.next, counts[1] + counts[2] + counts[3])
  if (records === undefined) return refuse('format-error')
  const options = records.list.filter(record => record.type === dnsTypes.OPT)
  if (options.length > 1) return refuse('format-error') // RFC 6891 §6.1.1
  const option = options[0]
  if (option !== undefined && ((option.ttlSeconds >>> 16) & 0xff) !== 0) return refuse('bad-version') // RFC 6891 §6.1.3
  return {
    type: 'query',
    query: { id, isRecursionDesired: (flags & 0x0100) !== 0, question: read.question, edns: option && ednsOf(option) },
  }
}

/** undefined: not a reply that can be read. The caller compares id and question with what it asked. Never throws. */
export function parseReply(bytes: Uint8Array): Reply | undefined {
  const header = readHeader(bytes)
  if (header === undefined || !(header.flags & 0x8000) || header.counts[0] > 1) return undefined
  const { id, flags, counts } = header
  const read = counts[0] === 1 ? readQuestion(bytes, headerBytes) : { question: undefined, next: headerBytes }
  const answers = read && readRecords(bytes, read.next, counts[1])
  const authority = answers && readRecords(bytes, answers.next, counts[2])
  const additional = authority && readRecords(bytes, authority.next, counts[3])
  if (!read || !answers || !authority || !additional) return undefined
  const option = additional.list.find(record => record.type === dnsTypes.OPT)
  const code = (flags & 0xf) | (option === undefined ? 0 : (option.ttlSeconds >>> 24) << 4)
  return {
    id,
    code: codeName(code),
    isTruncated: (flags & 0x0200) !== 0,
    isAuthoritative: (flags & 0x0400) !== 0,
    question: read.question,
    answers: answers.list,
    authority: authority.list,
  }
}

const short = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!

function readHeader(bytes: Uint8Array): Header | undefined {
  if (bytes.length < headerBytes) return undefined
  return { id: short(bytes, 0), flags: short(bytes, 2), counts: [short(bytes, 4), short(bytes, 6), short(bytes, 8), short(bytes, 10)] }
}

function readQuestion(bytes: Uint8Array, from: number): { question: Question; next: number } | undefined {
  const read = readName(bytes, from)
  if (read === undefined || read.next + 4 > bytes.length) return undefined
  return { question: { name: read.name, type: short(bytes, read.next), class: short(bytes, read.next + 2) }, next: read.next + 4 }
}

function readRecords(bytes: Uint8Array, from: number, count: number): { list: DnsRecord[]; next: number } | undefined {
  if (count > maxRecords) return undefined
  const list: DnsRecord[] = []
  let at = from
  for (let index = 0; index < count; index++) {
    const read = readName(bytes, at)
    if (read === undefined || read.next + 10 > bytes.length) return undefined
    const { name, next } = read
    const length = short(bytes, next + 8)
    if (next + 10 + length > bytes.length) return undefined
    const type = short(bytes, next)
    const ttlSeconds = ((short(bytes, next + 4) << 16) | short(bytes, next + 6)) >>> 0
    const content = readContent(bytes, type, next + 10, length)
    if (content === undefined) return undefined
    list.push({ name, type, class: short(bytes, next + 2), ttlSeconds, data: bytes.slice(next + 10, next + 10 + length), ...content })
    at = next + 10 + length
  }
  return { list, next: at }
}

function readContent(bytes: Uint8Array, type: number, from: number, length: number): { address?: string; target?: string } | undefined {
  if (type === dnsTypes.A || type === dnsTypes.AAAA) {
    const address = addressText(bytes.subarray(from, from + length))
    return address === undefined || (type === dnsTypes.A) !== (length === 4) ? undefined : { address }
  }
  if (type !== dnsTypes.CNAME && type !== dnsTypes.NS && type !== dnsTypes.PTR) return {}
  const target = readName(bytes, from)
  return target === undefined || target.next !== from + length ? undefined : { target: target.name }
}

/** RFC 6891 §6.2.5: less than 512 means 512. */
const ednsOf = (option: DnsRecord): Edns => ({ udpBytes: Math.max(512, option.class), wantsDnssec: (option.ttlSeconds & 0x8000) !== 0 })

function codeName(code: number): DnsCode | number {
  for (const [name, number] of Object.entries(dnsCodes)) if (number === code) return name as DnsCode
  return code
}
