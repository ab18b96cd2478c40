/** Whether an address is in a network: IPv4 and IPv6, as text. */

type Address = { readonly value: bigint; readonly bits: 32 | 128 }

/** ::ffff:0:0/96 of RFC 4291 §2.5.5.2. */
const mappedBits = 96
const isMapped = ({ value, bits }: Address): boolean => bits === 128 && value >> 32n === 0xffffn

/** An address as number; undefined where it is none. IPv4 inside IPv6 counts as IPv4. Of a link-local one the interface (RFC 4007 §11) says nothing. */
export function addressOf(text: string): Address | undefined {
  const address = read(text.replace(/%.*$/, ''))
  return address !== undefined && isMapped(address) ? { value: address.value & 0xffff_ffffn, bits: 32 } : address
}

function read(text: string): Address | undefined {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)
  const dotted = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(mapped?.[1] ?? text)
  if (dotted !== null) {
    const parts = dotted.slice(1).map(Number)
    return parts.some(part => part > 255) ? undefined : { value: parts.reduce((sum, part) => sum * 256n + BigInt(part), 0n), bits: 32 }
  }
  const halves = text.split('::')
  if (!text.includes(':') || halves.length > 2) return undefined
  const groups = halves.map(half => (half === '' ? [] : half.split(':')))
  if (groups.flat().some(group => !/^[0-9a-f]{1,4}$/i.test(group))) return undefined
  const missing = 8 - groups.flat().length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined
  const all = [...groups[0]!, ...Array.from({ length: missing }, () => '0'), ...(groups[1] ?? [])]
  return { value: all.reduce((sum, group) => sum * 65_536n + BigInt(Number.parseInt(group, 16)), 0n), bits: 128 }
}

/** network: an address, with `/LENGTH` behind it or alone. Undefined where it is none. */
export function networkOf(network: string): (Address & { readonly length: number }) | undefined {
  const [host = '', length, ...more] = network.split('/')
  const address = host.includes('%') ? undefined : addressOf(host)
  if (address === undefined || more.length > 0) return undefined
  if (length === undefined) return { ...address, length: address.bits }
  const said = /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN
  // A network of IPv4 inside IPv6 is told in the bits of either.
  const bits = address.bits === 32 && host.includes(':') && said >= mappedBits ? said - mappedBits : said
  return bits <= address.bits ? { ...address, length: bits } : undefined
}

export function isIn(text: string | undefined, network: string): boolean {
  const address = text === undefined ? undefined : addressOf(text)
  const wide = networkOf(network)
  if (address === undefined || wide === undefined || address.bits !== wide.bits) return false
  const rest = BigInt(wide.bits - wide.length)
  return address.value >> rest === wide.value >> rest
}
