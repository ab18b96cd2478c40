/** What both ends of a connection have in common: frames that keep it going, the streams on it, flow control, and its end. */

import { Failure } from '#base/failure'
import { noBytes } from '#base/bytes'
import { Decoder, Encoder } from '../hpack.ts'
import type { BodyCommand2, BodyEvent2 } from '../http2.ts'
import { Block } from './block.ts'
import { Budget } from './budget.ts'
import { type ErrorCode, errorCodes, Fault, flags, frameTypes, largestStream, settingIds } from './codes.ts'
import { FrameReader, type FrameSink } from './frames/read.ts'
import { writeGoaway, writePing, writePong, writeReset, writeSettings, writeSettingsAck, writeWindowUpdate } from './frames/write.ts'
import { HeadReader } from './head/read.ts'
import { HeadWriter } from './head/write.ts'
import type { Limits2 } from './limits.ts'
import { Output } from './output.ts'
import { ownSettings, PeerSettings } from './settings.ts'
import { Closed } from './streams/closed.ts'
import { grown, SharedCredit } from './streams/flow.ts'
import { Sender } from './streams/send.ts'
import { Stream } from './streams/stream.ts'

/** Of the pings that the codec sends, the first four bytes: to end a connection without losing a request; for the caller. */
const pingForEnd = 0x656e6421
const pingForCaller = 0

const noTrailers: readonly string[] = []

export abstract class Connection<Event> implements FrameSink {
  protected readonly limits: Limits2
  protected readonly isServer: boolean
  protected readonly output = new Output()
  protected readonly peer: PeerSettings
  protected readonly heads: HeadWriter
  protected readonly head: HeadReader
  protected readonly sender: Sender
  protected readonly streams = new Map<number, Stream>()
  protected readonly closed = new Closed()
  protected events: (Event | BodyEvent2)[] = []
  /** The highest stream that the peer opened (server) or that was opened to it (client). */
  protected lastStream = 0
  protected live = 0
  /** The highest stream of the peer that is still served, once a last GOAWAY was sent. */
  protected lastServed = largestStream
  protected hasPeerLeft = false
  readonly #encoder: Encoder
  readonly #decoder = new Decoder()
  readonly #reader: FrameReader
  readonly #block: Block
  readonly #noise: Budget
  readonly #resets: Budget
  readonly #shared: SharedCredit
  readonly #awaited = new Set<Stream>()
  #hasSettings = false
  #isLeaving = false
  #isOver = false
  #hasEnded = false
  #replies = 0
  #framesSeen = 0
  #tickedAt: number | undefined
  // The DATA frame that is being read; undefined: its bytes are thrown away.
  #reading: Stream | undefined
  #readingEnds = false
  #discarded = 0

