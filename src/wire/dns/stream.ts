/** DNS over TCP: every message has its length in two bytes before it (RFC 1035 §4.2.2). */

import { concat, noBytes } from '#base/bytes'

export function framed(message: Uint8Array): Uint8Array {
  if (message.length > 0xffff) throw new Error('DNS: a message is longer than 65535 bytes')
  return concat([Uint8Array.of(message.length >> 8, message.length & 0xff), message])
}

/** One direction of a connection, cut into messages; what is incomplete waits, 64 KiB at most. */
export class DnsStream {
  #parts: Uint8Array[] = []
  #length = 0

  receive(bytes: Uint8Array): Uint8Array[] {
    if (bytes.length === 0) return []
    this.#parts.push(bytes.slice())
    this.#length += bytes.length
    if (this.#length < this.#wanted()) return []
    return this.#cut(concat(this.#parts))
  }

  /** True while a message is incomplete: the peer may not end now. */
  get isInside(): boolean {
    return this.#length > 0
  }

  /** How many bytes make the next message whole, as far as is known. */
  #wanted(): number {
    const first = this.#parts[0]!
    return first.length >= 2 ? 2 + ((first[0]! << 8) | first[1]!) : 2
  }

  #cut(bytes: Uint8Array): Uint8Array[] {
    const messages: Uint8Array[] = []
    let at = 0
    for (; bytes.length - at >= 2; ) {
      const length = (bytes[at]! << 8) | bytes[at + 1]!
      if (bytes.length - at < 2 + length) break
      messages.push(bytes.slice(at + 2, at + 2 + length))
      at += 2 + length
    }
    const rest = at === bytes.length ? noBytes : bytes.slice(at)
    this.#parts = rest.length === 0 ? [] : [rest]
    this.#length = rest.length
    return messages
  }
}
