/** Who made a connection that a balancer passes on: the PROXY header in front of it, read where a port demands one and written where a workload does. */

import { Failure } from '#base/failure'
import type { Socket } from '#io/net'
import { type Ends, type ProxyRead, readProxyHeader, writeProxyHeader } from '#wire/proxy-protocol'
import { firstBytes } from './first-bytes.ts'

/** A balancer writes it at once. */
const headerMs = 5_000

/** Reads the header off; what follows stays unread. Undefined: the sender speaks for itself. Throws where there is none, for then nobody knows who calls. */
export async function readHeader(socket: Socket): Promise<Ends | undefined> {
  let read: ProxyRead = { kind: 'more' }
  const first = await firstBytes(socket, headerMs, bytes => {
    read = readProxyHeader(bytes)
    return read.kind !== 'more' || undefined
  })
  // Assigned in the callback, which the compiler does not follow.
  const found = read as ProxyRead
  if (found.kind !== 'header')
    throw new Failure('proxy-header-invalid', found.kind === 'failed' ? found.why : `${first.length} bytes came within ${headerMs} ms`)
  if (first.length > found.length) socket.unshift(first.subarray(found.length))
  return found.header.ends
}

export function writeHeader(socket: Socket, version: 'v1' | 'v2', ends: Ends | undefined): void {
  socket.write(writeProxyHeader(version, ends))
}

/** Both ends of a socket itself; an IPv4 address as such, also where it came to an IPv6 socket. */
export function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): Ends | undefined {
  if (remoteAddress === undefined || remotePort === undefined || localAddress === undefined || localPort === undefined) return undefined
  return { source: { host: plain(remoteAddress), port: remotePort }, destination: { host: plain(localAddress), port: localPort } }
}

const plain = (host: string): string => host.replace(/^::ffff:(?=[0-9.]+$)/, '').replace(/%.*$/, '')
