/** Bytes in, heads and body pieces out: keeps what is incomplete and looks at each byte of a head once. Framing is decided elsewhere. */

import { noBytes } from '#base/bytes'
import { Failure } from '#base/failure'
import type { Fields } from './message.ts'
import { ChunkedBody } from './chunked.ts'
import { type Block, parseBlock, parseTrailers } from './head.ts'
import type { Limits } from './limits.ts'
import { latin1 } from '../text.ts'

const CR = 13
const LF = 10

/** What a byte means inside a head: 0 nothing, 1 LF, 2 CR, 3 forbidden (RFC 9110 §5.5: controls but the tab, and DEL). */
const meaning = new Uint8Array(256).map((_, byte) =>
  byte === LF ? 1 : byte === CR ? 2 : (byte < 32 && byte !== 9) || byte === 127 ? 3 : 0,
)

/** Memory that an idle connection may hold for the fields it saw last. */
const longestRemembered = 2_048

export type HeadText = { readonly line: string; readonly block: Block }

/** The pieces of a body as they come. */
export type BodyEvent = { readonly type: 'data'; readonly bytes: Uint8Array } | { readonly type: 'end'; readonly trailers: Fields }

const noFields: Fields = Object.freeze([])
/** One object for every end without trailers. */
export const plainEnd: BodyEvent = Object.freeze({ type: 'end', trailers: noFields })

export class Reader {
  readonly #limits: Limits
  readonly #skipsBlank: boolean
  // The bytes at hand: the caller's own, or (#isKept) a copy with room behind `#end`, to which more is appended. Bytes before #end are never moved or changed, so events may view them.
  #bytes: Uint8Array = noBytes
  #at = 0
  #end = 0
  #isKept = false
  // How far the head at `#at` has been looked at, all counted from `#at`.
  #scanned = 0
  #lineStart = 0
  #firstLine = -1
  #lines = 0
  #maySkipBlank: boolean
  #lastText: string | undefined
  #lastBlock: Block | undefined
  // The body being read.
  #left = 0
  #chunked: ChunkedBody | undefined
  #untilClose = false

  /** skipsBlank: an empty line may stand before a head, as RFC 9112 §2.2 lets it before requests only. */
  constructor(limits: Limits, skipsBlank: boolean) {
    this.#limits = limits
    this.#skipsBlank = this.#maySkipBlank = skipsBlank
  }

  /** Bytes that came and were not taken yet. */
  get held(): number {
    return this.#end - this.#at
  }

  offer(bytes: Uint8Array): void {
    const left = this.#end - this.#at
    if (left === 0) {
      this.#bytes = bytes
      this.#at = 0
      this.#end = bytes.length
      this.#isKept = false
    } else if (bytes.length > 0) this.#append(bytes, left)
  }

