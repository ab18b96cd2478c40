/** The framing between the pieces of a chunked body (RFC 9112 §7.1), read byte by byte so that it may be cut anywhere. */

import { Failure } from '#base/failure'

//   size ──hex digit──▶ digits ──";"──▶ extension ──CR──▶ lf ──LF──▶ data (or last, when the size is 0)
//                       digits ──CR──▶ lf               data ──all taken──▶ cr ──CR──▶ crlf ──LF──▶ size
type Place = 'size' | 'digits' | 'extension' | 'lf' | 'data' | 'cr' | 'crlf' | 'last'

const CR = 13
const LF = 10
const SEMICOLON = 0x3b
/** 16^13 bytes are more than anybody sends and still exact in a number; zeros in front count as digits too. */
const maxDigits = 13

export class ChunkedBody {
  readonly #maxExtensionBytes: number
  #place: Place = 'size'
  #size = 0
  #digits = 0
  #extensionBytes = 0

  constructor(maxExtensionBytes: number) {
    this.#maxExtensionBytes = maxExtensionBytes
  }

  /** The chunk of size 0 was read: trailers follow. */
  get isLast(): boolean {
    return this.#place === 'last'
  }

  /** Bytes of the current chunk still to come. */
  get left(): number {
    return this.#place === 'data' ? this.#size : 0
  }

  took(count: number): void {
    this.#size -= count
    if (this.#size === 0) this.#place = 'cr'
  }

  /** Reads framing up to the next byte of data; returns where it stopped. */
  readFraming(bytes: Uint8Array, from: number, to: number): number {
    let at = from
    while (at < to && this.#place !== 'data' && this.#place !== 'last') this.#take(bytes[at++]!)
    return at
  }

  #take(byte: number): void {
    switch (this.#place) {
      case 'size':
      case 'digits':
        return this.#takeSize(byte)
      case 'extension':
        if (byte === CR) this.#place = 'lf'
        else this.#skipExtension(byte)
        return
      case 'lf':
        if (byte !== LF) throw new Failure('bad-request', 'RFC 9112 §7.1: CR without LF after a chunk size')
        this.#place = this.#size === 0 ? 'last' : 'data'
        return
      case 'cr':
        if (byte !== CR) throw new Failure('bad-request', 'RFC 9112 §7.1: a chunk is longer than its size')
        this.#place = 'crlf'
        return
      case 'crlf':
        if (byte !== LF) throw new Failure('bad-request', 'RFC 9112 §7.1: CR without LF after a chunk')
        this.#place = 'size'
        this.#digits = 0
        return
    }
  }

  #takeSize(byte: number): void {
    const digit = hexDigit(byte)
    if (digit >= 0) {
      if (++this.#digits > maxDigits) throw new Failure('bad-request', 'RFC 9112 §7.1: a chunk size is too long')
      this.#size = this.#size * 16 + digit
      this.#place = 'digits'
    } else if (this.#place === 'digits' && byte === CR) this.#place = 'lf'
    else if (this.#place === 'digits' && byte === SEMICOLON) this.#place = 'extension'
    else throw new Failure('bad-request', 'RFC 9112 §7.1: a chunk size is not a hexadecimal number')
  }

  #skipExtension(byte: number): void {
    if ((byte < 32 && byte !== 9) || byte === 127)
      throw new Failure('bad-request', 'RFC 9112 §7.1.1: a control character in a chunk extension')
    if (++this.#extensionBytes > this.#maxExtensionBytes)
      throw new Failure('bad-request', `RFC 9112 §7.1.1: more than ${this.#maxExtensionBytes} bytes of chunk extensions`)
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
