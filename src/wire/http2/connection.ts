/** Last chapter of a connection: what its caller does with it, and which frame goes where. Both ends have this in common. */

import { noBytes } from '#base/bytes'
import { Failure } from '#base/failure'
import type { Fields } from '../http1.ts'
import type { BodyCommand2, BodyEvent2 } from './codec.ts'
import { Block } from './block.ts'
import { errorCodes, Fault, flags, frameTypes, largestStream } from './codes.ts'
import { Control, read32 } from './control.ts'
import { FrameReader, type FrameSink, preface } from './frames/read.ts'
import { writeSettings, writeWindowUpdate } from './frames/write.ts'
import type { Limits2 } from './limits.ts'
import { ownSettings } from './settings.ts'
import type { Stream } from './streams/stream.ts'

export abstract class Connection<Event> extends Control<Event> implements FrameSink {
  readonly #reader: FrameReader
  readonly #block: Block
  #hasEnded = false

  protected constructor(limits: Limits2, isServer: boolean) {
    super(limits, isServer)
    this.#reader = new FrameReader(this, limits.maxFrameBytes, isServer)
    this.#block = new Block(limits.maxBlockBytes, limits.maxBlockFrames)
    if (!isServer) this.output.piece(preface)
    writeSettings(this.output, ownSettings(limits, isServer))
    if (limits.connectionWindow > 65_535) writeWindowUpdate(this.output, 0, limits.connectionWindow - 65_535)
  }

  get hasEvents(): boolean {
    return this.events.length > 0
  }
  get wantsDrain(): boolean {
    return !this.output.isEmpty || (!this.isOver && this.sender.canFlush)
  }
  get openStreams(): number {
    return this.streams.live
  }
  get isMidHead(): boolean {
    return !this.isOver && this.#block.stream !== 0
  }
  get isDraining(): boolean {
    return this.isLeaving || this.hasPeerLeft || this.isOver
  }
  get mustClose(): boolean {
    if (this.isOver) return true
    return this.streams.live === 0 && (this.#hasEnded || (this.isServer ? this.lastServed !== largestStream : this.isDraining))
  }

  receive(bytes: Uint8Array): (Event | BodyEvent2)[] {
    if (!this.isOver) {
      try {
        this.#reader.receive(bytes)
        this.giveBack()
      } catch (thrown) {
        this.fail(thrown)
      }
      this.streams.nowWritable(this.#tellWritable)
    }
    const { events } = this
    this.events = []
    return events
  }

  receiveEnd(): (Event | BodyEvent2)[] {
    if (!this.isOver && !this.#hasEnded) {
      this.#hasEnded = true
      const unread = this.streams.all().filter(stream => stream.reading !== 'done')
      if (!this.isServer && unread.length > 0)
        this.over(new Failure('upstream-reset', 'RFC 9113 §5.4: the connection ended with open streams'))
      else for (const stream of unread) this.gone(stream, errorCodes.cancel, false)
    }
    return this.receive(noBytes)
  }

  drain(room = Number.POSITIVE_INFINITY): Uint8Array[] {
    if (!this.isOver) {
      this.sender.flush(room)
      this.heads.forget()
      this.guard.drained()
      this.streams.nowWritable(this.#tellWritable)
    }
    return this.output.drain()
  }

  readonly #tellWritable = (stream: number): void => {
    this.events.push({ type: 'writable', stream })
  }

  isWritable(id: number): boolean {
    return this.streams.isWritable(id)
  }

  queued(id: number): number {
    return this.streams.get(id)?.queued ?? 0
  }

  tick(nowMs: number): void {
    this.guard.tick(nowMs)
  }

  protected sendBody(command: BodyCommand2): void {
    if (this.isOver) return
    switch (command.type) {
      case 'data': {
        const stream = this.streams.known(command.stream)
        if (stream !== undefined) this.#sendData(stream, command.bytes, command.isLent === true)
        return
      }
      case 'end': {
        const stream = this.streams.known(command.stream)
        if (stream !== undefined) this.#sendEnd(stream, command.trailers)
        return
      }
      case 'reset': {
        const stream = this.streams.known(command.stream)
        if (stream !== undefined) this.dropped(stream, command.code)
        return
      }
      case 'goaway':
        return this.leave(command.code)
      case 'ping':
        return this.sendPing(command.token)
    }
  }

  #sendData(stream: Stream, bytes: Uint8Array, isLent: boolean): void {
    if (stream.writing !== 'body') throw new Error(`HTTP/2 codec: data while the message is "${stream.writing}"`)
    if (bytes.length === 0 || stream.isBodilessWritten) return
    if (stream.announced >= 0) {
      if (bytes.length > stream.announced) throw new Error('HTTP/2 codec: more data than the length that was announced')
      stream.announced -= bytes.length
    }
    this.sender.data(stream, bytes, isLent)
  }

  #sendEnd(stream: Stream, trailers: Fields | undefined): void {
    if (stream.announced > 0)
      throw new Error(`HTTP/2 codec: ${stream.announced} bytes of the announced length are missing; the stream must be reset instead`)
    if (trailers !== undefined) this.heads.checkTrailers(trailers)
    stream.write('end')
    this.sender.end(stream, stream.isBodilessWritten ? undefined : trailers)
  }

