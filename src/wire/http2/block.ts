/** A header block on its way in: the fragments of HEADERS and CONTINUATION put together, RFC 9113 §4.3. */

import { errorCodes, Fault } from './codes.ts'

export class Block {
  readonly #maxBytes: number
  readonly #maxFrames: number
  #bytes: Uint8Array = Buffer.alloc(0)
  #length = 0
  #frames = 0
  /** 0: no block has begun. */
  stream = 0
  isEnd = false

  constructor(maxBytes: number, maxFrames: number) {
    this.#maxBytes = maxBytes
    this.#maxFrames = maxFrames
  }

  get bytes(): Uint8Array {
    return this.#bytes
  }
  get length(): number {
    return this.#length
  }

  begin(stream: number, isEnd: boolean): void {
    this.stream = stream
    this.isEnd = isEnd
    this.#length = 0
    this.#frames = 0
  }

  add(bytes: Uint8Array, from: number, to: number): void {
    if (++this.#frames > this.#maxFrames)
      throw new Fault(errorCodes.enhanceYourCalm, `RFC 9113 §10.5: a header block of more than ${this.#maxFrames} frames`)
    const length = this.#length + to - from
    if (length > this.#maxBytes)
      throw new Fault(errorCodes.enhanceYourCalm, `RFC 9113 §10.5.1: a header block of more than ${this.#maxBytes} bytes`)
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, this.#bytes.length * 2))
      larger.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = larger
    }
    this.#bytes.set(bytes.subarray(from, to), this.#length)
    this.#length = length
  }

  /** The block was read. */
  clear(): void {
    this.stream = 0
    this.#bytes = Buffer.alloc(0)
  }
}
