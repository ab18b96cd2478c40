/** Text and body pieces in, bytes for the peer out: small pieces become one array, large ones are passed on as they are. */

import { reasonOf } from './reasons.ts'
import { noBytes } from '#base/bytes'
import type { Fields, Length, RequestHead, ResponseHead } from './message.ts'
import { mayTrail } from './head.ts'
import { nameOf, token } from './names.ts'
import { putLatin1 } from '../text.ts'

/** A body piece larger than this is not copied: a second entry in the same writev costs less. */
const copiedAtMost = 4_096

export class Writer {
  #pieces: (string | Uint8Array)[] = []
  #text = ''
  #body: Length | 'none' = 'none'
  #left = 0

  text(text: string): void {
    this.#text += text
  }

  /** `none`: a message that cannot have a body (RFC 9112 §6.3 rule 1); what is given as data is dropped. */
  beginBody(length: Length | 'none'): void {
    this.#body = length
    this.#left = typeof length === 'number' ? length : 0
  }

  /** The bytes are read when drained, not now. */
  data(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#body === 'none') return // an empty chunk would end the body
    if (this.#body === 'close') return this.raw(bytes)
    if (this.#body === 'chunked') {
      this.#text += `${bytes.length.toString(16)}\r\n`
      this.raw(bytes)
      this.#text += '\r\n'
      return
    }
    if (bytes.length > this.#left) throw new Error('HTTP/1 codec: more data than the length that was announced')
    this.#left -= bytes.length
    this.raw(bytes)
  }

  /** Trailers go with a chunked body only. */
  endBody(trailers: Fields): void {
    if (this.#left > 0)
      throw new Error(`HTTP/1 codec: ${this.#left} bytes of the announced length are missing; the connection must be closed instead`)
    if (this.#body === 'chunked') this.#text += `0\r\n${trailers.length === 0 ? '' : fieldLines(trailers, true)}\r\n`
    this.#body = 'none'
  }

  /** Bytes without framing. */
  raw(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    if (this.#text !== '') this.#pieces.push(this.#text)
    this.#text = ''
    this.#pieces.push(bytes)
  }

  drain(): Uint8Array[] {
    if (this.#text !== '') {
      if (this.#pieces.length === 0) return [this.#takeText()]
      this.#pieces.push(this.#text)
      this.#text = ''
    }
    if (this.#pieces.length === 0) return []
    const pieces = this.#pieces
    this.#pieces = []
    return joined(pieces)
  }

  #takeText(): Uint8Array {
    const bytes = Buffer.allocUnsafe(this.#text.length)
    putLatin1(bytes, this.#text, 0)
    this.#text = ''
    return bytes
  }
}

function joined(pieces: readonly (string | Uint8Array)[]): Uint8Array[] {
  const out: Uint8Array[] = []
  for (let from = 0; from < pieces.length; ) {
    let length = 0
    let to = from
    for (; to < pieces.length && isSmall(pieces[to]!); to++) length += pieces[to]!.length
    if (to > from) out.push(join(pieces, from, to, length))
    if (to < pieces.length) out.push(pieces[to++] as Uint8Array)
    from = to
  }
  return out
}

const isSmall = (piece: string | Uint8Array): boolean => typeof piece === 'string' || piece.length <= copiedAtMost

function join(pieces: readonly (string | Uint8Array)[], from: number, to: number, length: number): Uint8Array {
  const whole = length === 0 ? noBytes : Buffer.allocUnsafe(length)
  let at = 0
  for (let index = from; index < to; index++) {
    const piece = pieces[index]!
    if (typeof piece === 'string') putLatin1(whole, piece, at)
    else whole.set(piece, at)
    at += piece.length
  }
  return whole
}

const unwritable = /[^\t\x20-\x7e\x80-\xff]/

/**
 * The field lines of a head (or trailers), without those that the codec writes itself. Whatever could end a line, or become something that does when cut to
 * one byte, is refused: a field that came by another road (HTTP/2, a rule of the configuration) cannot smuggle a second message in.
 */
export function fieldLines(fields: Fields, isTrailer = false): string {
  let lines = ''
  for (let at = 0; at < fields.length; at += 2) {
    const name = nameOf(fields[at]!)
    if (name === undefined) throw new Error(`HTTP/1 codec: ${JSON.stringify(fields[at])} is not a field name (RFC 9110 §5.1)`)
    const value = fields[at + 1]
    if (value === undefined || unwritable.test(value))
      throw new Error(`HTTP/1 codec: the value of ${name.text} cannot be written (RFC 9110 §5.5)`)
    if (isTrailer ? mayTrail(name) : name.kind !== 'frame' && name.kind !== 'length') lines += `${name.start}${value}\r\n`
  }
  return lines
}

/** Always HTTP/1.1, whatever the peer speaks: it says what this end can do (RFC 9110 §2.5). */
export function statusLine({ status, reason }: ResponseHead): string {
  if (!Number.isInteger(status) || status < 100 || status > 999 || unwritable.test(reason))
    throw new Error(`HTTP/1 codec: the status line of ${status} cannot be written`)
  return `HTTP/1.1 ${status} ${reason === '' ? reasonOf(status) : reason}\r\n`
}

export function requestLine({ method, target }: RequestHead): string {
  if (!token.test(method) || target === '' || /[^\x21-\x7e]/.test(target))
    throw new Error('HTTP/1 codec: the request line cannot be written (RFC 9112 §3)')
  return `${method} ${target} HTTP/1.1\r\n`
}

export function upgradeLines(protocol: string): string {
  if (unwritable.test(protocol)) throw new Error('HTTP/1 codec: the protocol to upgrade to cannot be written')
  return `Connection: upgrade\r\nUpgrade: ${protocol}\r\n`
}
