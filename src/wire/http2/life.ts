/** First chapter of a connection: what it consists of, and how its streams and it itself end. */

import { Failure } from '#base/failure'
import { Decoder, Encoder } from '../hpack.ts'
import type { BodyEvent2 } from './codec.ts'
import { type ErrorCode, errorCodes, Fault, largestStream } from './codes.ts'
import { writeGoaway, writeReset } from './frames/write.ts'
import { Guard } from './guard.ts'
import { HeadReader } from './head/read.ts'
import { HeadWriter } from './head/write.ts'
import type { Limits2 } from './limits.ts'
import { Output } from './output.ts'
import { PeerSettings } from './settings.ts'
import { SharedCredit } from './streams/flow.ts'
import { Sender } from './streams/send.ts'
import type { Stream } from './streams/stream.ts'
import { Streams } from './streams/table.ts'

export abstract class Life<Event> {
  protected readonly limits: Limits2
  protected readonly isServer: boolean
  protected readonly output = new Output()
  protected readonly encoder: Encoder
  protected readonly decoder = new Decoder()
  protected readonly peer: PeerSettings
  protected readonly heads: HeadWriter
  protected readonly head: HeadReader
  protected readonly sender: Sender
  protected readonly streams: Streams
  protected readonly shared: SharedCredit
  protected readonly guard: Guard
  /** Told by the next receive(). */
  protected events: (Event | BodyEvent2)[] = []
  /** The highest stream of the peer that is served, once a last GOAWAY said so. */
  protected lastServed = largestStream
  protected isOver = false

  protected constructor(limits: Limits2, isServer: boolean) {
    this.limits = limits
    this.isServer = isServer
    this.peer = new PeerSettings(limits.assumedMaxStreams)
    this.encoder = new Encoder(limits.headerTableBytes)
    this.heads = new HeadWriter(this.output, this.encoder)
    this.head = new HeadReader(this.decoder, limits.maxHeadBytes, limits.maxTrailerBytes, limits.maxFields)
    this.sender = new Sender(this.output, this.heads, limits.maxQueuedBytes, stream => this.flushed(stream))
    this.shared = new SharedCredit(limits.connectionWindow, limits.maxHeldBytes)
    this.streams = new Streams(isServer ? 0 : -1, this.sender, this.shared)
    this.guard = new Guard(limits)
  }

  /** RFC 9113 §5.1: a stream for which nothing but HEADERS and PRIORITY may come, as it was never opened. */
  protected isIdle(id: number): boolean {
    return id > this.streams.last || (id & 1) === 0
  }

  /** The peer's message is complete. */
  protected readEnd(stream: Stream, trailers: readonly string[]): void {
    if (stream.expected > 0) return this.broken(stream, errorCodes.protocolError, 'RFC 9113 §8.1.1: DATA does not add up to Content-Length')
    stream.read('end')
    this.events.push({ type: 'end', stream: stream.id, trailers })
    if (stream.isClosed) this.#ended(stream)
  }

  /** Our message is complete and written. */
  protected flushed(stream: Stream): void {
    if (this.streams.takeAwaited(stream)) this.events.push({ type: 'writable', stream: stream.id })
    stream.write('flushed')
    if (stream.isClosed) this.#ended(stream)
    else if (this.isServer && !stream.isTunnel) {
      // RFC 9113 §8.1: the response is there, so the rest of the request is not needed.
      writeReset(this.output, stream.id, errorCodes.noError)
      this.guard.exchanged()
      this.streams.remove(stream, 'dropped')
    }
  }

  #ended(stream: Stream): void {
    this.guard.exchanged()
    this.streams.end(stream)
  }

  /** RFC 9113 §5.4.2: the peer broke a rule on this stream. */
  protected broken(stream: Stream, code: ErrorCode, detail: string): void {
    this.guard.reset()
    this.guard.reply()
    writeReset(this.output, stream.id, code)
    this.streams.remove(stream, 'dropped')
    this.events.push({ type: 'reset', stream: stream.id, code, isSafe: false, failure: this.failure(detail) })
  }

  /** The stream is gone by the peer's doing. */
  protected gone(stream: Stream, code: number, isSafe: boolean): void {
    this.streams.remove(stream, 'reset')
    this.events.push({ type: 'reset', stream: stream.id, code, isSafe, failure: undefined })
  }

  /** The caller gives a stream up. */
  protected dropped(stream: Stream, code: number): void {
    if (!stream.isClosed) writeReset(this.output, stream.id, code)
    this.streams.remove(stream, 'dropped')
  }

  /** A frame came for a stream that is gone: late when we dropped it, else a mistake (RFC 9113 §5.1). */
  protected stray(id: number, what: string): void {
    const how = this.streams.how(id)
    if (how === 'dropped' || id > this.lastServed) return this.guard.noise()
    if (how === 'ended') throw new Fault(errorCodes.streamClosed, `RFC 9113 §5.1: ${what} on a stream that has ended`)
    this.guard.reset()
    this.guard.reply()
    writeReset(this.output, id, errorCodes.streamClosed)
  }

  protected failure(detail: string): Failure {
    return new Failure(this.isServer ? 'bad-request' : 'upstream-invalid', detail)
  }

  /** RFC 9113 §5.4.1. What is not a fault of the peer is a bug of ours. */
  protected fail(thrown: unknown): void {
    if (!(thrown instanceof Fault)) throw thrown
    writeGoaway(this.output, this.lastProcessed, thrown.code, thrown.detail)
    this.over(this.failure(thrown.detail))
  }

  /** failure: what the last event says; undefined: the caller ended it himself. */
  protected over(failure: Failure | undefined): void {
    if (failure !== undefined) this.events.push({ type: 'failed', failure })
    this.isOver = true
    this.streams.clear()
  }

  /** The last stream of the peer that was looked at: of a server there is none. */
  protected get lastProcessed(): number {
    return this.isServer ? this.streams.last : 0
  }
}
