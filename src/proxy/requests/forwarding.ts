/** What a proxy tells the next hop of who called, and what it takes out because it cannot be believed. docs/reference/headers.md is the table of it. */

import { claimHeadersAt, plainName } from '#model/claim-headers'
import type { Fields } from '#wire/http1'
import type { Entry } from '../telemetry/entry.ts'

/** Fields that only proxies of the mesh may set. */
const ownPrefix = 'x-weft-'
const certificateName = 'x-forwarded-client-cert'

/**
 * The fields of a request for its next hop; the same array where nothing changes. Whom a caller claims to speak for is believed from the workload
 * itself and from proven peers; who it is, from nobody: that is written from the identity that was proved (Envoy: SANITIZE_SET).
 */
export function forwarded(fields: Fields, entry: Entry, makeId: () => string = randomId): Fields {
  const { direction, service } = entry.listener
  const isOutside = direction === 'gateway' || (direction === 'inbound' && entry.peer === undefined)
  let kept: string[] | undefined
  let hasId = false
  for (let at = 0; at < fields.length; at += 2) {
    const role = roleOf(fields[at]!)
    const isDropped = role === 'own' || role === 'certificate' || (isOutside && role !== 'other')
    if (isDropped) kept ??= fields.slice(0, at)
    else {
      if (role === 'id') hasId = true
      kept?.push(fields[at]!, fields[at + 1]!)
    }
  }
  const base = kept ?? fields
  const identified = hasId || service === 'external' ? base : [...base, 'x-request-id', makeId()]
  if (direction === 'outbound') return identified
  if (entry.peer !== undefined) return [...identified, certificateName, certificateField(entry.own ?? '', entry.peer)]
  const ends = entry.ends?.()
  return ends === undefined
    ? identified
    : [...identified, 'x-forwarded-for', ends.source.host, 'x-forwarded-proto', entry.isSecure ? 'https' : 'http']
}

/** The trailers of a request without what is told before its body, or by nobody but proxies: some servers merge them into the fields that stand there. told: in lower case. */
export function trailing(fields: Fields, { listener }: Entry, told?: ReadonlyMap<string, unknown>): Fields {
  const names = new Set([...claimHeadersAt(listener), ...[...(told?.keys() ?? [])].map(plainName)])
  return fields.filter((_, at) => {
    const plain = plainName(fields[at & ~1]!)
    return !isAdded(plain) && !names.has(plain)
  })
}

/** Whether a field is one that proxies of the mesh add to requests on their way: the id, the way it came, who called. */
export const isAdded = (name: string): boolean => roleOf(name) !== 'other'

/** The answer of a workload without what only proxies may say: it could make its callers send a request twice. */
export function answered(fields: Fields): Fields {
  for (let at = 0; at < fields.length; at += 2)
    if (roleOf(fields[at]!) === 'own') return fields.filter((_, index) => roleOf(fields[index & ~1]!) !== 'own')
  return fields
}

/** own: of the mesh. certificate: who the caller is. path: which way it came. id: of the request. */
type Role = 'own' | 'certificate' | 'path' | 'id' | 'other'

/**
 * In any spelling that servers of CGI's kind take for the same (`X_Forwarded_For`), but for the id, which nobody is known by: that one only passes for none of
 * ours. Told from two letters for all but a few: this is asked for every field of every request.
 */
function roleOf(name: string): Role {
  const first = name.charCodeAt(0) | 0x20
  if (first === 0x66) return name.length === 9 && name.toLowerCase() === 'forwarded' ? 'path' : 'other'
  if (first !== 0x78) return 'other'
  const third = name.charCodeAt(2) | 0x20
  if (third !== 0x66 && third !== 0x72 && third !== 0x77) return 'other' // x-f, x-r, x-w
  const lower = name.toLowerCase()
  if (lower === 'x-request-id') return 'id'
  if (lower === certificateName) return 'certificate'
  if (lower.startsWith(ownPrefix)) return 'own'
  if (lower.startsWith('x-forwarded-') && lower.length !== certificateName.length) return 'path'
  const plain = plainName(lower)
  if (plain === certificateName) return 'certificate'
  if (plain.startsWith(ownPrefix)) return 'own'
  return plain === 'x-real-ip' || plain === 'x-request-id' || plain.startsWith('x-forwarded-') ? 'path' : 'other'
}

let last = { own: '', peer: '', field: '' }

/** Envoy's form, with the URI names of both certificates. SPIFFE ids hold nothing that would have to be quoted. Made once for many requests of one caller. */
function certificateField(own: string, peer: string): string {
  if (last.own !== own || last.peer !== peer) last = { own, peer, field: `By=${own};URI=${peer}` }
  return last.field
}

/** A UUID of the random kind (RFC 9562 §5.4) whose last eight digits count: unique is all it has to be, and to make a whole one costs a request in twenty. */
let series = ''
let count = 0

function randomId(): string {
  if (series === '' || count === 0x1fff_ffff) {
    series = crypto.randomUUID().slice(0, 28)
    count = 0x1000_0000
  }
  return series + (++count).toString(16)
}
