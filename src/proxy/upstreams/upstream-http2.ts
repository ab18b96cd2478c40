/** One exchange on an HTTP/2 connection to an endpoint: request out, answer back, credit given as bytes are passed on. */

import { Failure, type FailureCode } from '#base/failure'
import { type Fields, field, forwardable, type RequestHead, type ResponseHead, withField } from '#wire/http1'
import { type ClientCodec2, type ClientEvent2, errorCodes } from '#wire/http2'
import { breakOffAnswer, refusalOf } from '../requests/answer.ts'
import type { Exchange } from '../requests/exchange.ts'
import type { BodySink } from '../requests/ends.ts'
import { statusOfReset } from '../requests/grpc.ts'
import { unwrap, wrapHttp1 } from './hop.ts'
import type { Outcome, Upstream } from './upstream.ts'
import { acceptOf } from './websocket.ts'

/** The connection, as its exchanges see it. */
export interface Carrier {
  readonly identity: string | undefined
  readonly isWeft: boolean
  readonly codec: ClientCodec2
  readonly settled: Promise<void>
  /** Exchanges completed. */
  readonly served: number
  /** One that was to be carried has begun, or will not. */
  release(): void
  begin(id: number, upstream: Http2Upstream): void
  over(id: number): void
  /** Writes, at the end of this turn, what the codec holds. */
  flush(): void
}

type StreamEvent = Extract<ClientEvent2, { readonly stream: number }>

export class Http2Upstream implements Upstream, BodySink {
  readonly #carrier: Carrier
  #id = 0
  #exchange: Exchange | undefined
  #outcome: Outcome | undefined
  #editResponse: ((head: ResponseHead) => ResponseHead) | undefined
  #isAnswered = false
  /** The request is out as a whole. */
  #isSent = false
  /** The answer is in as a whole. */
  #isWhole = false
  /** The request that offers another protocol has ended, as it does in HTTP/1; what it opens goes on. */
  #hasOffered = false
  /** Something of the answer waits for `passOn`. */
  #isTouched = false
  /** Bytes of the answer that its reader has not taken yet: the peer gets no credit for them. */
  #owed = 0
  /** Room on the connection is kept for it until it begins. */
  #isReserved = true

  constructor(carrier: Carrier) {
    this.#carrier = carrier
  }

  get identity(): string | undefined {
    return this.#carrier.identity
  }
  get isAnswered(): boolean {
    return this.#isAnswered
  }
  get isReused(): boolean {
    return this.#carrier.served > 0 && !this.#isAnswered
  }

