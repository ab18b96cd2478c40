/** Version 1: one line of text, at most 107 bytes with its CRLF. */

import { addressBytes, addressText } from '../dns/address.ts'
import type { Address, Ends, ProxyRead } from './header.ts'

const start = 'PROXY '
const maxBytes = 107
const CR = 13
const LF = 10

export function readV1(bytes: Uint8Array): ProxyRead {
  for (let at = 0; at < Math.min(bytes.length, start.length); at++)
    if (bytes[at] !== start.charCodeAt(at)) return failed('the connection does not begin with a PROXY header')
  const end = bytes.subarray(0, maxBytes).indexOf(LF)
  if (end < 0) return bytes.length >= maxBytes ? failed(`the line is longer than ${maxBytes} bytes`) : { kind: 'more' }
  if (bytes[end - 1] !== CR) return failed('the line does not end with CR LF')
  const line = String.fromCharCode(...bytes.subarray(0, end - 1))
  const length = end + 1
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return { kind: 'header', header: { ends: undefined }, length }
  const [, family, sourceHost, destinationHost, sourcePort, destinationPort] =
    /^PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (\d+) (\d+)$/.exec(line) ?? []
  const source = address(sourceHost, sourcePort, family)
  const destination = address(destinationHost, destinationPort, family)
  if (source === undefined || destination === undefined) return failed('the line does not name two addresses and ports of its family')
  return { kind: 'header', header: { ends: { source, destination } }, length }
}

const failed = (why: string): ProxyRead => ({ kind: 'failed', why: `PROXY protocol, section 2.1: ${why}` })

function address(host: string | undefined, port: string | undefined, family: string | undefined): Address | undefined {
  const bytes = host === undefined ? undefined : addressBytes(host)
  if (bytes?.length !== (family === 'TCP4' ? 4 : 16)) return undefined
  if (port === undefined || !/^(?:0|[1-9]\d{0,4})$/.test(port) || Number(port) > 65_535) return undefined
  return { host: addressText(bytes)!, port: Number(port) }
}

export function writeV1(ends: Ends | undefined): Uint8Array {
  return new TextEncoder().encode(`${start}${ends === undefined ? 'UNKNOWN' : lineOf(ends)}\r\n`)
}

function lineOf({ source, destination }: Ends): string {
  const [from, to] = [source.host, destination.host].map(host => addressBytes(host))
  if (from === undefined || to === undefined) throw new Error(`PROXY header: ${source.host} or ${destination.host} is not an IP address`)
  if (from.length !== to.length) return 'UNKNOWN'
  return `TCP${from.length === 4 ? 4 : 6} ${addressText(from)} ${addressText(to)} ${source.port} ${destination.port}`
}
