/** Heads and trailers out of header blocks, checked so strictly that they may be written as HTTP/1: RFC 9113 §8.2 and §8.3. */

import { type Decoder, type Entry, type FieldSink } from '../../hpack.ts'
import type { Fields } from '../../http1.ts'
import { kinds, nameOf } from '../names.ts'
import { isAuthority, isField, isMethod, isPath, isScheme } from './check.ts'

/** What a block is read as. */
type As = 'request' | 'response' | 'trailers'

/** Of `entry.note`: a field that no message may have. */
const badField = 0x100
const mayTrail = 0x80
const kindBits = 0x7f

const noFields: Fields = []

/** One for each connection: after read(), its properties hold what was found, until the next. */
export class HeadReader implements FieldSink {
  readonly #decoder: Decoder
  readonly #maxHead: number
  readonly #maxTrailer: number
  readonly #maxFields: number
  #as: As = 'request'
  #limit = 0
  /** Filled anew for each block and then copied once, at its size. */
  readonly #list: string[] = []
  #count = 0
  #isAfterPseudo = false
  #hosts = 0
  #host = ''
  #cookieAt = -1

  /** What is wrong with the message (a stream error, RFC 9113 §8.1.1); '': nothing. */
  problem = ''
  isTooLarge = false
  /** RFC 9113 §6.5.2: names, values and 32 bytes each. */
  size = 0
  method = ''
  scheme = ''
  authority: string | undefined
  path = ''
  protocol: string | undefined
  status = 0
  /** undefined: no Content-Length. */
  contentLength: number | undefined
  expectsContinue = false

  constructor(decoder: Decoder, maxHead: number, maxTrailer: number, maxFields: number) {
    this.#decoder = decoder
    this.#maxHead = maxHead
    this.#maxTrailer = maxTrailer
    this.#maxFields = maxFields * 2
  }

  /** Of a message without a problem. Taken once. */
  get fields(): Fields {
    return this.#count === 0 ? noFields : this.#list.slice(0, this.#count)
  }

