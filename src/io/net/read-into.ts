/**
 * Where an open socket reads to: the one place that touches what Node keeps to itself about sockets.
 *
 * Node gives a socket a buffer of the program's own (`onread`) only when it is dialled, not when it was accepted, and gives all others a new
 * array of 64 KiB for each read. What `onread` sets is three fields of the socket, named by symbols, and one call of its handle; here they are
 * set later. A Node that has them no more, or a socket without such a handle, is told by `false`: then `data` events are the way.
 */

import net from 'node:net'

export type Reader = {
  /** size: bytes that were read into the start of `into`. False: no more until the socket is resumed; TLS gives what it has decrypted all the same. */
  readonly take: (size: number, into: Buffer) => boolean
  /** Where the next bytes go; asked after each read. */
  readonly next: () => Buffer
}

type Handle = { readonly useUserBuffer?: (buffer: Buffer) => void }
type Opened = Record<symbol, unknown> & { readonly _handle?: Handle | null }

const [buffer, taken, next] = symbolsOf('kBuffer', 'kBufferCb', 'kBufferGen')

/** Nothing may wait in the socket: what was read before goes first. */
export function readInto(socket: net.Socket, reader: Reader): boolean {
  if (buffer === undefined || taken === undefined || next === undefined) return false
  const opened = socket as unknown as Opened
  if (typeof opened._handle?.useUserBuffer !== 'function' || opened[buffer] !== null) return false
  const into = reader.next()
  opened[buffer] = into
  opened[taken] = reader.take
  opened[next] = reader.next
  opened._handle.useUserBuffer(into)
  return true
}

/** Not within `take`. Each call leaves a small record in the handle until it closes, so it is for rare occasions. */
export function readElsewhere(socket: net.Socket, into: Buffer): void {
  const opened = socket as unknown as Opened
  if (buffer === undefined || typeof opened._handle?.useUserBuffer !== 'function') return
  opened[buffer] = into
  opened._handle.useUserBuffer(into)
}

function symbolsOf(...names: readonly string[]): readonly (symbol | undefined)[] {
  const known = Object.getOwnPropertySymbols(new net.Socket())
  return names.map(name => known.find(({ description }) => description === name))
}
