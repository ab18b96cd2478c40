/** Bodies that are compressed on their way, answers and requests, and those of requests that are taken apart: only where a route asks for it. */

import { Failure } from '#base/failure'
import { type Coder, type CodedOut, compressing, decompressing } from '#io/coding'
import type { Coding, Compressible, Compression } from '#model/compression'
import { type Fields, field, type Length, type ResponseHead } from '#wire/http1'
import { chooseCoding } from './accept-encoding.ts'
import type { Exchange } from './exchange.ts'
import type { BodySink } from './ends.ts'
import { Shaper } from './shaper.ts'

/** As much may wait to be coded before no more of it is taken. */
const mostWaiting = 262_144

/** What becomes of bodies, for metrics. */
export type CodedTell = (what: 'answer' | 'request' | 'taken', coding: Coding, bytesIn: number, bytesOut: number) => void

/** Before the request goes on. Throws where its body is in a coding that cannot be taken apart. */
export function code(exchange: Exchange, { answers, requests, takesCoded }: Compression, tell: CodedTell): void {
  if (exchange.upgrade !== undefined || exchange.method === 'CONNECT' || exchange.isGrpc) return
  if (answers !== undefined) exchange.wrap(new CodedAnswer(exchange, answers, (coding, i, o) => tell('answer', coding, i, o)))
  if (exchange.length === 0) return
  if (takesCoded !== undefined) takeApart(exchange, takesCoded.maxBytes, tell)
  else if (requests !== undefined && isCompressible(exchange.head.fields, exchange.length, requests)) {
    const { coding } = requests
    change(exchange, { set: [{ name: 'content-encoding', value: coding }], remove: ['content-length'] })
    exchange.changeBody(
      sink =>
        new CodedBody(
          exchange,
          sink,
          out => compressing(coding, out),
          Number.POSITIVE_INFINITY,
          (i, o) => tell('request', coding, i, o),
        ),
    )
  }
}

const names: Readonly<Record<string, Coding>> = { gzip: 'gzip', 'x-gzip': 'gzip', br: 'br', zstd: 'zstd' }

/** Of several codings, one on top of the other, none is taken apart: no client sends that. */
function takeApart(exchange: Exchange, maxBytes: number, tell: CodedTell): void {
  const said = exchange.header('content-encoding')?.trim().toLowerCase() ?? ''
  if (said === '' || said === 'identity') return
  const coding = names[said]
  if (coding === undefined) throw new Failure('coding-not-supported', `"${said}"; gzip, br and zstd are taken`)
  change(exchange, { set: [], remove: ['content-encoding', 'content-length'] })
  exchange.changeBody(
    sink =>
      new CodedBody(
        exchange,
        sink,
        out => decompressing(coding, out),
        maxBytes,
        (i, o) => tell('taken', coding, i, o),
      ),
  )
}

function change(
  exchange: Exchange,
  { set, remove }: { readonly set: readonly { readonly name: string; readonly value: string }[]; readonly remove: readonly string[] },
): void {
  exchange.codingChange = { set, add: [], remove }
  exchange.sentLength = 'chunked'
}

/** What digests are of is the body as it was sent: such a message stays as it is (RFC 9530). */
const digests = ['content-md5', 'digest', 'content-digest', 'repr-digest'] as const

function isCompressible(fields: Fields, length: Length, { minBytes, types }: Compressible): boolean {
  if (typeof length === 'number' && length < minBytes) return false
  const type = field(fields, 'content-type')
  if (type === undefined || !types.includes(type.split(';', 1)[0]!.trim().toLowerCase())) return false
  const coding = field(fields, 'content-encoding')
  if (coding !== undefined && coding.trim().toLowerCase() !== 'identity') return false
  if (/(?:^|[,\s])no-transform(?:$|[,\s])/i.test(field(fields, 'cache-control') ?? '')) return false
  return field(fields, 'content-range') === undefined && digests.every(name => field(fields, name) === undefined)
}

