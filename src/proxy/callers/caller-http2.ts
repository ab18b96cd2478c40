/** The caller of one exchange on an HTTP/2 connection: answers become frames, credit is given as the body is passed on. */

import { type Fields, type Length, type ResponseHead, withoutField } from '#wire/http1'
import { type BodyEvent2, errorCodes, type ServerCodec2 } from '#wire/http2'
import type { Exchange } from '../requests/exchange.ts'
import type { Caller } from '../requests/ends.ts'
import { wrapHttp1 } from '../upstreams/hop.ts'

/** The connection, as its streams see it. */
export interface Connection {
  readonly codec: ServerCodec2
  readonly isWeft: boolean
  flush(): void
  over(stream: number, exchange: Exchange): void
}

type StreamEvent = Extract<BodyEvent2, { readonly stream: number }>

export class Http2Caller implements Caller {
  exchange: Exchange | undefined
  readonly #connection: Connection
  readonly #stream: number
  /** Asked for another protocol (CONNECT, also that of RFC 8441): what it sends is held until that is agreed. As no credit is given for it, that is one window at most. */
  readonly #isOffer: boolean
  #held: StreamEvent[] = []
  /** A head whose body is empty so far: if it stays so, the end goes with it. */
  #head: { readonly head: ResponseHead; readonly length: number | 'chunked' } | undefined
  #isOpen = true
  #hasEnded = false
  #hasBegun = false
  #hasSent = false
  /** Of what was sent no more is left than leaves at once. */
  #isTaken = false
  /** Body bytes that were passed on and not yet credited. */
  #owed = 0

  constructor(connection: Connection, stream: number, isOffer: boolean) {
    this.#connection = connection
    this.#stream = stream
    this.#isOffer = isOffer
  }

  receive(event: StreamEvent): void {
    const exchange = this.exchange
    if (exchange === undefined) return
    if (this.#isOffer && !exchange.isTunnel && (event.type === 'data' || event.type === 'end')) {
      this.#held.push(event)
      return
    }
    switch (event.type) {
      case 'data':
        this.#owed += event.bytes.length
        exchange.bodyData(event.bytes)
        exchange.bodyFlush()
        if (this.#isOpen) this.#credit()
        return
      case 'end':
        this.#hasEnded = true
        exchange.bodyEnd(event.trailers)
        exchange.bodyFlush()
        if (this.#hasSent && this.#isTaken) this.#finish()
        return
      case 'reset':
        return this.gone(event.code)
      case 'writable':
        if (!this.#hasSent) return exchange.writable()
        this.#isTaken = true
        if (this.#hasEnded || !exchange.isTunnel) this.#finish()
    }
  }

  /** Reset by the caller, or lost with its connection. */
  gone(code?: number): void {
    const exchange = this.exchange
    if (exchange === undefined) return
    this.exchange = undefined
    if (!exchange.isTunnel) exchange.reason ||= 'caller-gone'
    exchange.callerGone(code)
    this.#connection.over(this.#stream, exchange)
  }

  #credit(): void {
    if (this.#owed === 0) return
    this.#connection.codec.consumed(this.#stream, this.#owed)
    this.#owed = 0
    this.#connection.flush()
  }

  // Caller

  respond(head: ResponseHead, length: Length): void {
    const exchange = this.exchange
    if (exchange === undefined) return
    const isAgreed = this.#isOffer && (head.status === 101 || (exchange.method === 'CONNECT' && head.status < 300))
    // An accepted offer is a 200 here (RFC 8441 §5), without the field by which HTTP/1 says so.
    const plain = head.status === 101 ? { ...head, status: 200, fields: withoutField(head.fields, 'upgrade') } : head
    this.#head = { head: this.#wrapped(plain, exchange), length: isAgreed || length === 'close' ? 'chunked' : length }
    if (!isAgreed) return
    this.#sendHead(false)
    exchange.isTunnel = true
    for (const event of this.#held.splice(0)) this.receive(event)
  }
  #wrapped(head: ResponseHead, exchange: Exchange): ResponseHead {
    return this.#connection.isWeft && exchange.isHttp1 ? { ...head, fields: wrapHttp1(head.fields) } : head
  }
  #sendHead(isEnd: boolean): void {
    if (this.#head === undefined) return
    this.#hasBegun = true
    this.#connection.codec.send({ type: 'response', stream: this.#stream, ...this.#head, isEnd })
    this.#head = undefined
  }
  informational(head: ResponseHead): void {
    if (this.exchange === undefined) return
    this.#connection.codec.send({ type: 'informational', stream: this.#stream, head: this.#wrapped(head, this.exchange) })
    this.#connection.flush()
  }
  data(bytes: Uint8Array): void {
    this.#sendHead(false)
    this.#connection.codec.send({ type: 'data', stream: this.#stream, bytes })
  }
  end(trailers: Fields): void {
    const { codec } = this.#connection
    this.#hasSent = true
    if (this.#head !== undefined && trailers.length === 0) {
      this.#isTaken = true
      return this.#sendHead(true)
    }
    this.#sendHead(false)
    // When not, the codec says so as soon as all of it is written: until then the exchange goes on, and its endpoint gets no more credit.
    this.#isTaken = codec.isWritable(this.#stream)
    codec.send({ type: 'end', stream: this.#stream, trailers })
  }
  flush(): boolean {
    const { codec } = this.#connection
    this.#sendHead(false)
    this.#connection.flush()
    if (!this.#hasSent) return !this.#hasBegun || codec.isWritable(this.#stream)
    if (this.#isTaken && (this.#hasEnded || this.exchange?.isTunnel !== true)) this.#finish()
    return this.#isTaken
  }

  #finish(): void {
    const exchange = this.exchange
    if (exchange === undefined) return
    // What was held back for a reader that wants no more counts against the whole connection.
    this.#credit()
    this.exchange = undefined
    this.#connection.over(this.#stream, exchange)
  }

  readBody(open: boolean): void {
    this.#isOpen = open
    if (open) this.#credit()
  }

  /** code: what broke the answer off, where the endpoint said so in HTTP/2. */
  abort(code: number = errorCodes.internalError): void {
    const exchange = this.exchange
    if (exchange === undefined) return
    this.#connection.codec.send({ type: 'reset', stream: this.#stream, code })
    this.#connection.flush()
    this.#finish()
  }
}
