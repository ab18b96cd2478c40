/** Cuts the bytes of a peer into frames, RFC 9113 §4.1: body bytes are told as they come, every other frame when it is whole. */

import { errorCodes, Fault, flags, frameTypes } from '../codes.ts'
import { frameHeader } from './write.ts'

export interface FrameSink {
  /** A whole frame that is not DATA; its payload is bytes[from, to), readable during the call only. */
  frame(type: number, flag: number, stream: number, bytes: Uint8Array, from: number, to: number): void
  /** DATA begins. length: its payload, of which `padding` bytes are told to nobody. */
  dataBegins(stream: number, length: number, padding: number, isEnd: boolean): void
  data(bytes: Uint8Array): void
  dataEnds(): void
}

const least = 256
/** RFC 9113 §3.4: how a client begins. */
export const preface: Uint8Array = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

export class FrameReader {
  readonly #sink: FrameSink
  readonly #maxFrame: number
  #prefaceLeft: number
  // The beginning of a frame that is not whole yet.
  #held: Uint8Array | undefined
  #heldLength = 0
  // Of a DATA frame that has begun.
  #bodyLeft = 0
  #paddingLeft = 0
  #isInData = false

  /** expectsPreface: a server's reader (RFC 9113 §3.4). */
  constructor(sink: FrameSink, maxFrame: number, expectsPreface: boolean) {
    this.#sink = sink
    this.#maxFrame = maxFrame
    this.#prefaceLeft = expectsPreface ? preface.length : 0
  }

  /** Nothing of a frame is outstanding. */
  get isBetween(): boolean {
    return this.#heldLength === 0 && !this.#isInData
  }

  receive(bytes: Uint8Array): void {
    let at = 0
    while (this.#prefaceLeft > 0 && at < bytes.length)
      if (bytes[at++] !== preface[preface.length - this.#prefaceLeft--])
        throw new Fault(errorCodes.protocolError, 'RFC 9113 §3.4: the connection does not begin with the preface of HTTP/2')
    while (at < bytes.length) {
      if (this.#isInData) at = this.#takeData(bytes, at)
      else if (this.#heldLength > 0) at = this.#complete(bytes, at)
      else {
        const size = this.#sizeOf(bytes, at, bytes.length - at)
        if (at + size > bytes.length) {
          this.#hold(bytes, at, bytes.length, size)
          return
        }
        this.#deliver(bytes, at, at + size)
        at += size
      }
    }
  }

  /** How many bytes must be there before the frame at `at` can be told: with fewer than its header, that. DATA is told as soon as its padding is known. */
  #sizeOf(bytes: Uint8Array, at: number, available: number): number {
    if (available < frameHeader) return frameHeader
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
    if (length > this.#maxFrame)
      throw new Fault(errorCodes.frameSizeError, `RFC 9113 §4.2: a frame of ${length} bytes, ${this.#maxFrame} are allowed`)
    if (bytes[at + 3] !== frameTypes.data) return frameHeader + length
    return (bytes[at + 4]! & flags.padded) !== 0 && length > 0 ? frameHeader + 1 : frameHeader
  }

  #complete(bytes: Uint8Array, at: number): number {
    for (;;) {
      const size = this.#sizeOf(this.#held!, 0, this.#heldLength)
      const taken = Math.min(size - this.#heldLength, bytes.length - at)
      this.#hold(bytes, at, at + taken, size)
      at += taken
      if (this.#heldLength < size) return at
      if (size > frameHeader || this.#sizeOf(this.#held!, 0, size) === size) break
    }
    const held = this.#held!
    const size = this.#heldLength
    this.#heldLength = 0
    if (held.length > 4 * least) this.#held = undefined
    this.#deliver(held, 0, size)
    return at
  }

  #hold(bytes: Uint8Array, from: number, to: number, size: number): void {
    if (this.#held === undefined || this.#held.length < size) {
      const larger = Buffer.allocUnsafeSlow(Math.max(least, size))
      if (this.#heldLength > 0) larger.set(this.#held!.subarray(0, this.#heldLength))
      this.#held = larger
    }
    this.#held.set(bytes.subarray(from, to), this.#heldLength)
    this.#heldLength += to - from
  }

  #deliver(bytes: Uint8Array, at: number, to: number): void {
    const type = bytes[at + 3]!
    const flag = bytes[at + 4]!
    const stream = ((bytes[at + 5]! & 0x7f) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!
    if (type !== frameTypes.data) return this.#sink.frame(type, flag, stream, bytes, at + frameHeader, to)
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
    this.#paddingLeft = 0
    this.#bodyLeft = length
    let padding = 0
    if ((flag & flags.padded) !== 0) {
      this.#paddingLeft = length === 0 ? 1 : bytes[at + frameHeader]!
      padding = this.#paddingLeft + 1
      this.#bodyLeft = length - padding
      if (this.#bodyLeft < 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.1: the padding of DATA is longer than the frame')
    }
    this.#isInData = true
    this.#sink.dataBegins(stream, length, padding, (flag & flags.endStream) !== 0)
    if (this.#bodyLeft + this.#paddingLeft === 0) this.#endData()
  }

  #takeData(bytes: Uint8Array, at: number): number {
    if (this.#bodyLeft > 0) {
      const taken = Math.min(this.#bodyLeft, bytes.length - at)
      this.#bodyLeft -= taken
      this.#sink.data(at === 0 && taken === bytes.length ? bytes : bytes.subarray(at, at + taken))
      at += taken
    }
    if (this.#bodyLeft === 0) {
      const taken = Math.min(this.#paddingLeft, bytes.length - at)
      this.#paddingLeft -= taken
      at += taken
      if (this.#paddingLeft === 0) this.#endData()
    }
    return at
  }

  #endData(): void {
    this.#isInData = false
    this.#sink.dataEnds()
  }
}