  protected constructor(limits: Limits2, isServer: boolean) {
    this.limits = limits
    this.isServer = isServer
    this.peer = new PeerSettings(limits.assumedMaxStreams)
    this.#encoder = new Encoder(limits.headerTableBytes)
    this.heads = new HeadWriter(this.output, this.#encoder)
    this.head = new HeadReader(this.#decoder, limits.maxHeadBytes, limits.maxTrailerBytes, limits.maxFields)
    this.sender = new Sender(this.output, this.heads, limits.maxQueuedBytes, stream => this.flushed(stream))
    this.#reader = new FrameReader(this, limits.maxFrameBytes, isServer)
    this.#block = new Block(limits.maxBlockBytes, limits.maxBlockFrames)
    this.#noise = new Budget(limits.noiseBurst, limits.noisePerSecond)
    this.#resets = new Budget(limits.resetBurst, limits.resetsPerSecond)
    this.#shared = new SharedCredit(limits.connectionWindow, limits.maxHeldBytes)
    if (!isServer) this.output.piece(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'))
    writeSettings(this.output, ownSettings(limits, isServer))
    writeWindowUpdate(this.output, 0, limits.connectionWindow - 65_535)
  }

  get hasEvents(): boolean {
    return this.events.length > 0
  }
  get wantsDrain(): boolean {
    return !this.output.isEmpty || !this.sender.isEmpty
  }
  get openStreams(): number {
    return this.live
  }
  get isDraining(): boolean {
    return this.#isLeaving || this.hasPeerLeft || this.#isOver
  }
  get mustClose(): boolean {
    return this.#isOver || (this.live === 0 && (this.#hasEnded || (this.isServer ? this.lastServed !== largestStream : this.isDraining)))
  }

  /** The last stream of the peer that was looked at: a client has none, as the server opens none. */
  protected get lastProcessed(): number {
    return this.isServer ? this.lastStream : 0
  }

  receive(bytes: Uint8Array): (Event | BodyEvent2)[] {
    if (!this.#isOver) {
      try {
        this.#reader.receive(bytes)
        this.#giveBack()
      } catch (thrown) {
        this.#fail(thrown)
      }
      if (this.#awaited.size > 0) this.#tellWritable()
    }
    const { events } = this
    this.events = []
    return events
  }

  receiveEnd(): (Event | BodyEvent2)[] {
    if (!this.#isOver && !this.#hasEnded) {
      this.#hasEnded = true
      const unread = [...this.streams.values()].filter(stream => stream.reading !== 'done')
      if (!this.isServer && unread.length > 0)
        this.#end(new Failure('upstream-reset', 'RFC 9113 §5.4: the connection ended with open streams'))
      else for (const stream of unread) this.gone(stream, errorCodes.cancel, false, undefined)
    }
    return this.receive(noBytes)
  }

  drain(room = Number.POSITIVE_INFINITY): Uint8Array[] {
    if (!this.#isOver) this.sender.flush(room)
    this.heads.forget()
    this.#replies = 0
    if (this.#awaited.size > 0) this.#tellWritable()
    return this.output.drain()
  }

  consumed(id: number, bytes: number): void {
    const stream = this.streams.get(id)
    if (stream === undefined || this.#isOver) return
    this.#shared.release(bytes)
    const due = stream.credit.consumed(bytes)
    if (due > 0 && stream.reading !== 'done') writeWindowUpdate(this.output, id, due)
    if (stream.isClosed && stream.credit.held <= 0) this.streams.delete(id)
    this.#giveBack()
  }

  isWritable(id: number): boolean {
    const stream = this.streams.get(id)
    if (stream === undefined || stream.writing !== 'body') return false
    if (this.sender.isWritable(stream)) return true
    this.#awaited.add(stream)
    return false
  }

  tick(nowMs: number): void {
    if (this.#tickedAt !== undefined && nowMs > this.#tickedAt) {
      const seconds = (nowMs - this.#tickedAt) / 1_000
      this.#noise.passed(seconds)
      this.#resets.passed(seconds)
    }
    this.#tickedAt = nowMs
  }

  protected sendBody(command: BodyCommand2): void {
    if (this.#isOver) return
    switch (command.type) {
      case 'data':
        return this.#sendData(command.stream, command.bytes, command.isLent === true)
      case 'end': {
        const stream = this.known(command.stream)
        if (stream) this.sendEnd(stream, command.trailers)
        return
      }
      case 'reset': {
        const stream = this.known(command.stream)
        if (stream) this.dropped(stream, command.code)
        return
      }
      case 'goaway':
        return this.#leave(command.code)
      case 'ping':
        return writePing(this.output, pingForCaller, command.token)
    }
  }

  #sendData(id: number, bytes: Uint8Array, isLent: boolean): void {
    const stream = this.known(id)
    if (stream === undefined) return
    if (stream.writing !== 'body') throw new Error(`HTTP/2 codec: data while the message is "${stream.writing}"`)
    if (bytes.length === 0 || stream.isBodilessWritten) return
    if (stream.announced >= 0) {
      if (bytes.length > stream.announced) throw new Error('HTTP/2 codec: more data than the length that was announced')
      stream.announced -= bytes.length
    }
    this.sender.data(stream, bytes, isLent)
  }

  protected sendEnd(stream: Stream, trailers: readonly string[] | undefined): void {
    if (stream.announced > 0)
      throw new Error(`HTTP/2 codec: ${stream.announced} bytes of the announced length are missing; the stream must be reset instead`)
    stream.write('end')
    this.sender.end(stream, trailers)
  }

  /** A stream that a command is for; undefined: it is gone. */
  protected known(id: number): Stream | undefined {
    const stream = this.streams.get(id)
    if (stream === undefined && (id > this.lastStream || id < 1)) throw new Error(`HTTP/2 codec: there is no stream ${id}`)
    return stream
  }

  /** Two steps (RFC 9113 §6.8): requests that are on the way when the first GOAWAY goes out are served still. */
  #leave(code: number): void {
    if (code !== errorCodes.noError) {
      writeGoaway(this.output, this.lastProcessed, code, '')
      this.#close()
    } else if (!this.isServer) {
      if (!this.#isLeaving) writeGoaway(this.output, 0, code, '')
    } else if (!this.#isLeaving) {
      writeGoaway(this.output, largestStream, code, '')
      writePing(this.output, pingForEnd, 0)
    } else this.#leaveNow()
    this.#isLeaving = true
  }

  #leaveNow(): void {
    if (this.lastServed !== largestStream) return
    this.lastServed = this.lastStream
    writeGoaway(this.output, this.lastStream, errorCodes.noError, '')
  }

  // —— frames ——

  frame(type: number, flag: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    if (this.#block.stream !== 0) {
      if (type !== frameTypes.continuation || id !== this.#block.stream)
        throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.10: another frame inside a header block')
      this.#block.add(bytes, from, to)
      if ((flag & flags.endHeaders) === 0) return
      const { bytes: whole, length, isEnd } = this.#block
      this.#block.clear()
      return this.#readHead(id, isEnd, whole, 0, length)
    }
    if (!this.#hasSettings && (type !== frameTypes.settings || (flag & flags.ack) !== 0))
      throw new Fault(errorCodes.protocolError, 'RFC 9113 §3.4: the first frame is not SETTINGS')
    switch (type) {
      case frameTypes.headers:
        return this.#headers(flag, id, bytes, from, to)
      case frameTypes.windowUpdate:
        return this.#windowUpdate(id, bytes, from, to)
      case frameTypes.reset:
        return this.#reset(id, bytes, from, to)
      case frameTypes.settings:
        return this.#settings(flag, id, bytes, from, to)
      case frameTypes.ping:
        return this.#ping(flag, id, bytes, from, to)
      case frameTypes.goaway:
        return this.#goaway(id, bytes, from, to)
      case frameTypes.priority:
        return this.#priority(id, bytes, from, to)
      case frameTypes.push:
        throw new Fault(errorCodes.protocolError, 'RFC 9113 §8.4: PUSH_PROMISE, which is switched off')
      case frameTypes.continuation:
        throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.10: CONTINUATION outside a header block')
      default:
        this.#bother()
    }
  }

  #headers(flag: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    if (id === 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.2: HEADERS on stream 0')
    if ((flag & flags.padded) !== 0) to -= from < to ? bytes[from++]! : 1
    let isSelfDependent = false
    if ((flag & flags.priority) !== 0) {
      isSelfDependent = to - from >= 5 && (read32(bytes, from) & 0x7fff_ffff) === id
      from += 5
    }
    if (from > to) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.2: the padding of HEADERS is longer than the frame')
    const isEnd = (flag & flags.endStream) !== 0
    if (isSelfDependent) throw new Fault(errorCodes.protocolError, 'RFC 7540 §5.3.1: a stream depends on itself')
    if ((flag & flags.endHeaders) !== 0) return this.#readHead(id, isEnd, bytes, from, to)
    this.#block.begin(id, isEnd)
    this.#block.add(bytes, from, to)
  }

  #readHead(id: number, isEnd: boolean, bytes: Uint8Array, from: number, to: number): void {
    try {
      this.block(id, isEnd, bytes, from, to)
    } catch (thrown) {
      throw thrown instanceof Failure ? new Fault(errorCodes.compressionError, thrown.detail) : thrown
    }
  }

  /** A whole header block. It must be decoded in any case. */
  protected abstract block(id: number, isEnd: boolean, bytes: Uint8Array, from: number, to: number): void

  dataBegins(id: number, length: number, padding: number, isEnd: boolean): void {
    if (!this.#hasSettings || this.#block.stream !== 0)
      throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.10: DATA before SETTINGS or inside a header block')
    if (!this.#shared.take(length))
      throw new Fault(errorCodes.flowControlError, 'RFC 9113 §6.9.1: more DATA than the window of the connection')
    if (length === padding && !isEnd) this.#bother()
    else this.#noise.earn(1)
    const stream = this.streams.get(id)
    this.#reading = undefined
    this.#discarded = length
    this.#readingEnds = isEnd
    if (stream === undefined || stream.reading === 'done') return this.#strayData(id, stream)
    if (stream.reading === 'head')
      return this.broken(stream, errorCodes.protocolError, 'RFC 9113 §8.1: DATA before the head of the response')
    if (!stream.credit.take(length))
      return this.broken(stream, errorCodes.flowControlError, 'RFC 9113 §6.9.1: more DATA than the window of the stream', length)
    const body = length - padding
    if (stream.expected >= 0) {
      stream.expected -= body
      if (stream.expected < 0 || (isEnd && stream.expected > 0))
        return this.broken(stream, errorCodes.protocolError, 'RFC 9113 §8.1.1: DATA does not add up to Content-Length', length)
    }
    this.#reading = stream
    this.#discarded = 0
    if (padding > 0) this.consumed(id, padding)
  }

  #strayData(id: number, stream: Stream | undefined): void {
    if (this.isIdle(id)) throw new Fault(errorCodes.protocolError, 'RFC 9113 §5.1: DATA on a stream that is not open')
    if (stream !== undefined) return this.broken(stream, errorCodes.streamClosed, 'RFC 9113 §5.1: DATA after the end of the message')
    this.stray(id, 'DATA')
  }

  /** A frame for a stream that is gone: late when we dropped it, else a mistake. */
  protected stray(id: number, what: string): void {
    const how = this.closed.how(id)
    if (how === 'dropped' || id > this.lastServed) return this.#bother()
    if (how === 'ended') throw new Fault(errorCodes.streamClosed, `RFC 9113 §5.1: ${what} on a stream that has ended`)
    this.#spendReset()
    this.#reply()
    writeReset(this.output, id, errorCodes.streamClosed)
  }

  data(bytes: Uint8Array): void {
    const stream = this.#reading
    if (stream !== undefined) this.events.push({ type: 'data', stream: stream.id, bytes })
  }

  dataEnds(): void {
    this.#shared.release(this.#discarded)
    const stream = this.#reading
    if (stream !== undefined && this.#readingEnds) this.readEnd(stream, noTrailers)
    this.#reading = undefined
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
    stream.write('flushed')
    this.#noise.earn(2)
    if (stream.isClosed) return this.#ended(stream)
    if (!this.isServer || stream.isTunnel) return
    this.#noise.earn(2)
    writeReset(this.output, stream.id, errorCodes.noError)
    this.remove(stream, 'dropped')
  }

  /** Both messages are complete. What was received and not consumed still counts. */
  #ended(stream: Stream): void {
    this.#resets.earn(1)
    this.#noise.earn(2)
    this.closed.add(stream.id, 'ended')
    this.live--
    this.openHeadBytes -= stream.headBytes
    this.#awaited.delete(stream)
    if (stream.credit.held <= 0) this.streams.delete(stream.id)
  }

  protected openHeadBytes = 0

  /** Takes a stream out before both its messages are complete. */
  protected remove(stream: Stream, how: 'reset' | 'dropped'): void {
    this.streams.delete(stream.id)
    this.#awaited.delete(stream)
    this.#shared.release(stream.credit.held)
    if (this.#reading === stream) this.#reading = undefined
    if (stream.isClosed) return
    this.live--
    this.openHeadBytes -= stream.headBytes
    this.closed.add(stream.id, how)
    this.sender.drop(stream)
  }

  /** The caller gives a stream up. */
  protected dropped(stream: Stream, code: number): void {
    if (!stream.isClosed) writeReset(this.output, stream.id, code)
    this.remove(stream, 'dropped')
  }

  /** RFC 9113 §5.4.2: the peer broke a rule on this stream. */
  protected broken(stream: Stream, code: ErrorCode, detail: string, held = 0): void {
    this.#spendReset()
    this.#reply()
    writeReset(this.output, stream.id, code)
    if (held > 0) stream.credit.consumed(held)
    this.remove(stream, 'dropped')
    this.events.push({ type: 'reset', stream: stream.id, code, isSafe: false, failure: this.failure(detail) })
  }

  /** The stream is gone by the peer's doing. */
  protected gone(stream: Stream, code: number, isSafe: boolean, failure: Failure | undefined): void {
    this.remove(stream, 'reset')
    this.events.push({ type: 'reset', stream: stream.id, code, isSafe, failure })
  }

  protected failure(detail: string): Failure {
    return new Failure(this.isServer ? 'bad-request' : 'upstream-invalid', detail)
  }

  /** No frame but HEADERS and PRIORITY may come for it (RFC 9113 §5.1). */
  protected abstract isIdle(id: number): boolean

  #windowUpdate(id: number, bytes: Uint8Array, from: number, to: number): void {
    if (to - from !== 4) throw new Fault(errorCodes.frameSizeError, 'RFC 9113 §6.9: WINDOW_UPDATE is not 4 bytes long')
    const increment = read32(bytes, from) & 0x7fff_ffff
    this.#bother()
    if (id === 0) {
      if (increment === 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.9: WINDOW_UPDATE of 0')
      const window = grown(this.sender.window, increment)
      if (window === undefined) throw new Fault(errorCodes.flowControlError, 'RFC 9113 §6.9.1: the window of the connection is too large')
      this.sender.window = window
      return
    }
    if (this.isIdle(id)) throw new Fault(errorCodes.protocolError, 'RFC 9113 §5.1: WINDOW_UPDATE on a stream that is not open')
    const stream = this.streams.get(id)
    if (stream === undefined || stream.isClosed) return
    if (increment === 0) return this.broken(stream, errorCodes.protocolError, 'RFC 9113 §6.9: WINDOW_UPDATE of 0')
    const window = grown(stream.window, increment)
    if (window === undefined)
      return this.broken(stream, errorCodes.flowControlError, 'RFC 9113 §6.9.1: the window of the stream is too large')
    stream.window = window
    this.sender.ready(stream)
  }

  #reset(id: number, bytes: Uint8Array, from: number, to: number): void {
    if (to - from !== 4) throw new Fault(errorCodes.frameSizeError, 'RFC 9113 §6.4: RST_STREAM is not 4 bytes long')
    if (id === 0 || this.isIdle(id)) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.4: RST_STREAM on a stream that is not open')
    const stream = this.streams.get(id)
    if (stream === undefined || stream.isClosed) return this.#bother()
    const code = read32(bytes, from)
    if (this.isServer) this.#spendReset()
    this.gone(stream, code, code === errorCodes.refusedStream, undefined)
  }

  #settings(flag: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    if (id !== 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.5: SETTINGS on a stream')
    if ((flag & flags.ack) !== 0) {
      if (to !== from) throw new Fault(errorCodes.frameSizeError, 'RFC 9113 §6.5: SETTINGS that acknowledge hold something')
      this.#decoder.allow(this.limits.headerTableBytes)
      return this.#bother()
    }
    if ((to - from) % 6 !== 0) throw new Fault(errorCodes.frameSizeError, 'RFC 9113 §6.5: SETTINGS is not a multiple of 6 bytes long')
    if (this.#hasSettings) this.#bother()
    const { peer } = this
    if (!this.#hasSettings) peer.maxStreams = largestStream
    this.#hasSettings = true
    for (let at = from; at < to; at += 6) {
      const setting = (bytes[at]! << 8) | bytes[at + 1]!
      const before = peer.initialWindow
      peer.set(setting, read32(bytes, at + 2), !this.isServer)
      if (setting === settingIds.headerTableSize) this.#encoder.allow(peer.headerTableSize)
      else if (setting === settingIds.initialWindow) this.#moveWindows(peer.initialWindow - before)
    }
    this.sender.maxFrame = Math.min(peer.maxFrame, this.limits.maxFrameBytes)
    this.#reply()
    writeSettingsAck(this.output)
    this.settled()
  }

  /** The peer's settings came. */
  protected settled(): void {}

  /** RFC 9113 §6.9.2. */
  #moveWindows(by: number): void {
    for (const stream of this.streams.values()) {
      const window = grown(stream.window, by)
      if (window === undefined) throw new Fault(errorCodes.flowControlError, 'RFC 9113 §6.9.2: the window of a stream is too large')
      stream.window = window
      this.sender.ready(stream)
    }
  }

  #ping(flag: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    if (id !== 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.7: PING on a stream')
    if (to - from !== 8) throw new Fault(errorCodes.frameSizeError, 'RFC 9113 §6.7: PING is not 8 bytes long')
    this.#bother()
    if ((flag & flags.ack) === 0) {
      this.#reply()
      writePong(this.output, bytes, from)
      return
    }
    const purpose = read32(bytes, from)
    if (purpose === pingForCaller) this.events.push({ type: 'pong', token: read32(bytes, from + 4) })
    else if (purpose === pingForEnd && this.#isLeaving) this.#leaveNow()
  }

  #goaway(id: number, bytes: Uint8Array, from: number, to: number): void {
    if (id !== 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.8: GOAWAY on a stream')
    if (to - from < 8) throw new Fault(errorCodes.frameSizeError, 'RFC 9113 §6.8: GOAWAY is shorter than 8 bytes')
    const last = read32(bytes, from) & 0x7fff_ffff
    const code = read32(bytes, from + 4)
    this.#bother()
    this.hasPeerLeft = true
    this.events.push({ type: 'goaway', last, code })
    if (!this.isServer)
      for (const stream of [...this.streams.values()])
        if (stream.id > last && !stream.isClosed) this.gone(stream, errorCodes.refusedStream, true, undefined)
  }

  #priority(id: number, bytes: Uint8Array, from: number, to: number): void {
    if (id === 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.3: PRIORITY on stream 0')
    this.#bother()
    const isSelfDependent = to - from === 5 && (read32(bytes, from) & 0x7fff_ffff) === id
    if (to - from === 5 && !isSelfDependent) return
    const code = isSelfDependent ? errorCodes.protocolError : errorCodes.frameSizeError
    const detail = isSelfDependent ? 'RFC 7540 §5.3.1: a stream depends on itself' : 'RFC 9113 §6.3: PRIORITY is not 5 bytes long'
    const stream = this.streams.get(id)
    if (stream === undefined || stream.isClosed) throw new Fault(code, detail)
    this.broken(stream, code, detail)
  }

  // —— what a peer may cost ——

  #bother(): void {
    if (!this.#noise.spend()) {
      // Every DATA frame that we wrote may be answered by two WINDOW_UPDATE.
      const frames = this.sender.frames - this.#framesSeen
      this.#framesSeen = this.sender.frames
      this.#noise.earn(1 + frames * 2)
      if (frames === 0) throw new Fault(errorCodes.enhanceYourCalm, 'RFC 9113 §10.5: too many frames that carry nothing')
    }
  }

  #spendReset(): void {
    if (!this.#resets.spend())
      throw new Fault(errorCodes.enhanceYourCalm, 'RFC 9113 §10.5: too many streams that end before they are answered')
  }

  protected countReset(): void {
    this.#spendReset()
    this.#reply()
  }

  protected worked(): void {
    this.#noise.earn(2)
  }

  #reply(): void {
    if (++this.#replies > this.limits.maxReplies) throw new Fault(errorCodes.enhanceYourCalm, 'RFC 9113 §10.5: replies are not read')
  }

  #giveBack(): void {
    const due = this.#shared.due()
    if (due > 0 && !this.#isOver) writeWindowUpdate(this.output, 0, due)
  }

  #tellWritable(): void {
    for (const stream of this.#awaited) {
      if (!this.sender.isWritable(stream)) continue
      this.#awaited.delete(stream)
      this.events.push({ type: 'writable', stream: stream.id })
    }
  }

  // —— the end ——

  #fail(thrown: unknown): void {
    if (!(thrown instanceof Fault)) throw thrown
    writeGoaway(this.output, this.lastProcessed, thrown.code, thrown.detail)
    this.#end(this.failure(thrown.detail))
  }

  #end(failure: Failure): void {
    this.events.push({ type: 'failed', failure })
    this.#close()
  }

  #close(): void {
    this.#isOver = true
    this.streams.clear()
    this.#awaited.clear()
    this.live = 0
  }
}

function read32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}