  #append(bytes: Uint8Array, left: number): void {
    if (this.#isKept && this.#bytes.length - this.#end >= bytes.length) this.#bytes.set(bytes, this.#end)
    else {
      const grown = new Uint8Array(Math.max(512, 2 * (left + bytes.length)))
      grown.set(this.#bytes.subarray(this.#at, this.#end))
      grown.set(bytes, left)
      this.#bytes = grown
      this.#at = 0
      this.#end = left
      this.#isKept = true
    }
    this.#end += bytes.length
  }

  /** Copies what is left, which the caller may be about to overwrite. */
  keep(): void {
    if (this.#isKept || this.#at === this.#end) return
    this.#bytes = this.#bytes.slice(this.#at, this.#end)
    this.#end -= this.#at
    this.#at = 0
    this.#isKept = true
  }

  discard(): void {
    this.#at = this.#end = 0
    this.#bytes = noBytes
    this.#isKept = false
  }

  /** Everything at hand, or undefined. */
  takeAll(): Uint8Array | undefined {
    const count = this.#end - this.#at
    return count === 0 ? undefined : this.#view(count)
  }

  /** The next head when all of it is here. Throws Failure as soon as it cannot become one. */
  head(): HeadText | undefined {
    if (this.#maySkipBlank && !this.#skipBlankLine()) return undefined
    if (this.#scanned === 0 && this.#at < this.#end) checkFirst(this.#bytes[this.#at]!)
    const length = this.#findEmptyLine(this.#limits.maxHeadBytes)
    if (length < 0) return undefined
    const text = latin1(this.#bytes, this.#at, this.#at + length - 2)
    const afterLine = this.#firstLine
    this.#at += length
    this.#rescan()
    return { line: text.slice(0, afterLine - 2), block: this.#blockOf(text.slice(afterLine)) }
  }

  /** Peers repeat themselves: equal fields on one connection are parsed once. */
  #blockOf(text: string): Block {
    if (text === this.#lastText) return this.#lastBlock!
    const block = parseBlock(text)
    if (text.length <= longestRemembered) {
      this.#lastText = text
      this.#lastBlock = block
    }
    return block
  }

  /** RFC 9112 §2.2: one empty line before a request line is let pass. False: cannot tell yet. */
  #skipBlankLine(): boolean {
    if (this.#at === this.#end) return false
    if (this.#bytes[this.#at] === CR) {
      if (this.#end - this.#at < 2) return false
      if (this.#bytes[this.#at + 1] === LF) this.#at += 2
    }
    this.#maySkipBlank = false
    return this.#at < this.#end
  }

  #rescan(): void {
    this.#scanned = this.#lineStart = this.#lines = 0
    this.#firstLine = -1
  }

  /** The length up to and with the empty line that ends a head or trailers; -1 when it has not come. What is too long is so at the same byte however the bytes are cut. */
  #findEmptyLine(maxBytes: number): number {
    const bytes = this.#bytes
    const base = this.#at
    let limit = base + (this.#firstLine < 0 ? this.#limits.maxLineBytes : maxBytes)
    let end = Math.min(this.#end, limit)
    let at = base + this.#scanned
    for (; at < end; at++) {
      const means = meaning[bytes[at]!]
      if (means === 0) continue
      if (means === 3) throw new Failure('bad-request', whyForbidden(bytes[at]!))
      if (means === 1) throw new Failure('bad-request', 'RFC 9112 §2.2: a line ends in LF without CR')
      if (at + 1 >= end) break
      if (bytes[++at] !== LF) throw new Failure('bad-request', 'RFC 9112 §2.2: CR without LF')
      const next = at + 1 - base
      if (next - this.#lineStart === 2) return next
      this.#lineStart = next
      if (++this.#lines > this.#limits.maxFields + 1) throw new Failure('header-too-large', `more than ${this.#limits.maxFields} fields`)
      if (this.#firstLine >= 0) continue
      this.#firstLine = next
      limit = base + maxBytes
      end = Math.min(this.#end, limit)
    }
    if (this.#end >= limit) throw this.#tooLarge(maxBytes)
    this.#scanned = at - base
    return -1
  }

  #tooLarge(maxBytes: number): Failure {
    if (this.#firstLine < 0) return new Failure('uri-too-long', `the first line is longer than ${this.#limits.maxLineBytes} bytes`)
    return new Failure('header-too-large', `more than ${maxBytes} bytes`)
  }

  /** How the body of the message just begun ends: after so many bytes, by itself, or with the connection. */
  expectBody(length: number | 'chunked' | 'close'): void {
    this.#chunked = length === 'chunked' ? new ChunkedBody(this.#limits.maxExtensionBytes) : undefined
    this.#left = typeof length === 'number' ? length : 0
    this.#untilClose = length === 'close'
  }

  /** Adds what has come of the body to `events`; true when its end was among it. */
  body(events: { push(event: BodyEvent): unknown }): boolean {
    if (this.#chunked) return this.#readChunked(this.#chunked, events)
    if (this.#untilClose) {
      if (this.#end > this.#at) events.push({ type: 'data', bytes: this.#view(this.#end - this.#at) })
      return false
    }
    const count = Math.min(this.#left, this.#end - this.#at)
    if (count > 0) {
      this.#left -= count
      events.push({ type: 'data', bytes: this.#view(count) })
    }
    if (this.#left > 0) return false
    this.#endMessage()
    events.push(plainEnd)
    return true
  }

  #readChunked(chunked: ChunkedBody, events: { push(event: BodyEvent): unknown }): boolean {
    while (!chunked.isLast) {
      this.#at = chunked.readFraming(this.#bytes, this.#at, this.#end)
      if (this.#at === this.#end) return false
      if (chunked.left === 0) continue
      const count = Math.min(chunked.left, this.#end - this.#at)
      chunked.took(count)
      events.push({ type: 'data', bytes: this.#view(count) })
    }
    return this.#readTrailers(events)
  }

  #readTrailers(events: { push(event: BodyEvent): unknown }): boolean {
    this.#firstLine = 0 // there is no first line here, so only the limits on all of it apply
    const length = this.#findEmptyLine(this.#limits.maxTrailerBytes)
    if (length < 0) return false
    const trailers = length === 2 ? noFields : parseTrailers(latin1(this.#bytes, this.#at, this.#at + length - 2))
    this.#at += length
    this.#endMessage()
    events.push(trailers.length === 0 ? plainEnd : { type: 'end', trailers })
    return true
  }

  #endMessage(): void {
    this.#chunked = undefined
    this.#maySkipBlank = this.#skipsBlank
    this.#rescan()
  }

  #view(count: number): Uint8Array {
    const from = this.#at
    this.#at += count
    return count === this.#bytes.length ? this.#bytes : this.#bytes.subarray(from, this.#at)
  }
}

/** Whoever speaks something else is told at once, and not when a line end happens to come by. */
function checkFirst(byte: number): void {
  if (byte > 32 && byte < 127) return
  const what =
    byte === 0x16 ? 'this is a TLS handshake, not HTTP' : `no message starts with the byte 0x${byte.toString(16).padStart(2, '0')}`
  throw new Failure('bad-request', `RFC 9112 §2.1: ${what}`)
}

const whyForbidden = (byte: number): string =>
  byte === 0 ? 'RFC 9110 §5.5: NUL' : `RFC 9110 §5.5: the control character 0x${byte.toString(16).padStart(2, '0')}`
