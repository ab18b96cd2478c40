/** A reply of another server, handed on to whoever asked: with their id and spelling, within what they can take, its times to live shortened by its age. */

import { concat } from '#base/bytes'
import { encodeRefusal } from './write.ts'
import { dnsTypes, type Query } from './message.ts'
import { readName } from './name.ts'

/** lifetimeSeconds: how long it may be given to others; 0: to nobody else. */
export type Kept = {
  readonly bytes: Uint8Array
  readonly code: number
  readonly lifetimeSeconds: number
  /** Where the times to live stand in `bytes`. */
  readonly lifetimesAt: readonly number[]
  /** Where the question ends, and where the OPT record stands when it is the last one. */
  readonly questionEnd: number
  readonly optionAt: number | undefined
}

/** Nothing is kept longer, whatever it says: RFC 8767 §4 for what there is, RFC 2308 §5 for what there is not. */
const longestSeconds = 3600
const longestAbsenceSeconds = 900

const short = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!
const long = (bytes: Uint8Array, at: number): number => ((short(bytes, at) << 16) | short(bytes, at + 2)) >>> 0

/** undefined: not a reply with one question that can be read to its end. Never throws. */
export function readKept(bytes: Uint8Array): Kept | undefined {
  if (bytes.length < 12 || (bytes[2]! & 0x80) === 0 || short(bytes, 4) !== 1) return undefined
  const question = readName(bytes, 12)
  if (question === undefined || question.next + 4 > bytes.length) return undefined
  const [answers, authority, additional] = [short(bytes, 6), short(bytes, 8), short(bytes, 10)]
  const code = bytes[3]! & 0xf
  const questionEnd = question.next + 4
  const lifetimesAt: number[] = []
  let lifetimeSeconds = longestSeconds
  let absenceSeconds = 0
  let optionAt: number | undefined
  let at = questionEnd
  for (let index = 0; index < answers + authority + additional; index++) {
    const owner = readName(bytes, at)
    if (owner === undefined || owner.next + 10 > bytes.length) return undefined
    const fields = owner.next
    const end = fields + 10 + short(bytes, fields + 8)
    if (end > bytes.length) return undefined
    const type = short(bytes, fields)
    if (type === dnsTypes.OPT) optionAt = index === answers + authority + additional - 1 ? at : undefined
    else {
      lifetimesAt.push(fields + 4)
      // RFC 2181 §8: with the highest bit set it counts as zero.
      const seconds = long(bytes, fields + 4) > 0x7fff_ffff ? 0 : long(bytes, fields + 4)
      lifetimeSeconds = Math.min(lifetimeSeconds, seconds)
      // RFC 2308 §5: a name that is not, or has nothing of that type, is remembered as long as the zone's SOA says. MINIMUM is its last number.
      if (type === dnsTypes.SOA && index >= answers && end - fields - 10 >= 22)
        absenceSeconds = Math.min(seconds, long(bytes, end - 4), longestAbsenceSeconds)
    }
    at = end
  }
  const isTruncated = (bytes[2]! & 0x02) !== 0
  const isAbsent = code === 3 || (code === 0 && answers === 0)
  const lifetime = isTruncated || (code !== 0 && code !== 3) ? 0 : isAbsent ? absenceSeconds : lifetimeSeconds
  // A copy of its own: what is handed on is cut from it, and a Buffer's slice would be the same memory.
  return { bytes: Uint8Array.from(bytes), code, lifetimeSeconds: lifetime, lifetimesAt, questionEnd, optionAt }
}

/**
 * The reply as an answer to `query`, which must ask the same question in any spelling. ageSeconds: since it was read.
 * maxBytes: what the asker can take; what is longer goes without records and marked as truncated, so that the asker comes back over TCP (RFC 2181 §9).
 */
export function handOn(kept: Kept, query: Query, ageSeconds: number, maxBytes: number): Uint8Array {
  const asked = kept.bytes.slice(12, kept.questionEnd)
  spell(asked, query.question.name)
  const dropsOption = query.edns === undefined && kept.optionAt !== undefined
  const bytes = kept.bytes.slice(0, dropsOption ? kept.optionAt : undefined)
  bytes.set(asked, 12)
  bytes[0] = query.id >> 8
  bytes[1] = query.id & 0xff
  bytes[2] = (bytes[2]! & ~0x05) | (query.isRecursionDesired ? 1 : 0) // AA is not ours to claim, RD is the asker's
  bytes[3] = bytes[3]! | 0x80 // RA
  if (dropsOption) {
    const count = short(bytes, 10) - 1
    bytes[10] = count >> 8
    bytes[11] = count & 0xff
  }
  for (const at of kept.lifetimesAt) shorten(bytes, at, ageSeconds)
  if (bytes.length <= maxBytes) return bytes
  const bare = encodeRefusal(query.id, query.isRecursionDesired ? 0x0100 : 0, 'ok')
  bare[2] = bare[2]! | 0x02
  bare[3] = (bare[3]! & 0xf0) | 0x80 | kept.code
  bare[5] = 1
  return concat([bare, asked])
}

/** Letters of the name as the asker has them: some check that the case they chose comes back (draft-vixie-dnsext-dns0x20). */
function spell(asked: Uint8Array, name: string): void {
  let at = 1
  for (const [, escaped, char] of name.matchAll(/\\([0-9]{3})|([^\\])/g)) {
    if (at >= asked.length) return
    if (char !== '.') asked[at] = escaped === undefined ? char!.charCodeAt(0) : Number(escaped)
    at++
  }
}

function shorten(bytes: Uint8Array, at: number, ageSeconds: number): void {
  const left = Math.max(0, long(bytes, at) - ageSeconds)
  bytes.set([left >>> 24, (left >>> 16) & 0xff, (left >>> 8) & 0xff, left & 0xff], at)
}
