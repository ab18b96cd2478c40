/** Second chapter of a connection: DATA as it comes in, and the windows that let more come. RFC 9113 §6.1, §6.9. */

import type { BodyEvent2 } from './codec.ts'
import { errorCodes, Fault } from './codes.ts'
import { writeWindowUpdate } from './frames/write.ts'
import { Life } from './life.ts'
import type { Stream } from './streams/stream.ts'

const noTrailers: readonly string[] = []

export abstract class Bodies<Event> extends Life<Event> {
  // The DATA frame that is being read; undefined: its bytes are thrown away.
  #stream: Stream | undefined
  #isLast = false
  #discarded = 0

  /** length: of the payload; padding: the part of it that is not body. */
  dataBegins(id: number, length: number, padding: number, isEnd: boolean): void {
    if (!this.shared.take(length))
      throw new Fault(errorCodes.flowControlError, 'RFC 9113 §6.9.1: more DATA than the window of the connection')
    if (length === padding && !isEnd) this.guard.noise()
    else this.guard.worked(1)
    this.#stream = undefined
    this.#discarded = length
    this.#isLast = isEnd
    const stream = this.streams.get(id)
    if (stream === undefined || stream.isClosed) {
      if (this.isIdle(id)) throw new Fault(errorCodes.protocolError, 'RFC 9113 §5.1: DATA on a stream that is not open')
      return this.stray(id, 'DATA')
    }
    if (stream.reading === 'done') return this.broken(stream, errorCodes.streamClosed, 'RFC 9113 §5.1: DATA after the end of the message')
    if (stream.reading === 'head')
      return this.broken(stream, errorCodes.protocolError, 'RFC 9113 §8.1: DATA before the head of the response')
    if (stream.credit.left < length)
      return this.broken(stream, errorCodes.flowControlError, 'RFC 9113 §6.9.1: more DATA than the window of the stream')
    if (stream.expected >= 0) {
      stream.expected -= length - padding
      if (stream.expected < 0 || (isEnd && stream.expected > 0))
        return this.broken(stream, errorCodes.protocolError, 'RFC 9113 §8.1.1: DATA does not add up to Content-Length')
    }
    stream.credit.take(length)
    this.#stream = stream
    this.#discarded = 0
    if (padding > 0) this.consumed(id, padding)
  }

  data(bytes: Uint8Array): void {
    const stream = this.#stream
    if (stream === undefined || stream.isClosed) return
    const event: BodyEvent2 = { type: 'data', stream: stream.id, bytes }
    this.events.push(event)
  }

  dataEnds(): void {
    this.shared.release(this.#discarded)
    const stream = this.#stream
    this.#stream = undefined
    if (stream !== undefined && this.#isLast && !stream.isClosed) this.readEnd(stream, noTrailers)
  }

  consumed(id: number, bytes: number): void {
    const stream = this.streams.get(id)
    if (stream === undefined || this.isOver) return
    this.shared.release(bytes)
    const due = stream.credit.consumed(bytes)
    if (due > 0 && stream.reading !== 'done') writeWindowUpdate(this.output, id, due)
    this.streams.forgetConsumed(stream)
    this.giveBack()
  }

  /** Lets the peer send more on the connection, when that is due. */
  protected giveBack(): void {
    const due = this.shared.due()
    if (due > 0) writeWindowUpdate(this.output, 0, due)
  }
}
