/**
 * What HTTP/2 between two Weft proxies would lose of an HTTP/1 message, in fields that never leave the mesh: the case of its field names, and that it was
 * HTTP/1 at all. Both ends agree on it by ALPN, so no other client or server ever meets it.
 */

import type { Fields } from '#wire/http1'
import type { Limits2 } from '#wire/http2'

/** HTTP/2 (RFC 9113) with the fields of this file. */
export const hopAlpn = 'weft'

/**
 * What passes one proxy has grown by a few fields when it reaches the next, and HTTP/2 counts 32 bytes for each: it must not be too large there.
 * All callers of a proxy share a connection: their resets and silences together must not end it. Larger frames spare calls on bulk.
 */
export const hopLimits: Partial<Limits2> = {
  maxHeadBytes: 131_072,
  maxTrailerBytes: 16_384,
  maxFields: 192,
  maxBlockBytes: 262_144,
  maxBlockFrames: 24,
  maxFrameBytes: 65_536,
  resetBurst: 10_000,
  resetsPerSecond: 2_000,
  noiseBurst: 20_000,
  noisePerSecond: 4_000,
}

const field = 'x-weft-http1'
/** How most names of a message are written: `Content-Type` or `content-type`. The other ones follow, spelled out. */
const titled = 't'
const lowered = 'l'

const titles = new Map<string, string>()
const lowers = new Map<string, string>()
const maxKnown = 4_096

function titleOf(name: string): string {
  let title = titles.get(name)
  if (title === undefined) {
    title = name.replaceAll(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase())
    if (titles.size < maxKnown) titles.set(name, title)
  }
  return title
}

function lowerOf(name: string): string {
  let lower = lowers.get(name)
  if (lower === undefined) {
    lower = name.toLowerCase()
    if (lowers.size < maxKnown) lowers.set(name, lower)
  }
  return lower
}

/** Adds what the next Weft proxy must know to write this HTTP/1 message as it was. */
export function wrapHttp1(fields: Fields): Fields {
  let untitled = 0
  let unlowered = 0
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!
    const lower = lowerOf(name)
    if (lower !== name) unlowered++
    if (titleOf(lower) !== name) untitled++
  }
  const said = untitled === 0 ? titled : untitled <= unlowered ? spelled(fields, titled, titleOf) : spelled(fields, lowered, lower => lower)
  return [...fields, field, said]
}

/** A name that is written in several ways is told as often as it occurs. */
function spelled(fields: Fields, usual: string, form: (lower: string) => string): string {
  const unusual = new Set<string>()
  for (let at = 0; at < fields.length; at += 2) if (form(lowerOf(fields[at]!)) !== fields[at]) unusual.add(lowerOf(fields[at]!))
  let said = usual
  for (let at = 0; at < fields.length; at += 2) if (unusual.has(lowerOf(fields[at]!))) said += `,${fields[at]!}`
  return said
}

/** The message as its own proxy read it. Without the field it was HTTP/2. */
export function unwrap(fields: Fields): { readonly fields: Fields; readonly isHttp1: boolean } {
  const at = fields.lastIndexOf(field)
  if (at < 0 || at % 2 === 1) return { fields, isHttp1: false }
  const said = fields[at + 1]!
  const rest = fields.slice() as string[]
  rest.splice(at, 2)
  if (said[0] === titled) for (let index = 0; index < rest.length; index += 2) rest[index] = titleOf(rest[index]!)
  if (said.length > 2) respell(rest, spellingsOf(said))
  return { fields: rest, isHttp1: true }
}

/** By lower-case name, in order. */
type Spellings = ReadonlyMap<string, readonly string[]>

const spellings = new Map<string, Spellings>()

/** Kept, for a caller says the same each time. */
function spellingsOf(said: string): Spellings {
  const known = spellings.get(said)
  if (known !== undefined) return known
  const made = new Map<string, string[]>()
  for (const name of said.slice(2).split(',')) {
    const of = made.get(name.toLowerCase())
    if (of === undefined) made.set(name.toLowerCase(), [name])
    else of.push(name)
  }
  if (spellings.size < maxKnown && said.length < 1024) spellings.set(said, made)
  return made
}

function respell(fields: string[], by: Spellings): void {
  const seen = new Map<string, number>()
  for (let at = 0; at < fields.length; at += 2) {
    const lower = lowerOf(fields[at]!)
    const of = by.get(lower)
    if (of === undefined) continue
    const turn = seen.get(lower) ?? 0
    seen.set(lower, turn + 1)
    fields[at] = of[turn] ?? of.at(-1)!
  }
}
