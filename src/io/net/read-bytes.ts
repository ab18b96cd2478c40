/**
 * What a socket reads, as it comes, without the new 64 KiB that Node takes for each read: small reads go through one buffer of the process, and
 * a copy of just their size is handed on; after a large read the socket gets buffers of its own, which are handed on as they are.
 */

import type net from 'node:net'
import tls from 'node:tls'
import { readInto } from './read-into.ts'

const shared = Buffer.allocUnsafeSlow(65_536)
/** From this size on a copy costs more than new memory. */
const largeBytes = 8_192
/** A TLS record (RFC 8446 §5.1) is all that a read gives there. */
const recordBytes = 16_384

/** Starts reading. take: gets bytes that stay as they are. `pause`, `resume` and `end` are the socket's as ever. */
export function readBytes(socket: net.Socket, take: (bytes: Buffer) => void): void {
  const ownBytes = socket instanceof tls.TLSSocket ? recordBytes : shared.length
  let last = 0
  const reader = {
    take(size: number, into: Buffer): boolean {
      last = size
      take(into === shared ? Buffer.from(shared.subarray(0, size)) : into.subarray(0, size))
      return true
    },
    next: (): Buffer => (last < largeBytes ? shared : Buffer.allocUnsafeSlow(ownBytes)),
  }
  for (let early: Buffer | null; (early = socket.read() as Buffer | null) !== null; ) take(early)
  if (!readInto(socket, reader)) socket.on('data', take)
}
