/**
 * The Capsule Protocol (RFC 9297 §3.2) as CONNECT-UDP uses it (RFC 9298 §5): datagrams in the bytes of a stream. No socket and no clock.
 *
 *   capsule = type (varint) · length (varint) · value        DATAGRAM is type 0, its value = context id (varint, 0: a UDP payload) · payload
 *
 *   head ──all of it──▶ value ──all of it──▶ head         a type that is not known is skipped as it comes, of whatever length
 *    └──too long, or the stream ends within──▶ failed ◀──┘
 */

import { noBytes } from '#base/bytes'

/** RFC 9298 §5: what an IPv6 packet without extensions can carry. */
export const maxDatagramBytes = 65_527

/** A DATAGRAM capsule that carries a UDP payload. Throws on one that no packet can carry: ask first. */
export function datagramCapsule(payload: Uint8Array): Uint8Array {
  const value = payload.length + 1
  if (payload.length > maxDatagramBytes) throw new Error(`capsule: ${payload.length} bytes are more than a datagram carries`)
  const head = value < 64 ? 3 : value < 16_384 ? 4 : 6
  const capsule = new Uint8Array(head + payload.length)
  // Type 0 and context 0 stand there already.
  if (value < 64) capsule[1] = value
  else if (value < 16_384) {
    capsule[1] = 0x40 | (value >> 8)
    capsule[2] = value & 0xff
  } else {
    capsule[1] = 0x80
    capsule[2] = value >> 16
    capsule[3] = (value >> 8) & 0xff
    capsule[4] = value & 0xff
  }
  capsule.set(payload, head)
  return capsule
}

/** datagram: the payload, a part of what was received where it came in one piece. failed: once and last; why: the rule that is broken. */
export type CapsuleEvent = { readonly type: 'datagram'; readonly bytes: Uint8Array } | { readonly type: 'failed'; readonly why: string }

/** One more than the longest payload with a context id in its longest form is never waited for. */
const maxValueBytes = maxDatagramBytes + 8

export class CapsuleReader {
  /** Of a head that is not whole yet: 16 bytes at most. */
  #head: Uint8Array = noBytes
  /** Of a DATAGRAM that is not whole yet. */
  #value: Uint8Array | undefined
  #filled = 0
  /** Still to come of a capsule that is not looked at. */
  #skip = 0
  #isFailed = false

  /** bytes: the next of the stream. Nothing more is said after `failed`. */
  receive(bytes: Uint8Array): readonly CapsuleEvent[] {
    const events: CapsuleEvent[] = []
    let rest = bytes
    while (rest.length > 0 && !this.#isFailed) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, rest.length)
        this.#skip -= skipped
        rest = rest.subarray(skipped)
      } else rest = this.#value === undefined ? this.#readHead(rest, events) : this.#fill(this.#value, rest, events)
    }
    return events
  }

  /** The stream is over: within a capsule that is malformed (RFC 9297 §3.3). */
  receiveEnd(): readonly CapsuleEvent[] {
    if (this.#isFailed || (this.#head.length === 0 && this.#value === undefined && this.#skip === 0)) return []
    return [this.#fail('the stream ends within a capsule')]
  }

  #readHead(bytes: Uint8Array, events: CapsuleEvent[]): Uint8Array {
    const before = this.#head.length
    const seen = before === 0 ? bytes : joined(this.#head, bytes.subarray(0, 16))
    const typeBytes = varintBytes(seen[0]!)
    const lengthBytes = seen.length > typeBytes ? varintBytes(seen[typeBytes]!) : 1
    const whole = typeBytes + lengthBytes
    if (seen.length < whole) {
      this.#head = seen.slice()
      return noBytes
    }
    this.#head = noBytes
    const type = varint(seen, 0)
    const length = varint(seen, typeBytes)
    const rest = bytes.subarray(whole - before)
    if (type !== 0) {
      if (length > Number.MAX_SAFE_INTEGER) events.push(this.#fail('a capsule is longer than can be counted'))
      this.#skip = length
      return rest
    }
    if (length > maxValueBytes) events.push(this.#fail(`a DATAGRAM capsule of ${length} bytes is more than a packet carries`))
    else if (length === 0) events.push(this.#fail('a DATAGRAM capsule is empty: its context id is missing'))
    else if (rest.length >= length) {
      this.#whole(rest.subarray(0, length), events)
      return rest.subarray(length)
    } else {
      this.#value = new Uint8Array(length)
      this.#filled = 0
    }
    return rest
  }

  #fill(value: Uint8Array, bytes: Uint8Array, events: CapsuleEvent[]): Uint8Array {
    const taken = bytes.subarray(0, value.length - this.#filled)
    value.set(taken, this.#filled)
    this.#filled += taken.length
    if (this.#filled === value.length) {
      this.#value = undefined
      this.#whole(value, events)
    }
    return bytes.subarray(taken.length)
  }

  /** RFC 9298 §4: other contexts than 0 were not agreed on, so what is in them is dropped. */
  #whole(value: Uint8Array, events: CapsuleEvent[]): void {
    const contextBytes = varintBytes(value[0]!)
    if (value.length < contextBytes) return void events.push(this.#fail('a DATAGRAM capsule ends within its context id'))
    if (varint(value, 0) !== 0) return
    if (value.length - contextBytes > maxDatagramBytes)
      return void events.push(this.#fail(`a datagram of ${value.length - contextBytes} bytes is more than a packet carries`))
    events.push({ type: 'datagram', bytes: value.subarray(contextBytes) })
  }

  #fail(why: string): CapsuleEvent {
    this.#isFailed = true
    return { type: 'failed', why }
  }
}

/** RFC 9000 §16: the first two bits say how many bytes. */
const varintBytes = (first: number): number => 1 << (first >> 6)

/** As a number, inexact above 2^53. */
function varint(bytes: Uint8Array, at: number): number {
  let value = bytes[at]! & 0x3f
  for (let next = at + 1; next < at + varintBytes(bytes[at]!); next++) value = value * 256 + bytes[next]!
  return value
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const both = new Uint8Array(one.length + other.length)
  both.set(one)
  both.set(other, one.length)
  return both
}
