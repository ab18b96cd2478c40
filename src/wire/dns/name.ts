/** Domain names between bytes and text (RFC 1035 §3.1, §4.1.4). */

const maxNameBytes = 255
const maxLabelBytes = 63

/** Where a name ended in the message, pointers not followed. */
export type ReadName = { readonly name: string; readonly next: number }

/** undefined: not a name. A pointer must lead to before where this name began (or jumped to), so that every walk ends. */
export function readName(bytes: Uint8Array, from: number): ReadName | undefined {
  const labels: string[] = []
  let at = from
  let earliest = from
  let next = -1
  let length = 1
  for (;;) {
    const count = bytes[at]
    if (count === undefined) return undefined
    if (count === 0) return { name: labels.join('.'), next: next < 0 ? at + 1 : next }
    if (count >= 0xc0) {
      const low = bytes[at + 1]
      if (low === undefined) return undefined
      const to = ((count & 0x3f) << 8) | low
      if (to >= earliest || to < 12) return undefined
      if (next < 0) next = at + 2
      at = earliest = to
      continue
    }
    if (count > maxLabelBytes || at + 1 + count > bytes.length) return undefined
    length += count + 1
    if (length > maxNameBytes) return undefined
    labels.push(labelText(bytes, at + 1, at + 1 + count))
    at += 1 + count
  }
}

function labelText(bytes: Uint8Array, from: number, to: number): string {
  let text = ''
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    // A dot, a backslash and what cannot be printed are escaped, so that text means one name only (RFC 4343 §2.1).
    text +=
      byte <= 0x20 || byte >= 0x7f || byte === 0x2e || byte === 0x5c ? `\\${String(byte).padStart(3, '0')}` : String.fromCharCode(byte)
  }
  return text
}

/** Throws an Error for text that is no domain name: that is a bug of whoever made it. */
export function nameBytes(name: string): Uint8Array {
  const bytes: number[] = []
  const plain = name.endsWith('.') ? name.slice(0, -1) : name
  for (const label of plain === '' ? [] : plain.split('.')) {
    const codes = Array.from(label.matchAll(/\\([0-9]{3})|([^\\])/g), ([, escaped, char]) =>
      escaped === undefined ? char!.charCodeAt(0) : Number(escaped),
    )
    if (!/^(?:\\[0-9]{3}|[^\\])+$/.test(label) || codes.length > maxLabelBytes || codes.some(code => code > 255))
      throw new Error(`DNS: "${name}" is not a domain name`)
    bytes.push(codes.length, ...codes)
  }
  bytes.push(0)
  if (bytes.length > maxNameBytes) throw new Error(`DNS: "${name}" is longer than 255 bytes`)
  return Uint8Array.from(bytes)
}
