/** Field names, interned: one object per spelling says whether it is valid, how it is written, and what the codec must do with it. */

import { isNeverTrailing } from '../http1.ts'
import { HeaderName } from '../hpack.ts'

/** `plain`: carried as it is. `hop`: belongs to a connection of HTTP/1 (RFC 9113 §8.2.2). Those with a colon: RFC 9113 §8.3. The others are looked at. 0 is left for "not known yet". */
export const kinds = {
  plain: 1,
  hop: 2,
  host: 3,
  length: 4,
  cookie: 5,
  expect: 6,
  te: 7,
  method: 8,
  scheme: 9,
  authority: 10,
  path: 11,
  protocol: 12,
  status: 13,
} as const

export type Kind = (typeof kinds)[keyof typeof kinds]

const kindOf = new Map<string, Kind>([
  [':method', kinds.method],
  [':scheme', kinds.scheme],
  [':authority', kinds.authority],
  [':path', kinds.path],
  [':protocol', kinds.protocol],
  [':status', kinds.status],
  ['connection', kinds.hop],
  ['keep-alive', kinds.hop],
  ['proxy-connection', kinds.hop],
  ['transfer-encoding', kinds.hop],
  ['upgrade', kinds.hop],
  ['http2-settings', kinds.hop],
  ['host', kinds.host],
  ['content-length', kinds.length],
  ['cookie', kinds.cookie],
  ['expect', kinds.expect],
  ['te', kinds.te],
])

export class Name extends HeaderName {
  /** As it was spelt. */
  readonly text: string
  readonly kind: Kind
  readonly mayTrail: boolean
  constructor(text: string) {
    const lower = text.toLowerCase()
    super(lower)
    this.text = text
    this.kind = kindOf.get(lower) ?? kinds.plain
    this.mayTrail = this.kind === kinds.plain && !isNeverTrailing(lower)
  }
}

const pattern = /^(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|:(?:method|scheme|authority|path|protocol|status))$/

// One place for each of 512 fingerprints, the latest name wins: it cannot grow, whatever names come (bench/codec.ts).
const places = 512
const known: (Name | undefined)[] = Array.from({ length: places })
const longestKept = 64

const placeOf = (text: string): number => (text.length * 37 + text.charCodeAt(0) * 3 + text.charCodeAt(text.length - 1) * 17) & (places - 1)

/** undefined: not a field name (RFC 9110 §5.1), nor a pseudo-header field that there is. */
export function nameOf(text: string): Name | undefined {
  const place = placeOf(text)
  const found = known[place]
  if (found !== undefined && found.text === text) return found
  if (!pattern.test(text)) return undefined
  const name = new Name(text)
  if (text.length <= longestKept) known[place] = name
  return name
}

/** A name that stands in this source. */
export function ownName(text: string): Name {
  const name = nameOf(text)
  if (name === undefined) throw new Error(`"${text}" is no field name`)
  return name
}
