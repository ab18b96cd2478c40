/** A caller's HTTP/1.1 connection: bytes to requests, answers to bytes, one exchange at a time in order (pipelining waits in the codec). */

import { noBytes } from '#base/bytes'
import { Failure, type FailureCode } from '#base/failure'
import { breakOff, closeInOrder, readBytes, type Socket } from '#io/net'
import { type Fields, type Length, type RequestHead, type ResponseHead, type ServerEvent, serverCodec } from '#wire/http1'
import { answer } from '../requests/answer.ts'
import type { Entry } from '../telemetry/entry.ts'
import { Exchange } from '../requests/exchange.ts'
import type { Caller } from '../requests/ends.ts'
import { Turn } from './turn.ts'

/** Which listener a request met: the same for all of a captured connection, each its own for a client that was given a proxy by HTTP_PROXY. */
export type EntryOf = (head: RequestHead) => Entry

export const nothingAsked: RequestHead = { method: 'GET', target: '/', minor: 1, fields: [] }

export type OnExchange = {
  readonly begin: (exchange: Exchange) => void
  readonly done: (exchange: Exchange) => void
  /** A request that never became one, and what it was answered: 0 where its stream was reset. */
  readonly refused: (entry: Entry, failure: Failure, status: number) => void
  /** The connection is ended for what came on it. */
  readonly failed: (entry: Entry, failure: Failure) => void
}

/** A connection of callers, whatever it speaks. */
export interface CallerConnection {
  /** After the exchanges under way, if any, it closes. */
  drain(): void
  /** The caller learns with its next answer that it should connect anew, and is served until then. */
  retire(): void
  /** Breaks off now; reason: what is counted for an exchange under way. */
  cut(reason: FailureCode): void
  /** Ends what is too slow or idles too long. now: performance.now(). */
  sweep(now: number): void
}

/** How long a caller that has closed its half waits for an answer, or for more of it. Envoy, nginx, Go and Node do not let it wait at all. */
const doubtMs = 2_000

/** How long a head may take from its first byte, and a connection be kept without one. */
const headMs = 60_000
const idleMs = 3_600_000

export class Downstream implements Caller, CallerConnection {
  readonly #socket: Socket
  readonly #entryOf: EntryOf
  readonly #on: OnExchange
  readonly #codec = serverCodec()
  readonly #turn = new Turn()
  #exchange: Exchange | undefined
  #isDraining = false
  #isFinished = false
  #isTunnelShut = false
  /** Who takes the body wants more of it. */
  #isBodyOpen = true
  #lastActive = performance.now()
  /** When the first byte of a head came that is not complete. */
  #headSince: number | undefined
  /** Events are being handed over; there are more behind them. */
  #isTaking = false
  #holdsMore = false

