/** An HTTP/1.1 connection to an endpoint: carries one exchange at a time, then is kept for the next. */

import { Failure, type FailureCode } from '#base/failure'
import { readBytes, type Socket } from '#io/net'
import { type ClientEvent, clientCodec, field, forwardable, type RequestHead, type ResponseHead } from '#wire/http1'
import { breakOffAnswer, refusalOf } from '../requests/answer.ts'
import type { Exchange } from '../requests/exchange.ts'
import type { BodySink } from '../requests/ends.ts'
import type { Connected } from './reach.ts'
import { Turn } from '../callers/turn.ts'
import type { Outcome, Upstream } from './upstream.ts'
import { withKey } from './websocket.ts'

/** How an idle connection is judged when its peer said nothing (RFC 9112 has no default; most servers keep a minute or more). */
const defaultIdleMs = 55_000

export class Http1Upstream implements Upstream, BodySink {
  readonly identity: string | undefined
  readonly #socket: Socket
  readonly #codec = clientCodec()
  readonly #turn = new Turn()
  readonly #onIdle: (upstream: Http1Upstream) => void
  #exchange: Exchange | undefined
  #outcome: Outcome | undefined
  #editResponse: ((head: ResponseHead) => ResponseHead) | undefined
  #hasAnswered = false
  #isDead = false
  #isTunnelShut = false
  #isTunnelOver = false
  #idleSince = 0
  #idleMs = defaultIdleMs

