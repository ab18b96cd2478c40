/** Addresses of sockets between their bytes (sockaddr_in, sockaddr_in6) and text. */

import net from 'node:net'

export type Destination = { readonly host: string; readonly port: number }

/** linux/socket.h */
export const AF_INET = 2
export const AF_INET6 = 10

/** A sockaddr_in or sockaddr_in6. `::ffff:127.0.0.1` is how an IPv6 socket names an IPv4 address. */
export function socketAddress(host: string, port: number): Buffer {
  const ipv6 = net.isIPv6(host)
  const place = Buffer.alloc(ipv6 ? 28 : 16)
  place.writeUInt16LE(ipv6 ? AF_INET6 : AF_INET, 0)
  place.writeUInt16BE(port, 2)
  if (ipv6) groupsOf(host).forEach((group, at) => place.writeUInt16BE(group, 8 + 2 * at))
  else host.split('.').forEach((part, at) => place.writeUInt8(Number(part), 4 + at))
  return place
}

function groupsOf(host: string): number[] {
  const plain = host.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_, a, b, c, d) => `${((+a << 8) | +b).toString(16)}:${((+c << 8) | +d).toString(16)}`,
  )
  const [head = '', tail] = plain.split('::')
  const read = (part: string) => (part === '' ? [] : part.split(':').map(group => Number.parseInt(group, 16)))
  if (tail === undefined) return read(head)
  const [left, right] = [read(head), read(tail)]
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right]
}

/** at: where the address begins in bytes. */
export function destinationIn(bytes: Buffer, at = 0): Destination {
  const port = bytes.readUInt16BE(at + 2)
  return bytes.readUInt16LE(at) === AF_INET6
    ? { host: ipv6Text(bytes, at + 8), port }
    : { host: `${bytes[at + 4]}.${bytes[at + 5]}.${bytes[at + 6]}.${bytes[at + 7]}`, port }
}

function ipv6Text(bytes: Buffer, at: number): string {
  const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(at + 2 * group).toString(16))
  return new net.SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address
}
