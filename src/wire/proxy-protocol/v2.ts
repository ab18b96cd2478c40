/** Version 2: sixteen bytes, then addresses and TLVs of the length that they announce. */

import { addressBytes, addressText } from '../dns/address.ts'
import type { Ends, ProxyHeader, ProxyRead } from './header.ts'
import { crc32c } from './crc32c.ts'

export const signature = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a)

const headBytes = 16
/** More than any balancer sends; the field could say 65,535. */
const maxBodyBytes = 4_096
const local = 0x20
const proxied = 0x21
/** By the byte of family and transport: bytes of one address, with its port where it is one of IP. */
const families: Readonly<Record<number, { readonly hostBytes: number; readonly isIp: boolean }>> = {
  0x11: { hostBytes: 4, isIp: true },
  0x12: { hostBytes: 4, isIp: true },
  0x21: { hostBytes: 16, isIp: true },
  0x22: { hostBytes: 16, isIp: true },
  0x31: { hostBytes: 108, isIp: false },
  0x32: { hostBytes: 108, isIp: false },
}
const types = { alpn: 0x01, authority: 0x02, crc32c: 0x03, uniqueId: 0x05 }

export function readV2(bytes: Uint8Array): ProxyRead {
  for (let at = 0; at < Math.min(bytes.length, signature.length); at++)
    if (bytes[at] !== signature[at]) return failed('the connection does not begin with a PROXY header')
  if (bytes.length < headBytes) return { kind: 'more' }
  const [command, family, bodyBytes] = [bytes[12]!, bytes[13]!, (bytes[14]! << 8) | bytes[15]!]
  if (command !== local && command !== proxied) return failed(`version and command 0x${command.toString(16)} are unknown`)
  if (bodyBytes > maxBodyBytes) return failed(`it announces ${bodyBytes} bytes, more than ${maxBodyBytes}`)
  const length = headBytes + bodyBytes
  if (bytes.length < length) return { kind: 'more' }
  const whole = bytes.subarray(0, length)
  // Of LOCAL nothing is looked at, and what no family is known of is unspecified.
  if (command === local) return { kind: 'header', header: { ends: undefined }, length }
  const known = families[family]
  if (known === undefined && family !== 0) return failed(`family 0x${family.toString(16)} is unknown`)
  const placesBytes = known === undefined ? 0 : known.hostBytes * 2 + (known.isIp ? 4 : 0)
  if (placesBytes > bodyBytes) return failed('it is too short for the addresses of its family')
  const tlvs = readTlvs(whole, headBytes + placesBytes)
  if (typeof tlvs === 'string') return failed(tlvs)
  const ends = known?.isIp === true ? readEnds(whole, known.hostBytes) : undefined
  return { kind: 'header', header: { ends, ...tlvs }, length }
}

const failed = (why: string): ProxyRead => ({ kind: 'failed', why: `PROXY protocol, section 2.2: ${why}` })

function readEnds(whole: Uint8Array, hostBytes: number): Ends {
  const host = (at: number): string => addressText(whole.subarray(at, at + hostBytes))!
  const ports = headBytes + hostBytes * 2
  const port = (at: number): number => (whole[at]! << 8) | whole[at + 1]!
  return {
    source: { host: host(headBytes), port: port(ports) },
    destination: { host: host(headBytes + hostBytes), port: port(ports + 2) },
  }
}

/** Or the rule that they break. */
function readTlvs(whole: Uint8Array, from: number): Omit<ProxyHeader, 'ends'> | string {
  let found: Omit<ProxyHeader, 'ends'> = {}
  for (let at = from; at < whole.length; ) {
    if (at + 3 > whole.length) return 'a TLV is cut off'
    const [type, start] = [whole[at]!, at + 3]
    const end = start + ((whole[at + 1]! << 8) | whole[at + 2]!)
    if (end > whole.length) return 'a TLV is longer than the header'
    const value = whole.subarray(start, end)
    if (type === types.crc32c) {
      if (value.length !== 4) return 'the checksum is not of four bytes'
      const said = ((value[0]! << 24) | (value[1]! << 16) | (value[2]! << 8) | value[3]!) >>> 0
      if (crc32c(whole, start) !== said) return 'the checksum is wrong'
    } else if (type === types.uniqueId) {
      if (value.length > 128) return 'the unique id is longer than 128 bytes'
      found = { ...found, uniqueId: Uint8Array.from(value) }
    } else if (type === types.authority || type === types.alpn) {
      const text = visible(value)
      if (text !== undefined) found = { ...found, [type === types.authority ? 'authority' : 'alpn']: text }
    }
    at = end
  }
  return found
}

/** Undefined for what no log and no header field could hold. */
function visible(value: Uint8Array): string | undefined {
  const text = String.fromCharCode(...value)
  return /^[\x21-\x7e]{1,255}$/.test(text) ? text : undefined
}

export function writeV2(ends: Ends | undefined, { authority, uniqueId }: Pick<ProxyHeader, 'authority' | 'uniqueId'>): Uint8Array {
  const { family, places } = ends === undefined ? unknown : placesOf(ends)
  const tlvs = [
    ...(authority === undefined ? [] : tlv(types.authority, new TextEncoder().encode(authority))),
    ...(uniqueId === undefined ? [] : tlv(types.uniqueId, uniqueId)),
  ]
  const bodyBytes = places.length + tlvs.length
  if (bodyBytes > maxBodyBytes) throw new Error(`PROXY header: ${bodyBytes} bytes are more than ${maxBodyBytes}`)
  return Uint8Array.of(...signature, ends === undefined ? local : proxied, family, bodyBytes >> 8, bodyBytes & 0xff, ...places, ...tlvs)
}

const unknown = { family: 0, places: [] as readonly number[] }

function placesOf({ source, destination }: Ends): typeof unknown {
  const [from, to] = [source.host, destination.host].map(host => addressBytes(host))
  if (from === undefined || to === undefined) throw new Error(`PROXY header: ${source.host} or ${destination.host} is not an IP address`)
  if (from.length !== to.length) return unknown
  return { family: from.length === 4 ? 0x11 : 0x21, places: [...from, ...to, ...short(source.port), ...short(destination.port)] }
}

const tlv = (type: number, value: Uint8Array): readonly number[] => [type, ...short(value.length), ...value]
const short = (number: number): readonly number[] => [number >> 8, number & 0xff]