  frame(type: number, flag: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    if (this.#block.stream !== 0) return this.#continuation(type, flag, id, bytes, from, to)
    if (!this.hasSettings && (type !== frameTypes.settings || (flag & flags.ack) !== 0))
      throw new Fault(errorCodes.protocolError, 'RFC 9113 §3.4: the first frame is not SETTINGS')
    switch (type) {
      case frameTypes.headers:
        return this.#headers(flag, id, bytes, from, to)
      case frameTypes.windowUpdate:
        return this.windowUpdate(id, bytes, from, to)
      case frameTypes.reset:
        return this.resetFrame(id, bytes, from, to)
      case frameTypes.settings:
        return this.settings(flag, id, bytes, from, to)
      case frameTypes.ping:
        return this.ping(flag, id, bytes, from, to)
      case frameTypes.goaway:
        return this.goawayFrame(id, bytes, from, to)
      case frameTypes.priority:
        return this.priority(id, bytes, from, to)
      case frameTypes.push:
        throw new Fault(errorCodes.protocolError, 'RFC 9113 §8.4: PUSH_PROMISE, which is switched off')
      case frameTypes.continuation:
        throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.10: CONTINUATION outside a header block')
      default:
        this.guard.noise()
    }
  }

  override dataBegins(id: number, length: number, padding: number, isEnd: boolean): void {
    if (!this.hasSettings || this.#block.stream !== 0)
      throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.10: DATA before SETTINGS or inside a header block')
    super.dataBegins(id, length, padding, isEnd)
  }

  #headers(flag: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    if (id === 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.2: HEADERS on stream 0')
    if ((flag & flags.padded) !== 0) to -= from < to ? bytes[from++]! : 1
    const dependsOn = (flag & flags.priority) !== 0 && to - from >= 5 ? read32(bytes, from) & 0x7fff_ffff : 0
    if ((flag & flags.priority) !== 0) from += 5
    if (from > to) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.2: the padding of HEADERS is longer than the frame')
    if (dependsOn === id) throw new Fault(errorCodes.protocolError, 'RFC 7540 §5.3.1: a stream depends on itself')
    const isEnd = (flag & flags.endStream) !== 0
    if ((flag & flags.endHeaders) !== 0) return this.#readBlock(id, isEnd, bytes, from, to)
    this.#block.begin(id, isEnd)
    this.#block.add(bytes, from, to)
  }

  #continuation(type: number, flag: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    if (type !== frameTypes.continuation || id !== this.#block.stream)
      throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.10: another frame inside a header block')
    this.#block.add(bytes, from, to)
    if ((flag & flags.endHeaders) === 0) return
    const { bytes: whole, length, isEnd } = this.#block
    this.#block.clear()
    this.#readBlock(id, isEnd, whole, 0, length)
  }

  #readBlock(id: number, isEnd: boolean, bytes: Uint8Array, from: number, to: number): void {
    try {
      this.block(id, isEnd, bytes, from, to)
    } catch (thrown) {
      throw thrown instanceof Failure ? new Fault(errorCodes.compressionError, thrown.detail) : thrown
    }
  }

  /** A whole header block. It must be decoded in any case. */
  protected abstract block(id: number, isEnd: boolean, bytes: Uint8Array, from: number, to: number): void
}