  constructor({ socket, identity }: Connected, onIdle: (upstream: Http1Upstream) => void) {
    this.#socket = socket
    this.identity = identity
    this.#onIdle = onIdle
    socket.on('drain', () => this.#exchange?.caller.readBody(true))
    socket.on('end', () => this.#take(this.#codec.receiveEnd(), true))
    socket.on('error', () => {})
    socket.on('close', () => this.#lost())
    readBytes(socket, bytes => this.#take(this.#codec.receive(bytes)))
    socket.resume()
  }

  get isUsable(): boolean {
    return !this.#isDead
  }
  isStale(now: number): boolean {
    return now - this.#idleSince > this.#idleMs
  }
  /** A byte came back for this request. */
  get isAnswered(): boolean {
    return this.#codec.isAnswered
  }
  /** It carried a request before, and nothing came back for this one: the peer may have closed it just then (RFC 9112 §9.3.1). */
  get isReused(): boolean {
    return this.#codec.exchanges > 0 && !this.#codec.isAnswered
  }

  relay(exchange: Exchange, head: RequestHead, editResponse: (head: ResponseHead) => ResponseHead, outcome: Outcome): void {
    this.#exchange = exchange
    this.#editResponse = editResponse
    this.#outcome = outcome
    this.#hasAnswered = false
    exchange.onWritable = this.#resume
    const isWebSocket = exchange.upgrade !== undefined && /\bwebsocket\b/i.test(exchange.upgrade)
    const asked = isWebSocket ? { ...head, fields: withKey(head.fields) } : head
    try {
      // CONNECT and what offers another protocol have no body of their own.
      this.#codec.send({ type: 'request', head: asked, length: exchange.sentLength, upgrade: exchange.upgrade })
      exchange.readBody(this)
    } catch (thrown) {
      return this.#fail(thrown, 'bad-request')
    }
    this.flush()
  }
  readonly #resume = (): void => void this.#socket.resume()

  // The request body, from the caller.

  data(bytes: Uint8Array): void {
    if (this.#exchange !== undefined) this.#codec.send({ type: 'data', bytes })
  }
  end(trailers: readonly string[]): void {
    if (this.#exchange === undefined) return
    this.#isTunnelShut = this.#codec.tunnel
    this.#codec.send({ type: 'end', trailers })
  }
  flush(): void {
    if (this.#isDead) return
    let isOpen = true
    const owed = this.#codec.drain()
    if (owed.length > 1) this.#socket.cork()
    for (const bytes of owed) isOpen = this.#socket.write(bytes)
    if (owed.length > 1) this.#socket.uncork()
    if (this.#isTunnelShut) this.#socket.end()
    if (!isOpen) this.#exchange?.caller.readBody(false)
  }
  gone(): void {
    this.#finish(undefined)
    this.close()
  }
  /** One side sent what the other cannot be told. */
  #fail(thrown: unknown, code: FailureCode): void {
    if (this.#exchange === undefined) return
    if (thrown instanceof Failure) return this.#broke(thrown)
    this.#exchange.bug = thrown
    this.#broke(new Failure(code, thrown instanceof Error ? thrown.message : String(thrown)))
  }
  /** The time of the exchange is over. A tunnel that stands has no limit. */
  expire(failure: Failure): void {
    if (this.#exchange?.isTunnel === false) this.#broke(failure)
  }

  // The answer, from the endpoint.

  #take(events: readonly ClientEvent[], ended = false): void {
    try {
      this.#follow(events, ended)
    } catch (thrown) {
      this.#fail(thrown, 'upstream-invalid')
    }
  }

  #follow(events: readonly ClientEvent[], ended: boolean): void {
    const exchange = this.#exchange
    for (const event of events) {
      if (exchange === undefined || this.#exchange !== exchange) break
      switch (event.type) {
        case 'informational':
          exchange.caller.informational({ ...event.head, fields: forwardable(event.head.fields) })
          break
        case 'response': {
          const refused = refusalOf(event.head, this.identity, exchange)
          if (refused !== undefined) return this.#broke(refused)
          this.#hasAnswered = true
          const head = this.#editResponse!(event.head)
          exchange.answeredBy(head.status)
          exchange.isTunnel = this.#codec.tunnel
          this.#idleMs = keptFor(event.head) // the edited head has lost Keep-Alive, which is for this hop only
          exchange.caller.respond(head, event.length)
          break
        }
        case 'data':
          exchange.sentBytes += event.bytes.length
          exchange.caller.data(event.bytes)
          break
        case 'end':
          exchange.caller.end(event.trailers)
          // Of a tunnel only one half ended; it is over when the connection closes.
          if (exchange.isTunnel) this.#isTunnelOver = true
          else this.#complete(exchange)
          break
        case 'failed':
          this.#broke(event.failure)
          break
      }
    }
    if (exchange !== undefined && events.length > 0) {
      if (events.at(-1)?.type === 'data' && !exchange.isTunnel)
        this.#turn.atEnd(() => this.#exchange === exchange && this.#flushTo(exchange))
      else this.#flushTo(exchange)
    }
    if ((ended && !this.#isTunnelOver) || (exchange === undefined && events.length > 0)) this.close()
  }

  #flushTo(exchange: Exchange): void {
    if (!exchange.caller.flush() && this.#exchange === exchange) this.#socket.pause()
  }

  #complete(exchange: Exchange): void {
    const whole = exchange.isBodyComplete && !this.#codec.mustClose && !this.#codec.tunnel
    if (!exchange.isBodyComplete) exchange.stopBody()
    this.#finish(undefined)
    if (whole && !this.#isDead) {
      this.#idleSince = Date.now()
      if (this.#socket.isPaused()) this.#socket.resume()
      this.#onIdle(this)
    } else this.close()
  }

  #lost(): void {
    this.#isDead = true
    if (this.#isTunnelOver) this.#finish(undefined)
    this.#broke(new Failure('upstream-reset', this.isReused ? 'a kept connection was closed' : 'before an answer'))
  }

  #broke(failure: Failure): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    if (!this.#hasAnswered) this.#finish(failure)
    else {
      this.#finish(undefined)
      breakOffAnswer(exchange, failure)
    }
    this.close()
  }

  #finish(failure: Failure | undefined): void {
    const outcome = this.#outcome
    if (this.#exchange !== undefined) this.#exchange.onWritable = undefined
    this.#exchange = undefined
    this.#outcome = undefined
    outcome?.settled(failure)
  }

  close(): void {
    this.#isDead = true
    this.#socket.destroy()
  }
}

/** `Keep-Alive: timeout=5`: use it for one second less, so that the peer does not close under our hands. Milliseconds. */
function keptFor(head: ResponseHead): number {
  const said = field(head.fields, 'keep-alive')
  if (said === undefined) return defaultIdleMs
  const seconds = /timeout=(\d+)/.exec(said)?.[1]
  return seconds === undefined ? defaultIdleMs : Math.max(500, Number(seconds) * 1000 - 1000)
}
