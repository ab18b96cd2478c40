/** IP addresses as the bytes that certificates hold. */

/** 4 or 16 bytes. Throws RangeError when the text is no address; zones (`%eth0`) are none. */
export function ipBytes(text: string): Uint8Array {
  const bytes = text.includes(':') ? six(text) : four(text)
  if (!bytes) throw new RangeError(`"${text}" is not an IP address`)
  return Uint8Array.from(bytes)
}

function four(text: string): readonly number[] | undefined {
  const parts = text.split('.')
  return parts.length === 4 && parts.every(part => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256) ? parts.map(Number) : undefined
}

/** RFC 4291 §2.2: eight groups, one run of zeros as `::`, the last two groups perhaps as IPv4. */
function six(text: string): readonly number[] | undefined {
  const last = four(text.slice(text.lastIndexOf(':') + 1))
  const groups = last ? `${text.slice(0, text.lastIndexOf(':') + 1)}${hex(last[0]!, last[1]!)}:${hex(last[2]!, last[3]!)}` : text
  const [left = '', right, more] = groups.split('::')
  if (more !== undefined) return undefined
  const before = left === '' ? [] : left.split(':')
  const after = right === undefined || right === '' ? [] : right.split(':')
  const missing = 8 - before.length - after.length
  if (right === undefined ? missing !== 0 : missing < 1) return undefined
  const all = [...before, ...Array.from({ length: missing }, () => '0'), ...after]
  return all.every(group => /^[0-9a-f]{1,4}$/i.test(group))
    ? all.flatMap(group => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff])
    : undefined
}

const hex = (high: number, low: number): string => (high * 256 + low).toString(16)
