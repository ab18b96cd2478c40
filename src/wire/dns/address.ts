/** IP addresses between the bytes of A and AAAA records and text (RFC 5952). */

/** undefined: neither 4 nor 16 bytes. */
export function addressText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) return undefined
  const groups = Array.from({ length: 8 }, (_, index) => (bytes[index * 2]! << 8) | bytes[index * 2 + 1]!)
  const zeros = longestZeros(groups)
  const hex = (list: readonly number[]): string => list.map(group => group.toString(16)).join(':')
  return zeros.count < 2 ? hex(groups) : `${hex(groups.slice(0, zeros.from))}::${hex(groups.slice(zeros.from + zeros.count))}`
}

function longestZeros(groups: readonly number[]): { from: number; count: number } {
  let best = { from: 0, count: 0 }
  for (let from = 0; from < 8; from++) {
    let count = 0
    while (groups[from + count] === 0) count++
    if (count > best.count) best = { from, count }
  }
  return best
}

/** undefined: not an IP address. */
export function addressBytes(text: string): Uint8Array | undefined {
  return text.includes(':') ? bytesOfV6(text) : bytesOfV4(text)
}

function bytesOfV4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || parts.some(part => !/^(?:0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255)) return undefined
  return Uint8Array.from(parts, Number)
}

function bytesOfV6(text: string): Uint8Array | undefined {
  const mapped = /^(.*:)([0-9.]+\.[0-9]+)$/.exec(text) // ::ffff:10.0.0.1
  if (mapped) {
    const last = bytesOfV4(mapped[2]!)
    return last && bytesOfV6(`${mapped[1]}${((last[0]! << 8) | last[1]!).toString(16)}:${((last[2]! << 8) | last[3]!).toString(16)}`)
  }
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [left = [], right = []] = halves.map(half => (half === '' ? [] : half.split(':')))
  const missing = 8 - left.length - right.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined
  const groups = [...left, ...Array<string>(halves.length === 1 ? 0 : missing).fill('0'), ...right]
  if (groups.some(group => !/^[0-9A-Fa-f]{1,4}$/.test(group))) return undefined
  return Uint8Array.from(groups.flatMap(group => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]))
}
