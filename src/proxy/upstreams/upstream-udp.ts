/** One session of datagrams to a port that takes them: of the workload behind this proxy, or of one outside the mesh. Capsules in, datagrams out, and back. */

import type { Failure } from '#base/failure'
import type { UdpFlow, UdpHandlers } from '#io/udp'
import { CapsuleReader, datagramCapsule } from '#wire/capsule'
import type { RequestHead, ResponseHead } from '#wire/http1'
import { errorCodes } from '#wire/http2'
import type { Exchange } from '../requests/exchange.ts'
import type { BodySink } from '../requests/ends.ts'
import type { Outcome, Upstream } from './upstream.ts'

/** RFC 9298 §3.5, in the form of HTTP/1. */
const accepted: ResponseHead = { status: 101, reason: 'Switching Protocols', minor: 1, fields: ['capsule-protocol', '?1'] }

export class UdpUpstream implements Upstream, BodySink {
  readonly identity = undefined
  readonly isReused = false
  readonly #open: (on: UdpHandlers) => UdpFlow
  readonly #reader = new CapsuleReader()
  #flow: UdpFlow | undefined
  #exchange: Exchange | undefined
  #outcome: Outcome | undefined
  #isAnswered = false
  /** The question has ended, as it does in HTTP/1; what it opens goes on. */
  #hasOffered = false
  /** The caller takes more. */
  #isOpen = true

  /** open: a port of its own for each session, so that answers find their way. */
  constructor(open: (on: UdpHandlers) => UdpFlow) {
    this.#open = open
  }

  get isAnswered(): boolean {
    return this.#isAnswered
  }

  relay(exchange: Exchange, _head: RequestHead, editResponse: (head: ResponseHead) => ResponseHead, outcome: Outcome): void {
    this.#exchange = exchange
    this.#outcome = outcome
    exchange.onWritable = () => {
      this.#isOpen = true
    }
    this.#flow = this.#open({ message: bytes => this.#back(bytes), failed: () => this.#refused() })
    // A port of UDP does not say whether it takes anything: the way is open (RFC 9298 §3.1).
    this.#isAnswered = true
    exchange.readBody(this)
    exchange.answeredBy(101)
    exchange.caller.respond(editResponse(accepted), 0)
    exchange.isTunnel = true
    exchange.caller.flush()
  }

  #back(bytes: Uint8Array): void {
    const exchange = this.#exchange
    if (exchange === undefined || !this.#isOpen) return
    const capsule = datagramCapsule(bytes)
    exchange.sentBytes += capsule.length
    exchange.caller.data(capsule)
    this.#isOpen = exchange.caller.flush()
  }

  /** The workload's kernel says that nobody takes datagrams there. */
  #refused(): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    exchange.reason = 'connect-refused'
    this.#finish()
    exchange.caller.abort(errorCodes.connectError)
  }

  // From the caller.

  data(bytes: Uint8Array): void {
    for (const event of this.#reader.receive(bytes)) {
      if (event.type === 'datagram') this.#flow?.send(event.bytes)
      else return this.#malformed(event.why)
    }
  }

  end(): void {
    if (!this.#hasOffered) {
      this.#hasOffered = true
      return
    }
    const [wrong] = this.#reader.receiveEnd()
    if (wrong?.type === 'failed') return this.#malformed(wrong.why)
    this.#over()
  }

  /** RFC 9297 §3.3: the stream is broken off. */
  #malformed(_why: string): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    exchange.reason = 'bad-request'
    this.#finish()
    exchange.caller.abort(errorCodes.protocolError)
  }

  flush(): void {}
  gone(): void {
    this.#finish()
  }
  /** Nothing passed for long, or the proxy ends. */
  expire(_failure: Failure): void {
    this.#over()
  }
  close(): void {
    this.#finish()
  }

  #over(): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    this.#finish()
    exchange.caller.end([])
    exchange.caller.flush()
  }

  #finish(): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    this.#exchange = undefined
    exchange.onWritable = undefined
    exchange.stopBody()
    this.#flow?.close()
    this.#outcome?.settled(undefined)
  }
}
