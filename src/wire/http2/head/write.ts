/** Heads and trailers as HEADERS and CONTINUATION frames, RFC 9113 §6.2 and §8: what is written is valid whatever road it came, or an Error. */

import type { Fields } from '../../http1.ts'
import { type Encoder, fieldRoom, isWritable } from '../../hpack.ts'
import { flags, frameTypes } from '../codes.ts'
import { frameHeader, putFrameHeader } from '../frames/write.ts'
import { kinds, type Name, nameOf, ownName } from '../names.ts'
import type { Output } from '../output.ts'

const pseudo = {
  method: ownName(':method'),
  scheme: ownName(':scheme'),
  authority: ownName(':authority'),
  path: ownName(':path'),
  protocol: ownName(':protocol'),
  status: ownName(':status'),
}
const contentLength = ownName('content-length')

/** The pseudo-header fields of a request; undefined: not written. */
export type RequestLine2 = {
  readonly method: string
  readonly scheme: string | undefined
  readonly authority: string | undefined
  readonly path: string | undefined
  readonly protocol: string | undefined
}

/** A block begins with at most two table size updates. */
const updateRoom = 12
/** Every pseudo-header field and Content-Length, without their values. */
const ownRoom = 256

export class HeadWriter {
  readonly #output: Output
  readonly #encoder: Encoder
  // The block that is being written.
  #bytes: Uint8Array
  #at = 0
  // The last head that ended no stream, as long as it is not drained.
  #last = 0
  #lastBytes: Uint8Array
  #lastAt = 0

  constructor(output: Output, encoder: Encoder) {
    this.#output = output
    this.#encoder = encoder
    this.#bytes = this.#lastBytes = output.bytes
  }

  /** length: what Content-Length says, undefined: it is not written. */
  request(stream: number, line: RequestLine2, fields: Fields, length: number | undefined, isEnd: boolean, maxFrame: number): void {
    const { method, scheme, authority, path, protocol } = line
    this.#begin(fields, method.length + (scheme?.length ?? 0) + (authority?.length ?? 0) + (path?.length ?? 0) + (protocol?.length ?? 0))
    this.#field(pseudo.method, method)
    if (scheme !== undefined) this.#field(pseudo.scheme, scheme)
    if (authority !== undefined) this.#field(pseudo.authority, authority)
    if (path !== undefined) this.#field(pseudo.path, path)
    if (protocol !== undefined) this.#field(pseudo.protocol, protocol)
    this.#fields(fields)
    if (length !== undefined) this.#field(contentLength, String(length))
    this.#end(stream, isEnd, true, maxFrame)
  }

  response(stream: number, status: number, fields: Fields, length: number | string | undefined, isEnd: boolean, maxFrame: number): void {
    this.#begin(fields, 0)
    this.#field(pseudo.status, String(status))
    this.#fields(fields)
    if (length !== undefined) this.#field(contentLength, String(length))
    this.#end(stream, isEnd, status >= 200, maxFrame)
  }

  /** Throws an Error for trailers that cannot be written: later, when their turn comes, it would be too late. */
  checkTrailers(fields: Fields): void {
    for (let at = 0; at < fields.length; at += 2) {
      const name = this.#name(fields[at]!)
      if (!isWritable(fields[at + 1]!)) throw new Error(`HTTP/2 codec: the value of ${name.lower} cannot be written (RFC 9110 §5.5)`)
    }
  }

  /** They end the stream. */
  trailers(stream: number, fields: Fields, maxFrame: number): void {
    this.#begin(fields, 0)
    for (let at = 0; at < fields.length; at += 2) {
      const name = this.#name(fields[at]!)
      if (name.mayTrail) this.#field(name, fields[at + 1]!)
    }
    this.#end(stream, true, false, maxFrame)
  }

  /** Makes the head of this stream its end, when it was just written; false: it is drained already, or it was not the last. */
  endLast(stream: number): boolean {
    if (this.#last !== stream) return false
    this.#lastBytes[this.#lastAt + 4]! |= flags.endStream
    this.#last = 0
    return true
  }

  /** The output was drained. */
  forget(): void {
    this.#last = 0
  }

  #begin(fields: Fields, room: number): void {
    room += frameHeader + updateRoom + ownRoom
    for (let at = 0; at < fields.length; at += 2) room += fieldRoom(fields[at]!, fields[at + 1]!)
    this.#output.reserve(room)
    this.#bytes = this.#output.bytes
    this.#at = this.#encoder.begin(this.#bytes, this.#output.at + frameHeader)
  }

  #field(name: Name, value: string): void {
    if (isPadded(value)) value = value.replace(padding, '')
    try {
      this.#at = this.#encoder.field(this.#bytes, this.#at, name, value)
    } catch (thrown) {
      this.#encoder.abandon()
      throw thrown
    }
  }

  #fields(fields: Fields): void {
    for (let at = 0; at < fields.length; at += 2) {
      const name = this.#name(fields[at]!)
      const { kind } = name
      if (kind === kinds.plain || kind === kinds.cookie || kind === kinds.expect) this.#field(name, fields[at + 1]!)
      else if (kind === kinds.te && asksForTrailers(fields[at + 1]!)) this.#field(name, 'trailers')
    }
  }

  #name(text: string): Name {
    const name = nameOf(text)
    if (name === undefined || name.kind >= kinds.method) {
      this.#encoder.abandon()
      throw new Error(`HTTP/2 codec: ${JSON.stringify(text)} is not a field name (RFC 9110 §5.1)`)
    }
    return name
  }

  #end(stream: number, isEnd: boolean, mayEndLater: boolean, maxFrame: number): void {
    const output = this.#output
    const from = output.at
    const length = this.#at - from - frameHeader
    const end = isEnd ? flags.endStream : 0
    if (mayEndLater && !isEnd) {
      this.#last = stream
      this.#lastBytes = this.#bytes
      this.#lastAt = from
    }
    if (length <= maxFrame) {
      putFrameHeader(this.#bytes, from, length, frameTypes.headers, end | flags.endHeaders, stream)
      output.at = this.#at
      return
    }
    const rest = Buffer.from(this.#bytes.subarray(from + frameHeader + maxFrame, this.#at))
    putFrameHeader(this.#bytes, from, maxFrame, frameTypes.headers, end, stream)
    output.at = from + frameHeader + maxFrame
    for (let at = 0; at < rest.length; at += maxFrame) {
      const part = rest.subarray(at, at + maxFrame)
      output.reserve(frameHeader + part.length)
      const isLast = at + maxFrame >= rest.length
      putFrameHeader(output.bytes, output.at, part.length, frameTypes.continuation, isLast ? flags.endHeaders : 0, stream)
      output.bytes.set(part, output.at + frameHeader)
      output.at += frameHeader + part.length
    }
  }
}

/** Blanks around a value are not part of it (RFC 9110 §5.5), and RFC 9113 §8.2.1 forbids them. */
const padding = /^[\t ]+|[\t ]+$/g
const isBlank = (code: number): boolean => code === 0x20 || code === 0x09
const isPadded = (value: string): boolean => isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1))

/** RFC 9113 §8.2.2: of TE, `trailers` is all that may be said. */
const asksForTrailers = (te: string): boolean => te === 'trailers' || /(?:^|,)[ \t]*trailers[ \t]*(?:,|$)/i.test(te)
