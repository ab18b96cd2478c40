/** Third chapter of a connection: the frames that steer it, RFC 9113 §6.3 to §6.9. */

import { errorCodes, Fault, flags, largestStream, settingIds } from './codes.ts'
import { Bodies } from './bodies.ts'
import { writeGoaway, writePing, writePong, writeSettingsAck } from './frames/write.ts'
import { grown } from './streams/flow.ts'

/** Of the pings that the codec sends, the first four bytes: for the caller; to end a connection without losing a request. */
const pingForCaller = 0
const pingForEnd = 0x656e6421

/** More settings in one frame than anybody defines are a flood. */
const mostSettings = 64

export abstract class Control<Event> extends Bodies<Event> {
  protected hasSettings = false
  protected isLeaving = false
  protected hasPeerLeft = false
  #framesSeen = 0

  protected windowUpdate(id: number, bytes: Uint8Array, from: number, to: number): void {
    if (to - from !== 4) throw new Fault(errorCodes.frameSizeError, 'RFC 9113 §6.9: WINDOW_UPDATE is not 4 bytes long')
    const increment = read32(bytes, from) & 0x7fff_ffff
    // Each DATA frame that was written may be answered by two of these.
    this.guard.worked((this.sender.frames - this.#framesSeen) * 2)
    this.#framesSeen = this.sender.frames
    this.guard.noise()
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

  protected resetFrame(id: number, bytes: Uint8Array, from: number, to: number): void {
    if (to - from !== 4) throw new Fault(errorCodes.frameSizeError, 'RFC 9113 §6.4: RST_STREAM is not 4 bytes long')
    if (this.isIdle(id)) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.4: RST_STREAM on a stream that is not open')
    const stream = this.streams.get(id)
    if (stream === undefined || stream.isClosed) return this.guard.noise()
    const code = read32(bytes, from)
    // One that was answered in part cost the peer a round trip too, and ends so wherever somebody watches a list or a page is left.
    if (this.isServer && stream.writing === 'head') this.guard.reset()
    this.gone(stream, code, code === errorCodes.refusedStream)
  }

  protected settings(flag: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    if (id !== 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.5: SETTINGS on a stream')
    if ((flag & flags.ack) !== 0) {
      if (to !== from) throw new Fault(errorCodes.frameSizeError, 'RFC 9113 §6.5: SETTINGS that acknowledge hold something')
      this.decoder.allow(this.limits.headerTableBytes)
      return this.guard.noise()
    }
    if ((to - from) % 6 !== 0) throw new Fault(errorCodes.frameSizeError, 'RFC 9113 §6.5: SETTINGS is not a multiple of 6 bytes long')
    if (to - from > mostSettings * 6) throw new Fault(errorCodes.enhanceYourCalm, 'RFC 9113 §10.5: too many settings in a frame')
    const { peer } = this
    if (this.hasSettings) this.guard.noise()
    else peer.maxStreams = largestStream
    this.hasSettings = true
    const before = peer.initialWindow
    for (let at = from; at < to; at += 6) {
      const setting = (bytes[at]! << 8) | bytes[at + 1]!
      peer.set(setting, read32(bytes, at + 2), !this.isServer)
      if (setting === settingIds.headerTableSize) this.encoder.allow(peer.headerTableSize)
    }
    if (peer.initialWindow !== before) this.#moveWindows(peer.initialWindow - before)
    this.sender.maxFrame = Math.min(peer.maxFrame, this.limits.maxFrameBytes)
    this.guard.reply()
    writeSettingsAck(this.output)
    this.settled()
  }

  /** The peer's settings came. */
  protected abstract settled(): void

  /** RFC 9113 §6.9.2. */
  #moveWindows(by: number): void {
    for (const stream of this.streams.all()) {
      const window = grown(stream.window, by)
      if (window === undefined) throw new Fault(errorCodes.flowControlError, 'RFC 9113 §6.9.2: the window of a stream is too large')
      stream.window = window
      this.sender.ready(stream)
    }
  }

  protected ping(flag: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    if (id !== 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.7: PING on a stream')
    if (to - from !== 8) throw new Fault(errorCodes.frameSizeError, 'RFC 9113 §6.7: PING is not 8 bytes long')
    this.guard.noise()
    if ((flag & flags.ack) === 0) {
      this.guard.reply()
      return writePong(this.output, bytes, from)
    }
    const purpose = read32(bytes, from)
    if (purpose === pingForCaller) this.events.push({ type: 'pong', token: read32(bytes, from + 4) })
    else if (purpose === pingForEnd && this.isLeaving) this.#leaveNow()
  }

  protected goawayFrame(id: number, bytes: Uint8Array, from: number, to: number): void {
    if (id !== 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.8: GOAWAY on a stream')
    if (to - from < 8) throw new Fault(errorCodes.frameSizeError, 'RFC 9113 §6.8: GOAWAY is shorter than 8 bytes')
    const last = read32(bytes, from) & 0x7fff_ffff
    this.guard.noise()
    this.hasPeerLeft = true
    this.events.push({ type: 'goaway', last, code: read32(bytes, from + 4) })
    if (this.isServer) return
    for (const stream of this.streams.all()) if (stream.id > last && !stream.isClosed) this.gone(stream, errorCodes.refusedStream, true)
  }

  protected priority(id: number, bytes: Uint8Array, from: number, to: number): void {
    if (id === 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §6.3: PRIORITY on stream 0')
    this.guard.noise()
    const isSelfDependent = to - from === 5 && (read32(bytes, from) & 0x7fff_ffff) === id
    if (to - from === 5 && !isSelfDependent) return
    const code = isSelfDependent ? errorCodes.protocolError : errorCodes.frameSizeError
    const detail = isSelfDependent ? 'RFC 7540 §5.3.1: a stream depends on itself' : 'RFC 9113 §6.3: PRIORITY is not 5 bytes long'
    const stream = this.streams.get(id)
    if (stream === undefined || stream.isClosed) throw new Fault(code, detail)
    this.broken(stream, code, detail)
  }

  protected sendPing(token: number): void {
    writePing(this.output, pingForCaller, token)
  }

  /** A server leaves in two steps (RFC 9113 §6.8): requests that are on the way when the first GOAWAY goes out are served still. */
  protected leave(code: number): void {
    if (code !== errorCodes.noError) {
      writeGoaway(this.output, this.lastProcessed, code, '')
      this.over(undefined)
    } else if (this.isLeaving) this.#leaveNow()
    else {
      writeGoaway(this.output, this.isServer ? largestStream : 0, code, '')
      if (this.isServer) writePing(this.output, pingForEnd, 0)
    }
    this.isLeaving = true
  }

  #leaveNow(): void {
    if (!this.isServer || this.lastServed !== largestStream) return
    this.lastServed = this.streams.last
    writeGoaway(this.output, this.lastServed, errorCodes.noError, '')
  }
}

export function read32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}
