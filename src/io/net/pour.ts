/**
 * One direction of a relay: what one socket reads, another writes, no faster than it can.
 *
 *   new ──a large read──▶ bulk ──many small reads, or somebody else needs the buffer──▶ quiet ──a large read──▶ bulk
 *
 * A connection begins as Node has it, for most are short: what it reads is written, and it waits for `drain`. With its first large read it
 * takes large buffers of its own to read into and write from; such a buffer is read into again only when its write has completed, and with
 * two of them in flight the source waits. Those that are quiet again share one buffer, of which they write copies, so that they hold nothing. TLS decrypts 16 KiB at a time: in bulk that is gathered, and written once for each turn of the event loop.
 */

import type net from 'node:net'
import tls from 'node:tls'
import { type Holder, keptBuffers } from './kept-buffers.ts'
import { type Reader, readElsewhere, readInto } from './read-into.ts'

/** What is counted: bytes are added to it as they pass. */
export type Count = { value: number }

/** A TLS record (RFC 8446 §5.1). */
const recordBytes = 16_384
/** A read that is large enough to say that more will come; over TLS one full record does. */
const largeBytes = 32_768
const smallBytes = 8_192
/** So many small reads in a row say that the bulk is over. */
const enoughSmall = 32
const mostHeld = 2
/** A connection that used its buffer so lately keeps it. */
const yieldAfterMs = 1000

const quietBuffer = Buffer.allocUnsafeSlow(65_536)

/** Starts at once. What the source has read already goes first. The end of the source ends the sink; errors are the caller's to handle. */
export function pour(source: net.Socket, sink: net.Socket, count: Count): void {
  const large = source instanceof tls.TLSSocket ? recordBytes : largeBytes
  const data = (bytes: Buffer): void => {
    count.value += bytes.length
    if (sink.writable && !sink.write(bytes)) source.pause()
    if (bytes.length < large) return
    source.off('data', data).off('end', end)
    sink.off('drain', drain)
    new Bulk(source, sink, count)
  }
  const drain = (): void => void source.resume()
  const end = (): void => void sink.end()
  source.on('data', data).on('end', end)
  sink.on('drain', drain)
  if (source.readableEnded) sink.end()
  else source.resume()
}

/** sent, filled: up to where it was given to the sink and up to where it was read. pending: writes of it that are not confirmed. */
type Kept = { readonly bytes: Buffer; sent: number; filled: number; pending: number }

class Bulk implements Reader, Holder {
  readonly #source: net.Socket
  readonly #sink: net.Socket
  readonly #count: Count
  readonly #isGathering: boolean
  /** Being read into. Changes within `take` only: the handle keeps its place until then. */
  #own: Kept | undefined
  /** Whose writes are to be confirmed, in order; undefined: one that was complete at once. */
  readonly #unconfirmed: (Kept | undefined)[] = []
  #held = 0
  #small = 0
  #usedAt = 0
  #isStalled = false
  #isFlushing = false

  constructor(source: net.Socket, sink: net.Socket, count: Count) {
    this.#source = source
    this.#sink = sink
    this.#count = count
    this.#isGathering = source instanceof tls.TLSSocket
    source.on('end', this.#ended)
    source.on('close', this.#closed)
    sink.on('drain', this.#drained)
    this.#isStalled = sink.writableNeedDrain
    for (let early: Buffer | null; (early = source.read() as Buffer | null) !== null; ) this.#pass(early)
    this.#renew()
    if (!readInto(source, this)) source.on('data', this.#pass)
    if (this.#isStalled) source.pause()
    else source.resume()
  }

  readonly #pass = (bytes: Buffer): void => {
    this.#count.value += bytes.length
    this.#write(bytes)
    if (this.#isStalled) this.#source.pause()
  }

  #write(bytes: Buffer): void {
    if (this.#sink.writable && !this.#sink.write(bytes)) this.#isStalled = true
  }

  // Reader

  readonly take = (size: number, into: Buffer): boolean => {
    this.#count.value += size
    const own = this.#own
    if (own === undefined || into === quietBuffer) {
      this.#write(Buffer.from(quietBuffer.subarray(0, size)))
      if (size >= (this.#isGathering ? recordBytes : largeBytes)) this.#renew()
      return !this.#isStalled
    }
    own.filled += size
    this.#usedAt = performance.now()
    this.#small = size < smallBytes ? this.#small + 1 : 0
    const isFull = own.bytes.length - own.filled < recordBytes
    if (this.#isGathering && !isFull) this.#flushLater()
    else {
      this.#flush()
      this.#moveOn(own)
    }
    return !this.#isStalled
  }

  readonly next = (): Buffer => {
    const own = this.#own
    if (own === undefined) return quietBuffer
    return own.filled === 0 ? own.bytes : own.bytes.subarray(own.filled)
  }

  #flushLater(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    this.#isFlushing = false
    const own = this.#own
    if (own === undefined || own.sent === own.filled || !this.#sink.writable) return
    const { bytes, sent, filled } = own
    own.sent = filled
    this.#sink.write(sent === 0 && filled === bytes.length ? bytes : bytes.subarray(sent, filled), this.#confirmed)
    // Taken whole by the system, the place is free at once. TLS confirms later, always.
    const isComplete = this.#sink.writableLength === 0
    this.#unconfirmed.push(isComplete ? undefined : own)
    if (!isComplete) own.pending++
  }

  /** After a flush: reads on into the same place if nothing of it is still to be written, else into another buffer. */
  #moveOn(own: Kept): void {
    if (own.pending === 0) {
      own.sent = own.filled = 0
      if (this.#small >= enoughSmall) this.#rest()
      return
    }
    this.#own = undefined
    this.#renew()
    if (this.#own === undefined) this.#isStalled = true
  }

  readonly #confirmed = (error?: Error | null): void => {
    const kept = this.#unconfirmed.shift()
    if (kept !== undefined && --kept.pending === 0 && kept !== this.#own) this.#part(kept, Boolean(error))
    this.#drained()
  }

  readonly #drained = (): void => {
    const mayGoOn = !this.#sink.writableNeedDrain || (this.#held > 0 && this.#held < mostHeld)
    if (!this.#isStalled || !mayGoOn) return
    this.#isStalled = false
    if (!this.#source.destroyed) this.#source.resume()
  }

  /** A buffer of its own for the next reads, if it may have another one. */
  #renew(): void {
    const bytes = this.#held < mostHeld ? keptBuffers.take(this) : undefined
    if (bytes === undefined) return
    this.#held++
    this.#small = 0
    this.#own = { bytes, sent: 0, filled: 0, pending: 0 }
  }

  #part({ bytes }: Kept, isBroken: boolean): void {
    if (isBroken) keptBuffers.lose()
    else keptBuffers.give(bytes)
    if (--this.#held === 0) keptBuffers.leave(this)
  }

  /** Back to the shared buffer. */
  #rest(): void {
    const own = this.#own
    this.#own = undefined
    if (own !== undefined && own.pending === 0) this.#part(own, false)
  }

  // Holder

  readonly yieldIdle = (): void => {
    const own = this.#own
    if (own === undefined || own.pending > 0 || own.sent < own.filled || performance.now() - this.#usedAt < yieldAfterMs) return
    readElsewhere(this.#source, quietBuffer)
    this.#rest()
  }

  readonly #ended = (): void => {
    this.#flush()
    this.#sink.end()
  }

  readonly #closed = (): void => {
    this.#flush()
    this.#rest()
  }
}