  /** first: bytes that were read before this connection was known to be HTTP. */
  constructor(socket: Socket, entryOf: EntryOf, on: OnExchange, first?: Uint8Array) {
    this.#socket = socket
    this.#entryOf = entryOf
    this.#on = on
    socket.on('end', () => this.#ended())
    socket.on('drain', () => (this.#isFinished ? this.#finish() : this.#exchange?.writable()))
    socket.on('error', () => {})
    socket.on('close', () => this.#gone())
    if (first !== undefined) this.#take(this.#codec.receive(first))
    readBytes(socket, bytes => this.#take(this.#codec.receive(bytes)))
    socket.resume()
  }

  /** What the codec holds back until an answer is complete comes after what is being taken, which is of the request before. */
  #take(events: readonly ServerEvent[]): void {
    this.#isTaking = true
    try {
      this.#deliver(events)
      while (this.#holdsMore) {
        this.#holdsMore = false
        this.#deliver(this.#codec.receive(noBytes))
      }
    } finally {
      this.#isTaking = false
    }
    if (!this.#codec.wantsBytes && !this.#socket.isPaused()) this.#socket.pause()
    // Its time counts from its first byte, however slowly the others follow.
    this.#headSince = this.#exchange !== undefined || this.#codec.isIdle ? undefined : (this.#headSince ?? this.#lastActive)
  }

  #deliver(events: readonly ServerEvent[]): void {
    this.#lastActive = performance.now()
    for (const event of events) {
      switch (event.type) {
        case 'request':
          this.#exchange = new Exchange(
            event.head,
            event.length,
            event.upgrade,
            event.expectsContinue,
            this.#entryOf(event.head),
            this,
            this.#lastActive,
          )
          this.#on.begin(this.#exchange)
          break
        case 'data':
          this.#exchange?.bodyData(event.bytes)
          break
        case 'end':
          this.#exchange?.bodyEnd(event.trailers)
          break
        case 'failed':
          this.#refuse(event.failure)
          break
      }
    }
    const exchange = this.#exchange
    if (exchange !== undefined) {
      if (events.at(-1)?.type === 'data' && !exchange.isTunnel) this.#turn.atEnd(() => this.#exchange?.bodyFlush())
      else exchange.bodyFlush()
    }
  }

  /** What was read is not HTTP: the mesh answers, unless an answer to the same request has begun. */
  #refuse(failure: Failure): void {
    const running = this.#exchange
    if (running !== undefined) {
      const { upstream } = running
      if (running.status === 0) answer(running, failure)
      running.callerGone()
      // Answered here, it is no more the caller's: whoever carried it on would wait for the rest for ever.
      upstream?.close()
      if (this.#exchange === running) this.abort()
      return
    }
    // The rest of a request that was answered, the last one here.
    if (this.#socket.writableEnded) return
    const exchange = new Exchange(nothingAsked, 0, undefined, false, this.#entryOf(nothingAsked), this, performance.now())
    this.#exchange = exchange
    answer(exchange, failure)
  }

  #ended(): void {
    this.#take(this.#codec.receiveEnd())
    if (this.#exchange === undefined) this.#socket.end()
    else if (!this.#exchange.isTunnel) {
      this.#isDraining = true
      this.#doubt(this.#exchange)
    }
  }

  /** Whether a caller that sends no more still listens cannot be seen before something is written to it: as long as bytes pass it does, else it is gone. */
  #doubt(exchange: Exchange): void {
    const sent = exchange.sentBytes + exchange.status
    setTimeout(() => {
      if (this.#exchange !== exchange) return
      if (exchange.sentBytes + exchange.status === sent) this.#socket.destroy()
      else this.#doubt(exchange)
    }, doubtMs).unref()
  }

  #gone(): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    if (exchange !== undefined) {
      if (!exchange.isTunnel) exchange.reason ||= 'caller-gone'
      exchange.callerGone()
      this.#on.done(exchange)
    }
    this.#socket.destroy()
  }

  drain(): void {
    this.#isDraining = true
    if (this.#exchange === undefined) this.#socket.end(() => this.#socket.destroy())
  }

  retire(): void {
    this.#isDraining = true
  }
  cut(reason: FailureCode): void {
    if (this.#exchange !== undefined) this.#exchange.reason ||= reason
    this.#socket.destroy()
  }

  /** A slow head is answered 408. */
  sweep(now: number): void {
    if (this.#exchange !== undefined) return
    if (this.#headSince !== undefined && now - this.#headSince > headMs) this.#refuse(new Failure('request-timeout'))
    else if (now - this.#lastActive > idleMs) this.#socket.destroy()
  }

  // Caller

  respond(head: ResponseHead, length: Length): void {
    // What the mesh answers itself may come before the body did (RFC 9112 §9.6).
    const isRestUnread = this.#exchange?.isBodyUnread === true
    this.#codec.send({ type: 'response', head, length, close: this.#isDraining, isRestUnread })
  }
  informational(head: ResponseHead): void {
    this.#codec.send({ type: 'informational', head })
    this.flush()
  }
  data(bytes: Uint8Array): void {
    this.#codec.send({ type: 'data', bytes })
  }
  end(trailers: Fields): void {
    this.#codec.send({ type: 'end', trailers })
    if (this.#exchange?.isTunnel) this.#isTunnelShut = true
    else this.#isFinished = true
  }

  flush(): boolean {
    const owed = this.#codec.drain()
    if (owed.length > 1) this.#socket.cork()
    for (const bytes of owed) this.#socket.write(bytes)
    if (owed.length > 1) this.#socket.uncork()
    const isOpen = !this.#socket.writableNeedDrain
    if (this.#isTunnelShut) this.#socket.end()
    if (this.#exchange?.isTunnel && !this.#codec.wantsBytes) this.#openTunnel()
    if (!this.#isFinished) return isOpen
    // A caller that does not read its answers gets no more of them: the next request waits until this one is taken.
    if (isOpen) this.#finish()
    else this.#socket.pause()
    return isOpen
  }

  /** What came before the offer was accepted belongs to what was offered. */
  #openTunnel(): void {
    this.#isBodyOpen = true
    this.#take(this.#codec.receive(noBytes))
    if (this.#isBodyOpen && this.#codec.wantsBytes) this.#socket.resume()
  }

  #finish(): void {
    this.#isFinished = false
    const exchange = this.#exchange
    this.#exchange = undefined
    if (exchange !== undefined) this.#on.done(exchange)
    if (this.#codec.mustClose || this.#isDraining) {
      closeInOrder(this.#socket)
      return
    }
    // The next request may have been held back by the codec or by a body that nobody wanted.
    if (this.#socket.isPaused()) this.#socket.resume()
    this.#lastActive = performance.now()
    if (this.#codec.wantsBytes) return
    if (this.#isTaking) this.#holdsMore = true
    else this.#take(this.#codec.receive(noBytes))
  }

  readBody(open: boolean): void {
    this.#isBodyOpen = open
    if (open) {
      if (this.#socket.isPaused() && this.#codec.wantsBytes) this.#socket.resume()
    } else this.#socket.pause()
  }

  abort(): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    if (exchange !== undefined) this.#on.done(exchange)
    breakOff(this.#socket)
  }
}
