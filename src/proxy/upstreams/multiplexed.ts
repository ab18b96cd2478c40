/** An HTTP/2 connection to an endpoint: carries many exchanges at once; what they write in one turn of the event loop leaves in one write. */

import { noBytes } from '#base/bytes'
import { IdMap } from '#base/id-map'
import { Failure } from '#base/failure'
import { readBytes, type Socket } from '#io/net'
import { type ClientCodec2, type ClientEvent2, clientCodec2 } from '#wire/http2'
import type { Connected } from './reach.ts'
import { hopAlpn, hopLimits } from './hop.ts'
import { type Carrier, Http2Upstream } from './upstream-http2.ts'
import { Turn } from '../callers/turn.ts'

/** A connection on which nothing came this long is asked for a sign of life; without one as long again it is given up. */
const silenceMs = 20_000
/** Kept without a request this long. */
const idleMs = 300_000

/** over: it takes no new exchange from now on. room: it may take one more, after it could not. */
type On = { readonly over: () => void; readonly room: () => void }

export class Multiplexed implements Carrier {
  readonly identity: string | undefined
  readonly isWeft: boolean
  readonly codec: ClientCodec2
  readonly #socket: Socket
  readonly #turn = new Turn()
  readonly #streams = new IdMap<Http2Upstream>()
  /** With something to be passed on to its caller. */
  readonly #touched: Http2Upstream[] = []
  readonly #on: On
  /** Done when the peer's settings are known, or the connection is lost before. */
  readonly settled: Promise<void>
  #settle: (() => void) | undefined
  #isDead = false
  #isRetired = false
  /** Exchanges that are to be carried and have not begun. */
  #reserved = 0
  #isCongested = false
  #lastHeard = performance.now()
  #lastUsed = this.#lastHeard
  #isAsked = false
  served = 0

  constructor({ socket, identity, alpn }: Connected, on: On) {
    this.#socket = socket
    this.identity = identity
    this.isWeft = alpn === hopAlpn
    this.codec = clientCodec2(this.isWeft ? hopLimits : {})
    this.#on = on
    this.settled = new Promise(resolve => (this.#settle = resolve))
    socket.on('drain', () => {
      this.#isCongested = false
      this.#write()
    })
    socket.on('end', () => this.#take(this.codec.receiveEnd()))
    socket.on('error', () => {})
    socket.on('close', () => this.#lost())
    readBytes(socket, bytes => this.#take(this.codec.receive(bytes)))
    socket.resume()
    this.flush()
  }

  /** One more exchange may begin on it. */
  get isOpen(): boolean {
    return !this.#isDead && !this.#isRetired && this.codec.room > this.#reserved
  }
  /** The peer has said how many it takes. */
  get isSettled(): boolean {
    return this.#settle === undefined
  }
  get streams(): number {
    return this.#streams.size
  }

  /** The means to carry one exchange: room is kept for it until it begins or is closed. */
  stream(): Http2Upstream {
    this.#reserved++
    return new Http2Upstream(this)
  }

  begin(id: number, upstream: Http2Upstream): void {
    this.#streams.set(id, upstream)
    this.#lastUsed = performance.now()
  }
  over(id: number): void {
    if (!this.#streams.delete(id)) return
    this.served++
    this.#changed()
  }
  release(): void {
    this.#reserved--
    this.#changed()
  }
  #changed(): void {
    if (this.#streams.size + this.#reserved === 0 && (this.#isRetired || this.codec.isDraining)) this.close()
    else this.#on.room()
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
    if (this.codec.mustClose) this.#socket.end()
    else if (this.codec.hasEvents) this.#take(this.codec.receive(noBytes))
  }

  #take(events: readonly ClientEvent2[]): void {
    this.#lastHeard = performance.now()
    this.#isAsked = false
    for (const event of events) {
      switch (event.type) {
        case 'failed':
          this.#passOn()
          return this.#broke(event.failure)
        case 'goaway':
          this.#isRetired = true
          this.#on.over()
          this.#changed()
          break
        case 'settings':
          this.#settled()
          this.#on.room()
          break
        case 'pong':
          break
        default: {
          const upstream = this.#streams.get(event.stream)
          if (upstream === undefined) break
          try {
            if (upstream.receive(event)) this.#touched.push(upstream)
          } catch (thrown) {
            upstream.fail(thrown, 'upstream-invalid')
          }
        }
      }
    }
    this.#passOn()
    this.flush()
  }

  /** What came for one caller in this read, its head and its body, leaves in one write. */
  #passOn(): void {
    if (this.#touched.length > 0) for (const upstream of this.#touched.splice(0)) upstream.passOn()
  }

  #settled(): void {
    this.#settle?.()
    this.#settle = undefined
  }

  #lost(): void {
    this.#broke(new Failure('upstream-reset', this.served > 0 ? 'a kept connection was closed' : 'before an answer'))
  }

  #broke(failure: Failure): void {
    if (!this.#isDead) this.#write()
    this.#over()
    const streams = this.#streams.values()
    this.#streams.clear()
    for (const stream of streams) stream.broke(failure)
    this.#socket.destroySoon()
  }

  #over(): void {
    this.#isDead = true
    this.#settled()
    this.#on.over()
  }

  /** Asks a silent peer for a sign of life, ends what idles or is dead. now: performance.now(). */
  sweep(now: number): void {
    this.codec.tick(now)
    if (this.#streams.size + this.#reserved === 0 && now - this.#lastUsed > idleMs) return this.close()
    if (now - this.#lastHeard < silenceMs) return
    if (this.#isAsked && now - this.#lastHeard > 2 * silenceMs) {
      this.#broke(new Failure('upstream-reset', `the peer was silent for ${2 * silenceMs} ms`))
      // What is still to be written nobody will read.
      this.#socket.destroy()
      return
    }
    if (this.#isAsked) return
    this.#isAsked = true
    this.codec.send({ type: 'ping', token: 1 })
    this.flush()
  }

  /** Ends after the exchanges under way. */
  retire(): void {
    this.#isRetired = true
    this.#on.over()
    if (this.#streams.size + this.#reserved === 0) this.close()
  }

  close(): void {
    if (this.#isDead) return
    this.codec.send({ type: 'goaway', code: 0 })
    this.#write()
    this.#over()
    this.#socket.end(() => this.#socket.destroy())
    // A peer that does not read its end is not waited for.
    setTimeout(() => this.#socket.destroy(), 1000).unref()
  }
}
