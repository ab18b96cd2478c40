/** DER (X.690): the few forms that certificates and their requests are written in, and a strict reader for them. */

export const tags = {
  boolean: 1,
  integer: 2,
  bits: 3,
  octets: 4,
  oid: 6,
  utf8: 12,
  printable: 19,
  utcTime: 23,
  generalizedTime: 24,
  sequence: 48,
  set: 49,
} as const

/** `[n]` of a type that is itself a value (context-specific, primitive) or holds values (constructed). */
export const primitive = (n: number): number => 0x80 | n
export const constructed = (n: number): number => 0xa0 | n

export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([Uint8Array.of(tag, ...lengthBytes(length)), ...parts])
}

function lengthBytes(length: number): readonly number[] {
  if (length < 0x80) return [length]
  const bytes: number[] = []
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff)
  return [0x80 | bytes.length, ...bytes]
}

export const sequence = (...parts: readonly Uint8Array[]): Uint8Array => der(tags.sequence, ...parts)
export const set = (...parts: readonly Uint8Array[]): Uint8Array => der(tags.set, ...parts)
export const octets = (bytes: Uint8Array): Uint8Array => der(tags.octets, bytes)
export const yes: Uint8Array = der(tags.boolean, Uint8Array.of(0xff))

/** A number that is not negative, big-endian without needless zeros. */
export const integer = (bytes: Uint8Array): Uint8Array => der(tags.integer, ...((bytes[0] ?? 0) & 0x80 ? [Uint8Array.of(0)] : []), bytes)

/** unused: how many bits of the last byte do not count. */
export const bits = (bytes: Uint8Array, unused = 0): Uint8Array => der(tags.bits, Uint8Array.of(unused), bytes)

export const text = (tag: number, value: string): Uint8Array => der(tag, Buffer.from(value, 'utf8'))

/** dotted: `2.5.29.17`. */
export function oid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second, ...rest].flatMap(arc => {
    const groups = [arc & 0x7f]
    for (let more = arc >>> 7; more > 0; more >>>= 7) groups.unshift(0x80 | (more & 0x7f))
    return groups
  })
  return der(tags.oid, Uint8Array.from(bytes))
}

/** RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050; whole seconds. */
export function time(ms: number): Uint8Array {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  return Number(digits.slice(0, 4)) < 2050 ? text(tags.utcTime, digits.slice(2)) : text(tags.generalizedTime, digits)
}

/** The time of a UTCTime or a GeneralizedTime as RFC 5280 §4.1.2.5 allows them; ms since the epoch. Throws RangeError. */
export function readTime({ tag, body }: Value): number {
  const [, year = '', rest = ''] = /^(\d\d|\d{4})(\d{10})Z$/.exec(Buffer.from(body).toString('latin1')) ?? []
  const isShort = tag === tags.utcTime
  const whole = isShort ? `${Number(year) < 50 ? '20' : '19'}${year}` : year
  const [month, day, hour, minute, second] = rest.match(/../g) ?? []
  const ms = Date.parse(`${whole}-${month}-${day}T${hour}:${minute}:${second}Z`)
  if (year.length !== (isShort ? 2 : 4) || Number.isNaN(ms)) throw new RangeError('a time that is not one of RFC 5280')
  return ms
}

/** One value as read: whole with tag and length, body without. */
export type Value = { readonly tag: number; readonly body: Uint8Array; readonly whole: Uint8Array }

/** The values that lie side by side in these bytes. Throws RangeError on anything but definite, minimal, fitting lengths and one-byte tags. */
export function readDer(bytes: Uint8Array): readonly Value[] {
  const values: Value[] = []
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!
    if ((tag & 0x1f) === 0x1f) throw new RangeError('a tag of more than one byte')
    const { length, from } = readLength(bytes, at + 1)
    if (length > bytes.length - from) throw new RangeError('a length beyond the end')
    values.push({ tag, body: bytes.subarray(from, from + length), whole: bytes.subarray(at, from + length) })
    at = from + length
  }
  return values
}

function readLength(bytes: Uint8Array, at: number): { readonly length: number; readonly from: number } {
  const first = bytes[at]
  if (first === undefined) throw new RangeError('no length')
  if (first < 0x80) return { length: first, from: at + 1 }
  const count = first & 0x7f
  if (count === 0 || count > 3) throw new RangeError('a length that is indefinite or too long')
  let length = 0
  for (let index = 1; index <= count; index++) length = (length << 8) | (bytes[at + index] ?? 0)
  if (length < 0x80 || length < 1 << (8 * (count - 1))) throw new RangeError('a length that is not minimal')
  return { length, from: at + 1 + count }
}

/** The values in a value of that tag. Throws RangeError when there is none or it has another tag. */
export function within(value: Value | undefined, tag: number): readonly Value[] {
  return readDer(bodyOf(value, tag))
}

export function bodyOf(value: Value | undefined, tag: number): Uint8Array {
  if (value?.tag !== tag) throw new RangeError(`tag ${tag} expected, not ${value?.tag}`)
  return value.body
}

export const isOid = (value: Value | undefined, dotted: string): boolean =>
  value !== undefined && Buffer.compare(value.whole, oid(dotted)) === 0

/** RFC 7468. */
export function toPem(label: string, bytes: Uint8Array): string {
  const lines = Buffer.from(bytes)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`
}
