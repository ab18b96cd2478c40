/** One request and its answer, as the steps of `serve` see it, whatever protocol carries it. */

import type { RequestFacts } from '#model/match'
import type { Route } from '#model/view'
import type { Fields, Length, RequestHead, ResponseHead } from '#wire/http1'
import { field } from '#wire/http1'
import type { Entry } from './entry.ts'

/** Takes a request body as it arrives; `flush` says that no more comes in this turn, so write what you hold. */
export interface BodySink {
  data(bytes: Uint8Array): void
  end(trailers: Fields): void
  flush(): void
  /** The caller is gone before the exchange was complete. */
  gone(): void
}

/** The caller's side of an exchange: implemented per protocol. */
export interface Caller {
  respond(head: ResponseHead, length: Length): void
  informational(head: ResponseHead): void
  data(bytes: Uint8Array): void
  end(trailers: Fields): void
  /** Writes what was handed over; false when the caller reads too slowly: `onWritable` is called when it goes on. */
  flush(): boolean
  /** Lets body bytes come, or holds them back. */
  readBody(open: boolean): void
  /** Breaks the answer off: the caller must see that it is not whole. code: of RFC 9113 §7, where the endpoint gave one. */
  abort(code?: number): void
}

export class Exchange implements RequestFacts {
  readonly head: RequestHead
  readonly length: Length
  readonly upgrade: string | undefined
  readonly expectsContinue: boolean
  readonly entry: Entry
  readonly caller: Caller
  /** Milliseconds of performance.now(). */
  readonly startedAt: number
  /** The version that the caller's own program speaks. */
  readonly isHttp1: boolean
  readonly path: string
  readonly search: string
  readonly host: string

  /** What the steps found, for metrics and answers. */
  route: Route | undefined
  service = ''
  workload = ''
  identity: string | undefined
  status = 0
  reason = ''
  /** Of a gRPC answer, when it is known. */
  grpcStatus: number | undefined
  receivedBytes = 0
  sentBytes = 0

  #sink: BodySink | undefined
  #held: Uint8Array[] = []
  #trailers: Fields | undefined
  isGone = false
  /** CONNECT or Upgrade was accepted: bytes pass both ways, each half ends by itself. */
  isTunnel = false
  /** Set by whoever relays the answer: the caller reads again. */
  onWritable: (() => void) | undefined
  /** Body bytes were handed to an upstream, so the request cannot be sent again. */
  isBodySpent = false

  constructor(
    head: RequestHead,
    length: Length,
    upgrade: string | undefined,
    expectsContinue: boolean,
    entry: Entry,
    caller: Caller,
    now: number,
    isHttp1 = true,
  ) {
    this.head = head
    this.length = length
    this.upgrade = upgrade
    this.expectsContinue = expectsContinue
    this.entry = entry
    this.caller = caller
    this.startedAt = now
    this.isHttp1 = isHttp1
    const target = head.target
    // absolute-form (RFC 9112 §3.2.2): from clients that were given this proxy by HTTP_PROXY
    const slash = target.charCodeAt(0) === 47 ? 0 : target.indexOf('/', target.indexOf('://') + 3)
    const mark = target.indexOf('?')
    this.path = slash < 0 ? (target === '*' ? '*' : '/') : target.slice(slash, mark < 0 ? undefined : mark)
    this.search = mark < 0 ? '' : target.slice(mark + 1)
    this.host =
      slash > 0 || (slash < 0 && target.includes('://'))
        ? target.slice(target.indexOf('://') + 3, slash < 0 ? undefined : slash)
        : (field(head.fields, 'host') ?? '')
  }

  get method(): string {
    return this.head.method
  }

  header(name: string): string | undefined {
    const fields = this.head.fields
    let joined: string | undefined
    for (let at = 0; at < fields.length; at += 2) {
      const key = fields[at]!
      if (key.length === name.length && key.toLowerCase() === name)
        joined = joined === undefined ? fields[at + 1]! : `${joined},${fields[at + 1]!}`
    }
    return joined
  }

  get isBodyComplete(): boolean {
    return this.#trailers !== undefined
  }

  // From the caller's connection.

  bodyData(bytes: Uint8Array): void {
    this.receivedBytes += bytes.length
    if (this.#sink !== undefined) this.#sink.data(bytes)
    else {
      this.#held.push(bytes)
      this.caller.readBody(false)
    }
  }

  bodyEnd(trailers: Fields): void {
    this.#trailers = trailers
    this.#sink?.end(trailers)
  }

  bodyFlush(): void {
    this.#sink?.flush()
  }

  callerGone(): void {
    this.isGone = true
    this.#sink?.gone()
  }

  // From the relaying side.

  /** Sends the body, what was held first, to a sink. */
  readBody(sink: BodySink): void {
    this.#sink = sink
    if (this.#held.length > 0 || this.#trailers === undefined) this.isBodySpent = this.length !== 0
    for (const bytes of this.#held) sink.data(bytes)
    this.#held = []
    if (this.#trailers !== undefined) sink.end(this.#trailers)
    else this.caller.readBody(true)
  }

  /** Takes the sink away again; body bytes are held back from now on. */
  stopBody(): void {
    this.#sink = undefined
  }
}
