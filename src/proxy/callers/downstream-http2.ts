/** A caller's HTTP/2 connection: bytes to streams, each an exchange of its own; what they write in one turn of the event loop leaves in one write. */

import { noBytes } from '#base/bytes'
import { IdMap } from '#base/id-map'
import { Failure, type FailureCode } from '#base/failure'
import { readBytes, type Socket } from '#io/net'
import { errorCodes, type ServerCodec2, serverCodec2, type ServerEvent2 } from '#wire/http2'
import { type Connection, Http2Caller } from './caller-http2.ts'
import { type CallerConnection, type EntryOf, nothingAsked, type OnExchange } from './downstream.ts'
import { Exchange } from '../requests/exchange.ts'
import { hopLimits, unwrap } from '../upstreams/hop.ts'
import { Turn } from './turn.ts'

/** Kept without a stream this long; what a browser or a client library keeps is less. */
const idleMs = 3_600_000
/** As long for the first stream. */
const firstMs = 60_000
/** As long from the beginning of a head to its end: nothing else can come on the connection meanwhile. */
const headMs = 60_000
/** A caller with streams of which nothing was heard for so long is asked for a sign of life; without one as long again it is given up. */
const silenceMs = 20_000

export class Http2Downstream implements CallerConnection, Connection {
  readonly codec: ServerCodec2
  /** The other end is a Weft proxy too: see hop.ts. */
  readonly isWeft: boolean
  readonly #socket: Socket
  readonly #entryOf: EntryOf
  readonly #on: OnExchange
  readonly #turn = new Turn()
  readonly #callers = new IdMap<Http2Caller>()
  #isCongested = false
  #isDead = false
  #isUsed = false
  #isAsked = false
  #lastActive = performance.now()
  #midHeadSince: number | undefined

  /** first: bytes that were read before this connection was known to be HTTP/2. */
  constructor(socket: Socket, entryOf: EntryOf, on: OnExchange, isWeft: boolean, first?: Uint8Array) {
    this.#socket = socket
    this.#entryOf = entryOf
    this.#on = on
    this.isWeft = isWeft
    this.codec = serverCodec2(isWeft ? hopLimits : {})
    socket.on('end', () => this.#ended())
    socket.on('drain', () => {
      this.#isCongested = false
      this.#write()
      if (!this.#isCongested) socket.resume()
    })
    socket.on('error', () => {})
    socket.on('close', () => this.#gone())
    if (first !== undefined) this.#take(this.codec.receive(first))
    readBytes(socket, bytes => this.#take(this.codec.receive(bytes)))
    socket.resume()
    this.flush()
  }

  #take(events: readonly ServerEvent2[]): void {
    this.#lastActive = performance.now()
    this.#isAsked = false
    for (const event of events) {
      switch (event.type) {
        case 'request':
          this.#begin(event)
          break
        case 'failed':
          this.#on.failed(this.#entryOf(nothingAsked), event.failure)
          return this.#fail()
        case 'refused':
          this.#on.refused(this.#entryOf(nothingAsked), event.failure, event.failure.code === 'header-too-large' ? 431 : 0)
          break
        case 'goaway':
        case 'pong':
          break
        default:
          this.#callers.get(event.stream)?.receive(event)
      }
    }
    this.flush()
  }

  #begin(event: Extract<ServerEvent2, { type: 'request' }>): void {
    this.#isUsed = true
    const { fields, isHttp1 } = this.isWeft ? unwrap(event.head.fields) : { fields: event.head.fields, isHttp1: false }
    const isOffer = event.head.method === 'CONNECT'
    const head = { method: event.protocol === undefined ? event.head.method : 'GET', target: event.head.target, minor: 1 as const, fields }
    const caller = new Http2Caller(this, event.stream, isOffer)
    const length = isOffer ? 0 : event.length
    const exchange = new Exchange(
      head,
      length,
      event.protocol,
      event.expectsContinue,
      this.#entryOf(head),
      caller,
      this.#lastActive,
      isHttp1,
    )
    caller.exchange = exchange
    this.#callers.set(event.stream, caller)
    // What offers another protocol has no body of its own, as in HTTP/1; what follows belongs to that protocol.
    if (isOffer) exchange.bodyEnd([])
    this.#on.begin(exchange)
  }

  over(stream: number, exchange: Exchange): void {
    if (this.#callers.delete(stream)) this.#on.done(exchange)
  }

  flush(): void {
    this.#turn.atEnd(this.#write)
  }
  readonly #write = (): void => {
    if (this.#isDead || this.#isCongested) return
    const owed = this.codec.drain()
    if (owed.length > 1) this.#socket.cork()
    for (const bytes of owed) if (!this.#socket.write(bytes)) this.#isCongested = true
    if (owed.length > 1) this.#socket.uncork()
    // A caller that does not read what it is sent is not listened to either.
    if (this.#isCongested) this.#socket.pause()
    if (this.codec.mustClose) this.#close()
    else if (this.codec.hasEvents) this.#take(this.codec.receive(noBytes))
  }

  #fail(): void {
    this.#loseAll()
    this.#isCongested = false
    this.#write()
    this.#close()
  }

  #loseAll(): void {
    for (const caller of this.#callers.values()) caller.gone()
  }

  #close(): void {
    if (this.#isDead) return
    this.#isDead = true
    this.#socket.end()
    this.#socket.resume()
    setTimeout(() => this.#socket.destroy(), 1000).unref()
  }

  #ended(): void {
    this.#take(this.codec.receiveEnd())
    if (this.#callers.size === 0) this.#close()
    else this.drain()
  }

  #gone(): void {
    this.#isDead = true
    this.#loseAll()
    this.#socket.destroy()
  }

  /** No new stream from now on; the connection closes after those under way. */
  drain(): void {
    if (this.#isDead) return
    this.codec.send({ type: 'goaway', code: 0 })
    this.flush()
  }

  retire(): void {
    this.drain()
  }
  cut(reason: FailureCode): void {
    for (const { exchange } of this.#callers.values()) if (exchange !== undefined) exchange.reason ||= reason
    this.#socket.destroy()
  }

  sweep(now: number): void {
    this.codec.tick(now)
    this.#midHeadSince = this.codec.isMidHead ? (this.#midHeadSince ?? now) : undefined
    if (this.#midHeadSince !== undefined && now - this.#midHeadSince > headMs) return this.#giveUp('a head was not completed in time')
    const silent = now - this.#lastActive
    if (this.#callers.size > 0) return this.#ask(silent)
    if (silent < (this.#isUsed ? idleMs : firstMs)) return
    this.drain()
    this.#write()
    this.#close()
  }

  /** One that does not read is not read either; its own sign of life are the bytes that it takes. */
  #ask(silentMs: number): void {
    if (this.#isCongested || silentMs < silenceMs) return
    if (this.#isAsked) {
      if (silentMs > 2 * silenceMs) this.#socket.destroy()
      return
    }
    this.#isAsked = true
    this.codec.send({ type: 'ping', token: 1 })
    this.flush()
  }

  #giveUp(why: string): void {
    this.#on.failed(this.#entryOf(nothingAsked), new Failure('request-timeout', why))
    this.codec.send({ type: 'goaway', code: errorCodes.enhanceYourCalm })
    this.#fail()
  }
}
