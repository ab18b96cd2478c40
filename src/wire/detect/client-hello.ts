/** The TLS ClientHello as far as a mesh must know it before it decides (RFC 8446 §4.1.2): the server name (RFC 6066 §3) and the protocols offered (RFC 7301). */

import type { Detected } from './detected.ts'

/** A longer hello is still TLS, but nobody waits for its names: the largest of a browser, with a post-quantum key share, have 2 KiB. */
const maxHelloBytes = 16_384

const handshakeRecord = 22
const clientHello = 1
const serverName = 0
const protocolNames = 16

/** bytes: from the first of the connection, which is 0x16. A hello that cannot be read counts as TLS without names, and what is no hello as opaque. */
export function readClientHello(bytes: Uint8Array): Detected {
  const hello = joinRecords(bytes)
  if (hello === 'more') return { kind: bytes.length < maxHelloBytes ? 'more' : 'tls' }
  if (hello === undefined) return { kind: 'opaque' }
  if (hello === 'too-large') return { kind: 'tls' }
  try {
    return { kind: 'tls', ...names(new Cursor(hello)) }
  } catch (thrown) {
    if (thrown instanceof RangeError) return { kind: 'tls' }
    throw thrown
  }
}

/** The body of the first handshake message, out of as many records as it was cut into (RFC 8446 §5.1). */
function joinRecords(bytes: Uint8Array): Uint8Array | 'more' | 'too-large' | undefined {
  const parts = new Uint8Array(Math.min(bytes.length, maxHelloBytes))
  let filled = 0
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] !== handshakeRecord || (bytes[at + 1] ?? 3) !== 3 || (bytes[at + 2] ?? 0) > 4) return undefined
    if (bytes.length - at < 5) return 'more'
    const length = (bytes[at + 3]! << 8) | bytes[at + 4]!
    if (length === 0 || length > maxHelloBytes) return undefined
    const part = bytes.subarray(at + 5, at + 5 + length)
    if (filled + part.length > parts.length) return 'too-large'
    parts.set(part, filled)
    filled += part.length
    at += 5 + length
    if (filled > 0 && parts[0] !== clientHello) return undefined
    if (filled < 4) continue
    const total = (parts[1]! << 16) | (parts[2]! << 8) | parts[3]!
    if (total + 4 > maxHelloBytes) return 'too-large'
    if (filled >= total + 4) return parts.subarray(4, total + 4)
  }
  return 'more'
}

function names(hello: Cursor): { sni?: string; alpn?: readonly string[] } {
  hello.skip(2 + 32) // version, random
  hello.skip(hello.byte()) // session id
  hello.skip(hello.short()) // cipher suites
  hello.skip(hello.byte()) // compression methods
  if (hello.isDone) return {}
  const extensions = hello.part(hello.short())
  let sni: string | undefined
  let alpn: string[] | undefined
  while (!extensions.isDone) {
    const type = extensions.short()
    const body = extensions.part(extensions.short())
    if (type === serverName) sni = readServerName(body)
    else if (type === protocolNames) alpn = readProtocols(body)
  }
  return { ...(sni === undefined ? {} : { sni }), ...(alpn === undefined ? {} : { alpn }) }
}

function readServerName(body: Cursor): string | undefined {
  const list = body.part(body.short())
  while (!list.isDone) {
    const type = list.byte()
    const name = list.text(list.short())
    if (type === 0) return /^[A-Za-z0-9._-]{1,255}$/.test(name) ? name.toLowerCase() : undefined
  }
  return undefined
}

function readProtocols(body: Cursor): string[] {
  const list = body.part(body.short())
  const protocols: string[] = []
  while (!list.isDone) protocols.push(list.text(list.byte()))
  return protocols
}

/** Reads big-endian numbers; past the end is a RangeError. */
class Cursor {
  readonly #bytes: Uint8Array
  #at = 0
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }
  get isDone(): boolean {
    return this.#at >= this.#bytes.length
  }
  skip(count: number): void {
    if (this.#at + count > this.#bytes.length) throw new RangeError('past the end')
    this.#at += count
  }
  byte(): number {
    this.skip(1)
    return this.#bytes[this.#at - 1]!
  }
  short(): number {
    return (this.byte() << 8) | this.byte()
  }
  part(count: number): Cursor {
    this.skip(count)
    return new Cursor(this.#bytes.subarray(this.#at - count, this.#at))
  }
  text(count: number): string {
    this.skip(count)
    return String.fromCharCode(...this.#bytes.subarray(this.#at - count, this.#at))
  }
}