/** Statuses whose answers have no body, or a part of one (RFC 9110 §6.4.1, §15.3.7). */
const untouched = new Set([204, 205, 206, 304])

class CodedAnswer extends Shaper implements CodedOut {
  readonly #asked: NonNullable<Compression['answers']>
  readonly #tell: (coding: Coding, bytesIn: number, bytesOut: number) => void
  #coding: Coding | undefined
  #coder: Coder | undefined
  #trailers: Fields = []
  /** Of an answer whose length nobody knows each piece is passed on as soon as it comes. */
  #isStream = false
  #isTouched = false
  #isFull = false
  #bytesIn = 0
  #bytesOut = 0

  constructor(
    exchange: Exchange,
    asked: NonNullable<Compression['answers']>,
    tell: (coding: Coding, bytesIn: number, bytesOut: number) => void,
  ) {
    super(exchange)
    this.#asked = asked
    this.#tell = tell
  }

  override respond(head: ResponseHead, length: Length): void {
    const { method } = this.exchange
    if (
      method === 'HEAD' ||
      head.status < 200 ||
      untouched.has(head.status) ||
      length === 0 ||
      !isCompressible(head.fields, length, this.#asked)
    )
      return this.inner.respond(head, length)
    const coding = chooseCoding(this.exchange.header('accept-encoding'), this.#asked.codings)
    if (coding === undefined) return this.inner.respond({ ...head, fields: varied(head.fields) }, length)
    this.#coding = coding
    this.#coder = compressing(coding, this)
    this.#isStream = typeof length !== 'number'
    this.inner.respond({ ...head, fields: codedFields(head.fields, coding) }, 'chunked')
  }

  override data(bytes: Uint8Array): void {
    if (this.#coder === undefined) return this.inner.data(bytes)
    this.#isTouched = true
    this.#bytesIn += bytes.length
    this.#coder.write(bytes)
  }
  override end(trailers: Fields): void {
    if (this.#coder === undefined) return this.inner.end(trailers)
    this.#trailers = trailers
    this.#isTouched = false
    this.#coder.end()
  }
  override flush(): boolean {
    if (this.#coder === undefined) return this.inner.flush()
    if (this.#isTouched && this.#isStream) this.#coder.flush()
    this.#isTouched = false
    // The head does not wait for the body.
    if (!this.inner.flush()) this.#hold()
    return !this.#isFull && this.#coder.waiting < mostWaiting
  }
  override abort(code?: number): void {
    this.#coder?.drop()
    this.inner.abort(code)
  }
  override writable(): void {
    this.#isFull = false
    this.#coder?.resume()
    if ((this.#coder?.waiting ?? 0) < mostWaiting) this.tellWritable()
  }
  override over(): void {
    this.#coder?.drop()
    super.over()
  }

  #hold(): void {
    this.#isFull = true
    this.#coder?.pause()
  }

  // CodedOut

  coded(bytes: Uint8Array): void {
    if (this.exchange.isGone) return this.#coder?.drop()
    this.#bytesOut += bytes.length
    this.inner.data(bytes)
    if (!this.inner.flush()) this.#hold()
  }
  allCoded(): void {
    this.#tell(this.#coding!, this.#bytesIn, this.#bytesOut)
    if (this.exchange.isGone) return
    this.inner.end(this.#trailers)
    this.inner.flush()
    this.tellWritable()
  }
  failed(why: string): void {
    this.exchange.bug = new Error(`compressing an answer: ${why}`)
    this.inner.abort()
  }
  drained(): void {
    if (!this.#isFull) this.tellWritable()
  }
}

/** What stands in the head of an answer that may be coded: caches must tell callers apart (RFC 9110 §12.5.5). */
function varied(fields: Fields): Fields {
  const said = field(fields, 'vary')
  if (said !== undefined && /(?:^|[,\s])(?:accept-encoding|\*)(?:$|[,\s])/i.test(said)) return fields
  return [...fields, 'vary', 'Accept-Encoding']
}

/** The coded body is another representation of the same thing: its tag is a weak one, and there are no ranges of it (RFC 9110 §8.8.1, §14.3). */
function codedFields(fields: Fields, coding: Coding): Fields {
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const [name, value] = [fields[at]!, fields[at + 1]!]
    const lower = name.toLowerCase()
    if (lower === 'content-length' || lower === 'accept-ranges' || lower === 'content-encoding') continue
    kept.push(name, lower === 'etag' && !value.startsWith('W/') ? `W/${value}` : value)
  }
  return varied([...kept, 'content-encoding', coding])
}

/** A body of a request, coded or taken apart on its way to the sink. */
class CodedBody implements BodySink, CodedOut {
  readonly #exchange: Exchange
  readonly #sink: BodySink
  readonly #coder: Coder
  readonly #maxBytes: number
  readonly #tell: (bytesIn: number, bytesOut: number) => void
  readonly #gate: BodyGate
  #trailers: Fields = []
  #bytesIn = 0
  #bytesOut = 0
  #isOver = false

  constructor(
    exchange: Exchange,
    sink: BodySink,
    make: (out: CodedOut) => Coder,
    maxBytes: number,
    tell: (bytesIn: number, bytesOut: number) => void,
  ) {
    this.#exchange = exchange
    this.#sink = sink
    this.#maxBytes = maxBytes
    this.#tell = tell
    this.#coder = make(this)
    this.#gate = gateOf(exchange)
    this.#gate.coder = this.#coder
  }

  data(bytes: Uint8Array): void {
    this.#bytesIn += bytes.length
    this.#coder.write(bytes)
    if (this.#coder.waiting >= mostWaiting) this.#gate.holdCaller(true)
  }
  end(trailers: Fields): void {
    this.#trailers = trailers
    this.#exchange.isBodyHeld = true
    this.#coder.end()
  }
  flush(): void {
    // A caller that does not say how much comes may wait for answers to its pieces.
    if (!this.#exchange.isBodyHeld && typeof this.#exchange.length !== 'number') this.#coder.flush()
  }
  gone(code?: number): void {
    this.stop()
    this.#sink.gone(code)
  }
  stop(): void {
    this.#isOver = true
    this.#coder.drop()
    this.#sink.stop?.()
  }

  // CodedOut

  coded(bytes: Uint8Array): void {
    this.#bytesOut += bytes.length
    this.#exchange.late(() => {
      if (this.#bytesOut > this.#maxBytes) {
        this.stop()
        throw new Failure('request-too-large', `the body comes to more than ${this.#maxBytes} bytes when it is decompressed`)
      }
      this.#sink.data(bytes)
      this.#sink.flush()
    })
  }
  allCoded(): void {
    if (this.#isOver) return
    this.#exchange.isBodyHeld = false
    this.#tell(this.#bytesIn, this.#bytesOut)
    this.#exchange.late(() => {
      this.#sink.end(this.#trailers)
      this.#sink.flush()
    })
  }
  failed(why: string): void {
    this.#exchange.late(() => {
      throw new Failure('bad-request', `the body is not in the coding that Content-Encoding names (${why})`)
    })
  }
  drained(): void {
    this.#gate.holdCaller(false)
  }
}

/** The sink says to the caller that it takes no more: what is coded already is held back then too. */
class BodyGate extends Shaper {
  coder: Coder | undefined

  override readBody(open: boolean): void {
    if (open) this.coder?.resume()
    else this.coder?.pause()
    this.inner.readBody(open)
  }
  /** Too much waits to be coded. */
  holdCaller(isHeld: boolean): void {
    this.inner.readBody(!isHeld)
  }
}

const gates = new WeakMap<Exchange, BodyGate>()

function gateOf(exchange: Exchange): BodyGate {
  let gate = gates.get(exchange)
  if (gate === undefined) {
    gates.set(exchange, (gate = new BodyGate(exchange)))
    exchange.wrap(gate)
  }
  return gate
}