  relay(exchange: Exchange, head: RequestHead, editResponse: (head: ResponseHead) => ResponseHead, outcome: Outcome): void {
    this.#exchange = exchange
    this.#editResponse = editResponse
    this.#outcome = outcome
    exchange.onWritable = this.#credited
    // Whether the peer takes other protocols is known when its settings are.
    if (exchange.upgrade !== undefined && !this.#carrier.codec.allowsProtocol)
      void this.#carrier.settled.then(() => this.#send(exchange, head))
    else this.#send(exchange, head)
  }
  readonly #credited = (): void => this.#credit()

  #send(exchange: Exchange, head: RequestHead): void {
    if (this.#exchange !== exchange) return
    const { codec, isWeft } = this.#carrier
    const { upgrade } = exchange
    this.#release()
    if (!codec.canOpen) return this.#finish(new Failure('stream-refused', 'the connection takes no more'))
    if (upgrade !== undefined && !codec.allowsProtocol)
      return this.#finish(new Failure('not-implemented', `the endpoint takes no ${upgrade} over HTTP/2 (RFC 8441)`))
    this.#isSent = exchange.sentLength === 0 && !isOffer(exchange)
    const named = withAuthority(head.fields, exchange)
    const fields = isWeft && exchange.isHttp1 ? wrapHttp1(named) : named
    try {
      this.#id = codec.open({
        head: { method: upgrade === undefined ? head.method : 'CONNECT', target: head.target, minor: 1, fields },
        scheme: this.identity === undefined ? 'http' : 'https',
        length: exchange.sentLength === 'close' || isOffer(exchange) ? 'chunked' : exchange.sentLength,
        protocol: upgrade,
        isEnd: this.#isSent,
      })
    } catch (thrown) {
      // What HTTP/1 lets pass and HTTP/2 does not, such as a Host that is none.
      return this.#finish(new Failure('bad-request', thrown instanceof Error ? thrown.message : String(thrown)))
    }
    this.#carrier.begin(this.#id, this)
    try {
      exchange.readBody(this)
    } catch (thrown) {
      this.fail(thrown, 'bad-request')
    }
    this.#carrier.flush()
  }

  #release(): void {
    if (!this.#isReserved) return
    this.#isReserved = false
    this.#carrier.release()
  }

  // The request body, from the caller.

  data(bytes: Uint8Array): void {
    if (this.#exchange === undefined || this.#isSent) return
    const { codec } = this.#carrier
    codec.send({ type: 'data', stream: this.#id, bytes })
    if (!codec.isWritable(this.#id)) this.#exchange.caller.readBody(false)
  }
  end(trailers: readonly string[]): void {
    const exchange = this.#exchange
    if (exchange === undefined || this.#isSent) return
    if (isOffer(exchange) && !this.#hasOffered) {
      this.#hasOffered = true
      return
    }
    this.#isSent = true
    this.#carrier.codec.send({ type: 'end', stream: this.#id, trailers })
    if (!this.#isWhole) return
    // Nobody flushes what is over.
    this.#carrier.flush()
    this.#finish(undefined)
  }
  flush(): void {
    this.#carrier.flush()
  }
  /** code: that of the caller, where it gave one. */
  gone(code?: number): void {
    this.#reset(code ?? errorCodes.cancel)
    this.#finish(undefined)
  }
  /** The time of the exchange is over. A tunnel that stands has no limit. */
  expire(failure: Failure): void {
    if (this.#exchange === undefined || this.#exchange.isTunnel) return
    this.#reset(errorCodes.cancel)
    this.broke(failure)
  }
  /** One side sent what the other cannot be told. */
  fail(thrown: unknown, code: FailureCode): void {
    if (this.#exchange === undefined) return
    if (thrown instanceof Failure) {
      this.#reset(errorCodes.cancel)
      return this.broke(thrown)
    }
    this.#exchange.bug = thrown
    this.#reset(errorCodes.cancel)
    this.broke(new Failure(code, thrown instanceof Error ? thrown.message : String(thrown)), errorCodes.internalError)
  }

  // The answer, from the endpoint.

  /** True when there is something new to pass on: `passOn` is to be called once the whole read was looked at. */
  receive(event: StreamEvent): boolean {
    const exchange = this.#exchange
    if (exchange === undefined) return false
    switch (event.type) {
      case 'informational':
        exchange.caller.informational(interim(this.#unwrapped(event.head)))
        return false
      case 'response':
        return this.#respond(exchange, event.head, event.length) && this.#touch()
      case 'data':
        exchange.sentBytes += event.bytes.length
        exchange.caller.data(event.bytes)
        this.#owed += event.bytes.length
        return this.#touch()
      case 'end':
        this.#isWhole = true
        exchange.grpcStatus = grpcStatusIn(event.trailers) ?? exchange.grpcStatus
        exchange.caller.end(event.trailers)
        return this.#touch()
      case 'writable':
        exchange.caller.readBody(true)
        return false
      case 'reset': {
        // The answer is whole and the rest of the request was not wanted (RFC 9113 §8.1).
        if (this.#isWhole) return false
        const failure = event.failure ?? new Failure('upstream-reset', `the stream was reset, code ${event.code}`)
        this.broke(event.isSafe ? new Failure('stream-refused') : failure, event.code)
        return false
      }
    }
  }

  #touch(): boolean {
    if (this.#isTouched) return false
    this.#isTouched = true
    return true
  }

  /** Writes to the caller what came in this read. */
  passOn(): void {
    this.#isTouched = false
    const exchange = this.#exchange
    if (exchange === undefined) return
    const isOpen = exchange.caller.flush()
    if (isOpen) this.#credit()
    if (!this.#isWhole) return
    // Of a tunnel only one half ended.
    if (exchange.isTunnel && !this.#isSent) return
    // The answer is whole before the request is: the rest of it is of no use to anyone (RFC 9113 §8.1).
    if (!this.#isSent || this.#carrier.codec.queued(this.#id) > 0) this.#reset(errorCodes.noError)
    this.#finish(undefined)
  }

  #respond(exchange: Exchange, received: ResponseHead, length: number | 'chunked'): boolean {
    const refused = refusalOf(received, this.identity, exchange)
    if (refused !== undefined) {
      this.#reset(errorCodes.cancel)
      this.#finish(refused)
      return false
    }
    this.#isAnswered = true
    if (length === 0) exchange.grpcStatus = grpcStatusIn(received.fields)
    const head = this.#editResponse!(this.#asHttp1(exchange, received))
    exchange.answeredBy(head.status)
    exchange.isTunnel = head.status === 101 || (exchange.method === 'CONNECT' && head.status < 300)
    exchange.caller.respond(head, length)
    return true
  }

  /** The form that the rest of the proxy knows: as HTTP/1 has it. */
  #asHttp1(exchange: Exchange, head: ResponseHead): ResponseHead {
    const passed = this.#unwrapped(head)
    if (exchange.upgrade === undefined || head.status !== 200) return passed
    const { fields } = passed
    const key = exchange.header('sec-websocket-key')
    const accepted =
      key === undefined || field(fields, 'sec-websocket-accept') !== undefined
        ? fields
        : withField(fields, 'Sec-WebSocket-Accept', acceptOf(key))
    return { status: 101, reason: 'Switching Protocols', minor: 1, fields: withField(accepted, 'Upgrade', exchange.upgrade) }
  }

  #unwrapped(head: ResponseHead): ResponseHead {
    return this.#carrier.isWeft ? { ...head, fields: unwrap(head.fields).fields } : head
  }

  #credit(): void {
    if (this.#owed === 0 || this.#exchange === undefined) return
    this.#carrier.codec.consumed(this.#id, this.#owed)
    this.#owed = 0
    this.#carrier.flush()
  }

  /** The stream or its connection is lost. code: what the endpoint gave as the reason, if it did. */
  broke(failure: Failure, code?: number): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    if (code !== undefined && failure.code !== 'stream-refused' && exchange.isGrpc) exchange.grpcStatus = statusOfReset(code)
    if (!this.#isAnswered) return this.#finish(failure)
    this.#finish(undefined)
    breakOffAnswer(exchange, failure, code)
  }

  #reset(code: number): void {
    if (this.#id === 0 || this.#exchange === undefined) return
    this.#carrier.codec.send({ type: 'reset', stream: this.#id, code })
    this.#carrier.flush()
  }

  #finish(failure: Failure | undefined): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    // What the caller has not taken yet still counts against the connection.
    exchange.onWritable = this.#owed === 0 ? undefined : () => this.#settleDebt(exchange)
    exchange.stopBody()
    this.#exchange = undefined
    this.#release()
    if (this.#id !== 0) this.#carrier.over(this.#id)
    this.#outcome?.settled(failure)
  }

  #settleDebt(exchange: Exchange): void {
    exchange.onWritable = undefined
    this.#carrier.codec.consumed(this.#id, this.#owed)
    this.#owed = 0
    this.#carrier.flush()
  }

  close(): void {
    this.#release()
    this.gone()
  }
}

/** What it offers must be accepted before bytes of it may pass; the request itself has no body. */
const isOffer = ({ upgrade, method }: Exchange): boolean => upgrade !== undefined || method === 'CONNECT'

/** HTTP/1.0 may do without Host; some servers of HTTP/2 reset what has no authority. */
const withAuthority = (fields: Fields, { entry }: Exchange): Fields =>
  field(fields, 'host') === undefined ? withField(fields, 'host', entry.listener.service) : fields

const interim = (head: ResponseHead): ResponseHead => ({ ...head, fields: forwardable(head.fields) })

function grpcStatusIn(trailers: readonly string[]): number | undefined {
  const said = trailers.length === 0 ? undefined : field(trailers, 'grpc-status')
  return said === undefined ? undefined : Number(said)
}