  #push(name: string, value: string): void {
    this.#list[this.#count++] = name
    this.#list[this.#count++] = value
  }

  /** Throws a Failure when the block is broken. */
  read(bytes: Uint8Array, from: number, to: number, as: As): void {
    this.#as = as
    this.#limit = as === 'trailers' ? this.#maxTrailer : this.#maxHead
    this.#count = 0
    if (as === 'request') this.#push('host', '')
    this.#isAfterPseudo = false
    this.#hosts = 0
    this.#host = ''
    this.#cookieAt = -1
    this.problem = ''
    this.isTooLarge = false
    this.size = 0
    this.method = ''
    this.scheme = ''
    this.authority = undefined
    this.path = ''
    this.protocol = undefined
    this.status = 0
    this.contentLength = undefined
    this.expectsContinue = false
    this.#decoder.decode(bytes, from, to, this)
    if (this.isTooLarge || this.problem !== '') return
    if (as === 'request') this.#finishRequest()
    else if (as === 'response' && this.status === 0) this.problem = 'RFC 9113 §8.3.2: no :status'
  }

  /** Reads a block only to keep the table in step. */
  skip(bytes: Uint8Array, from: number, to: number): void {
    this.#decoder.decode(bytes, from, to, nobody)
  }

  field(entry: Entry): void {
    this.size += entry.size
    if (this.problem !== '' || this.isTooLarge) return
    if (this.size > this.#limit || this.#count >= this.#maxFields) {
      this.isTooLarge = true
      return
    }
    const { name, value } = entry
    const note = entry.note === 0 ? (entry.note = noteOf(name, value)) : entry.note
    if ((note & badField) !== 0) this.problem = whyBad(name)
    else if (this.#as === 'trailers') {
      if ((note & kindBits) >= kinds.method) this.problem = 'RFC 9113 §8.1: a pseudo-header field in trailers'
      else if ((note & mayTrail) !== 0) this.#push(name, value)
    } else if ((note & kindBits) === kinds.plain) {
      this.#isAfterPseudo = true
      this.#push(name, value)
    } else if ((note & kindBits) >= kinds.method) this.#pseudo(note & kindBits, name, value)
    else this.#special(note & kindBits, name, value)
  }

  #pseudo(kind: number, name: string, value: string): void {
    if (this.#isAfterPseudo) this.problem = `RFC 9113 §8.3: ${name} after a header field`
    else if ((kind === kinds.status) !== (this.#as === 'response')) this.problem = `RFC 9113 §8.3: ${name} in a ${this.#as}`
    else if (kind === kinds.status) {
      if (this.status !== 0) this.problem = 'RFC 9113 §8.3: several :status'
      this.status = Number(value)
    } else if (kind === kinds.method) {
      if (this.method !== '') this.problem = 'RFC 9113 §8.3: several :method'
      this.method = value
    } else if (kind === kinds.path) {
      if (this.path !== '') this.problem = 'RFC 9113 §8.3: several :path'
      this.path = value
      if (value === '') this.problem = 'RFC 9113 §8.3.1: :path is empty'
    } else if (kind === kinds.scheme) {
      if (this.scheme !== '') this.problem = 'RFC 9113 §8.3: several :scheme'
      this.scheme = value
    } else if (kind === kinds.authority) {
      if (this.authority !== undefined) this.problem = 'RFC 9113 §8.3: several :authority'
      this.authority = value
    } else {
      if (this.protocol !== undefined) this.problem = 'RFC 9113 §8.3: several :protocol'
      this.protocol = value
    }
  }

  #special(kind: number, name: string, value: string): void {
    this.#isAfterPseudo = true
    if (kind === kinds.host && this.#as === 'request') {
      if (++this.#hosts > 1) this.problem = 'RFC 9110 §7.2: several Host'
      this.#host = value
      return
    }
    if (kind === kinds.length) {
      if (this.contentLength !== undefined) this.problem = 'RFC 9110 §8.6: several Content-Length'
      this.contentLength = Number(value)
    } else if (kind === kinds.cookie) {
      // RFC 9113 §8.2.3: crumbs are one field again before anything else sees them.
      if (this.#cookieAt >= 0) {
        this.#list[this.#cookieAt] += `; ${value}`
        return
      }
      this.#cookieAt = this.#count + 1
    } else if (kind === kinds.expect) this.expectsContinue = value.toLowerCase() === '100-continue'
    this.#push(name, value)
  }

  #finishRequest(): void {
    const { method, protocol, authority } = this
    if (method === '') this.problem = 'RFC 9113 §8.3.1: no :method'
    else if (method === 'CONNECT' && protocol === undefined) {
      if (this.scheme !== '' || this.path !== '') this.problem = 'RFC 9113 §8.5: CONNECT with :scheme or :path'
      else if (authority === undefined || !/:[0-9]{1,5}$/.test(authority)) this.problem = 'RFC 9113 §8.5: CONNECT without host and port'
    } else if (this.scheme === '') this.problem = 'RFC 9113 §8.3.1: no :scheme'
    else if (this.path === '') this.problem = 'RFC 9113 §8.3.1: no :path'
    else if (this.path.charCodeAt(0) !== 0x2f && (this.path !== '*' || method !== 'OPTIONS'))
      this.problem = 'RFC 9113 §8.3.1: :path does not begin with "/"'
    else if (protocol !== undefined && method !== 'CONNECT') this.problem = 'RFC 8441 §4: :protocol without CONNECT'
    if (authority !== undefined && this.#hosts > 0 && authority.toLowerCase() !== this.#host.toLowerCase())
      this.problem = 'RFC 9113 §8.3.1: Host differs from :authority'
    this.#list[1] = authority ?? this.#host
  }
}

const nobody: FieldSink = { field: () => {} }

/** What there is to know of a field, whatever message it stands in. */
function noteOf(name: string, value: string): number {
  const known = nameOf(name)
  if (known === undefined || known.lower !== name || !isField(value)) return badField
  const { kind } = known
  const isGood =
    kind === kinds.plain || kind === kinds.cookie || kind === kinds.expect
      ? true
      : kind === kinds.hop
        ? false
        : kind === kinds.te
          ? value.toLowerCase() === 'trailers'
          : kind === kinds.length
            ? /^[0-9]{1,15}$/.test(value)
            : kind === kinds.method
              ? isMethod(value)
              : kind === kinds.scheme
                ? isScheme(value)
                : kind === kinds.authority
                  ? value !== '' && isAuthority(value)
                  : kind === kinds.host
                    ? isAuthority(value)
                    : kind === kinds.path
                      ? isPath(value)
                      : kind === kinds.status
                        ? /^[1-9][0-9][0-9]$/.test(value)
                        : isMethod(value)
  return kind | (known.mayTrail ? mayTrail : 0) | (isGood ? 0 : badField)
}

function whyBad(name: string): string {
  const known = nameOf(name)
  if (known === undefined || known.lower !== name) return 'RFC 9113 §8.2.1: a field name is not valid, or not in lower case'
  return known.kind === kinds.hop || known.kind === kinds.te
    ? `RFC 9113 §8.2.2: ${name} belongs to a connection of HTTP/1`
    : `RFC 9113 §8.2.1: the value of ${name} is not valid`
}
