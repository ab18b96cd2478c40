/** Bodies on their way out: pieces wait in their stream until the peer's windows are open, and streams take turns, one frame each. */

import type { Fields } from '../../http1.ts'
import { flags, frameTypes } from '../codes.ts'
import { frameHeader, putFrameHeader } from '../frames/write.ts'
import type { HeadWriter } from '../head/write.ts'
import type { Output } from '../output.ts'
import type { Stream } from './stream.ts'

export class Sender {
  readonly #output: Output
  readonly #heads: HeadWriter
  readonly #maxQueued: number
  readonly #onFlushed: (stream: Stream) => void
  /** Streams with something to send, in turn. One whose own window is closed leaves the line until it opens. */
  #line: Stream[] = []
  /** Bytes that wait for the connection's window. What waits for the window of its own stream must not keep the others from being filled. */
  #queued = 0
  /** Streams that were given pieces which are only lent. */
  #lent: Stream[] = []
  /** What the peer lets us send on all streams. */
  window = 65_535
  maxFrame = 16_384
  /** DATA frames written, for who keeps account of the peer's WINDOW_UPDATE. */
  frames = 0

  /** onFlushed: the last frame of a stream was written. */
  constructor(output: Output, heads: HeadWriter, maxQueued: number, onFlushed: (stream: Stream) => void) {
    this.#output = output
    this.#heads = heads
    this.#maxQueued = maxQueued
    this.#onFlushed = onFlushed
  }

  /** Whether flush() would write something. */
  get canFlush(): boolean {
    return this.#line.length > 0 && (this.window > 0 || this.#line.some(stream => stream.queued === 0))
  }

  /** The connection's window lets more through than is queued. */
  get hasWindow(): boolean {
    return this.#queued < this.window
  }

  isWritable(stream: Stream): boolean {
    return stream.writing === 'body' && stream.queued < this.#maxQueued && stream.queued < stream.window && this.#queued < this.window
  }

  data(stream: Stream, bytes: Uint8Array, isLent: boolean): void {
    if (stream.queue === undefined) stream.queue = [bytes]
    else stream.queue.push(bytes)
    stream.queued += bytes.length
    this.#count(stream)
    if (isLent) {
      if (stream.lent === 0) this.#lent.push(stream)
      stream.lent = stream.queue.length
    }
    this.ready(stream)
  }

  /** The body is complete. What ends it goes with its last piece. */
  end(stream: Stream, trailers: Fields | undefined): void {
    stream.trailers = trailers === undefined || trailers.length === 0 ? undefined : trailers
    if (stream.queued === 0 && stream.trailers === undefined && this.#heads.endLast(stream.id)) return this.#onFlushed(stream)
    this.ready(stream)
  }

  /** Its bytes or its window are others now. */
  #count(stream: Stream): void {
    const counted = Math.min(stream.queued, Math.max(0, stream.window))
    this.#queued += counted - stream.counted
    stream.counted = counted
  }

  /** Puts a stream into the line, where its window allows it to send. */
  ready(stream: Stream): void {
    this.#count(stream)
    if (stream.isReady || (stream.queued === 0 ? stream.writing !== 'ending' : stream.window <= 0)) return
    stream.isReady = true
    this.#line.push(stream)
  }

  /** What is queued will not be sent. */
  drop(stream: Stream): void {
    stream.queued = 0
    this.#count(stream)
    stream.queue = undefined
    stream.lent = 0
    stream.trailers = undefined
    stream.reading = stream.writing = 'done'
  }

  /** Writes frames in turn until the line is empty, the connection's window is closed or `room` is used up. */
  flush(room: number): void {
    if (this.#line.length > 0) this.#takeTurns(room)
    if (this.#lent.length === 0) return
    for (const stream of this.#lent) keepLent(stream)
    this.#lent = []
  }

  #takeTurns(room: number): void {
    const line = this.#line
    this.#line = []
    let at = 0
    for (; at < line.length; at++) {
      const stream = line[at]!
      if (stream.queued > 0 && (this.window <= 0 || room <= 0)) {
        if (stream.window > 0) {
          this.#line.push(stream)
          continue
        }
      } else room -= this.#turn(stream)
      stream.isReady = false
      if (stream.queued === 0 || stream.window <= 0) continue
      stream.isReady = true
      line.push(stream)
    }
  }

  /** One frame. Returns the bytes of body in it. */
  #turn(stream: Stream): number {
    const { queued } = stream
    const size = Math.min(queued, stream.window, this.window, this.maxFrame)
    const isLast = size === queued && stream.writing === 'ending'
    if (size > 0 || (isLast && stream.trailers === undefined)) {
      const output = this.#output
      output.reserve(frameHeader)
      putFrameHeader(
        output.bytes,
        output.at,
        size,
        frameTypes.data,
        isLast && stream.trailers === undefined ? flags.endStream : 0,
        stream.id,
      )
      output.at += frameHeader
      if (size > 0) this.#pieces(stream, size)
      this.frames++
    }
    if (isLast) {
      if (stream.trailers !== undefined) this.#heads.trailers(stream.id, stream.trailers, this.maxFrame)
      this.#onFlushed(stream)
    }
    return size
  }

  #pieces(stream: Stream, size: number): void {
    stream.window -= size
    this.window -= size
    stream.queued -= size
    this.#count(stream)
    const queue = stream.queue!
    let done = 0
    while (size > 0) {
      const piece = queue[done]!
      const left = piece.length - stream.queueAt
      const taken = Math.min(left, size)
      this.#output.piece(taken === piece.length ? piece : piece.subarray(stream.queueAt, stream.queueAt + taken))
      size -= taken
      if (taken === left) {
        done++
        stream.queueAt = 0
      } else stream.queueAt += taken
    }
    if (done === queue.length) stream.queue = undefined
    else if (done > 0) queue.splice(0, done)
    stream.lent = Math.max(0, stream.lent - done)
  }
}

/** What was only lent and stays in the queue. */
function keepLent(stream: Stream): void {
  for (let index = 0; index < stream.lent; index++) stream.queue![index] = Uint8Array.from(stream.queue![index]!)
  stream.lent = 0
}
