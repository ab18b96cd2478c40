/**
 * The caller of one session of datagrams: an exchange like any other (RFC 9298, `connect-udp`), whose body are datagrams in capsules.
 *
 *   first datagram ──▶ asked ──101──▶ carried ──silence or the caller's end──▶ ending ──the endpoint's end──▶ over
 *                        └──any other answer──▶ over              └──the endpoint's end, or broken off──▶ over
 *
 * UDP stays what it is: what cannot be passed on at once is dropped and counted, never queued without bound.
 */

import { longestTimerMs } from '#base/clock'
import type { FailureCode } from '#base/failure'
import type { DatagramSession } from '#io/udp'
import { CapsuleReader, datagramCapsule, maxDatagramBytes } from '#wire/capsule'
import type { Fault } from '#model/fault'
import type { ResponseHead } from '#wire/http1'
import { errorCodes } from '#wire/http2'
import type { OnExchange } from './downstream.ts'
import type { Entry } from '../telemetry/entry.ts'
import { Exchange } from '../requests/exchange.ts'
import type { Caller } from '../requests/ends.ts'
import { hitBy } from '../requests/fault.ts'
import type { DatagramSamples } from '../telemetry/meter.ts'

/** As clients of RFC 9298 ask for it, and as Envoy names it. */
export const connectUdp = 'connect-udp'

/** How long a session may be silent where nobody says otherwise; Envoy's own default (`udp_proxy.idle_timeout`). */
const usualIdleMs = 60_000
/** How long the other end may take to end its half. */
const endingMs = 5_000
/** What is kept until the way is open, of one session. */
const mostWaiting = 64
const mostWaitingBytes = 65_536

export class UdpCaller implements Caller {
  readonly #session: DatagramSession
  readonly #entry: Entry
  readonly #on: OnExchange
  readonly #samples: DatagramSamples
  readonly #reader = new CapsuleReader()
  readonly #idleMs: number
  #exchange: Exchange | undefined
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #isAgreed = false
  /** The endpoint takes more. */
  #isOpen = true
  #isEnding = false
  #isOver = false
  #usedAt = performance.now()
  #timer: NodeJS.Timeout | undefined
  readonly #onOver: () => void
  readonly #tellFault: (policy: string, fault: string) => void

  /** Begins with the first datagram of the session. onOver: nothing of it is left. */
  constructor(
    session: DatagramSession,
    entry: Entry,
    on: OnExchange,
    samples: DatagramSamples,
    onOver: () => void,
    tellFault: (policy: string, fault: string) => void,
  ) {
    this.#session = session
    this.#entry = entry
    this.#on = on
    this.#samples = samples
    this.#idleMs = entry.listener.idleMs ?? usualIdleMs
    this.#onOver = onOver
    this.#tellFault = tellFault
    session.onMessage = bytes => this.#take(bytes)
    session.onClose = () => this.#end()
  }

  // From the workload.

  #take(bytes: Uint8Array): void {
    if (this.#isEnding || this.#isOver) return
    this.#usedAt = performance.now()
    if (bytes.length > maxDatagramBytes) return this.#drop()
    const fault = this.#entry.view().listeners[this.#entry.listener.name]?.fault
    if (fault === undefined) this.#forward(bytes)
    else this.#break(bytes, fault)
  }

  /** On purpose, each by its own chance. */
  #break(bytes: Uint8Array, fault: Fault): void {
    const hit = hitBy(fault, Math.random, Date.now())
    if (hit === undefined) return this.#forward(bytes)
    if (hit.delayMs > 0) this.#tellFault(fault.policy, 'delay')
    if (hit.abort !== undefined) {
      this.#tellFault(fault.policy, 'drop')
      return this.#drop()
    }
    // What is read into may be read into again.
    const kept = bytes.slice()
    setTimeout(() => this.#forward(kept), hit.delayMs).unref()
  }

  #forward(bytes: Uint8Array): void {
    if (this.#isEnding || this.#isOver) return
    if (this.#exchange === undefined) return this.#begin(bytes)
    if (!this.#isAgreed) return this.#wait(bytes)
    if (!this.#isOpen) return this.#drop()
    this.#pass(this.#exchange, bytes)
    this.#exchange.bodyFlush()
  }

  #wait(bytes: Uint8Array): void {
    if (this.#waiting.length >= mostWaiting || this.#waitingBytes + bytes.length > mostWaitingBytes) return this.#drop()
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
  }

  #drop(): void {
    this.#samples.dropped.value++
  }

  #pass(exchange: Exchange, bytes: Uint8Array): void {
    this.#samples.sent.value++
    exchange.bodyData(datagramCapsule(bytes))
  }

  /** The first datagram goes with the question (RFC 9298 §5 lets it): a question and its answer cost no turn more than over TCP. */
  #begin(first: Uint8Array): void {
    const { host, port } = this.#session.to
    const { listener } = this.#entry
    const head = {
      method: 'GET',
      target: `/.well-known/masque/udp/${encodeURIComponent(host)}/${port}/`,
      minor: 1 as const,
      fields: ['host', `${listener.service}:${port}`, 'capsule-protocol', '?1'],
    }
    const exchange = new Exchange(head, 0, connectUdp, false, this.#entry, this, performance.now(), false)
    this.#exchange = exchange
    this.#samples.sessions.value++
    this.#pass(exchange, first)
    // What is asked has no body of its own; what follows belongs to the session.
    exchange.bodyEnd([])
    this.#watch(this.#idleMs)
    this.#on.begin(exchange)
  }

  #watch(ms: number): void {
    if (this.#idleMs === 0) return
    this.#timer = setTimeout(
      () => {
        const left = this.#usedAt + this.#idleMs - performance.now()
        if (left > 1) this.#watch(left)
        else this.#session.close()
      },
      Math.min(ms, longestTimerMs),
    )
    this.#timer.unref()
  }

  /** Silent for so long, or closed by the workload: in order where the endpoint carries it, so that it is no broken stream to the other end. */
  #end(): void {
    const exchange = this.#exchange
    if (exchange === undefined) return this.#finish()
    if (this.#isEnding || this.#isOver) return
    this.#isEnding = true
    if (!this.#isAgreed) {
      exchange.reason ||= 'caller-gone'
      exchange.callerGone()
      return this.#finish()
    }
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      exchange.callerGone()
      this.#finish()
    }, endingMs)
    this.#timer.unref()
    exchange.bodyEnd([])
    exchange.bodyFlush()
  }

  // Caller

  respond(head: ResponseHead): void {
    const exchange = this.#exchange
    if (exchange === undefined || head.status !== 101) return
    this.#isAgreed = true
    exchange.isTunnel = true
    // It was held back while nobody took it.
    this.#isOpen = true
    for (const bytes of this.#waiting.splice(0)) this.#pass(exchange, bytes)
    exchange.bodyFlush()
  }
  informational(): void {}

  data(bytes: Uint8Array): void {
    if (!this.#isAgreed) return
    for (const event of this.#reader.receive(bytes)) {
      if (event.type === 'failed') return this.cut('upstream-invalid')
      this.#usedAt = performance.now()
      this.#samples.received.value++
      this.#session.send(event.bytes)
    }
  }

  end(): void {
    if (this.#isAgreed && !this.#isEnding) {
      this.#isEnding = true
      this.#exchange?.bodyEnd([])
      this.#exchange?.bodyFlush()
    }
    this.#finish()
  }

  flush(): boolean {
    return true
  }
  readBody(open: boolean): void {
    this.#isOpen = open
  }

  /** code: of RFC 9113 §7. That nobody takes datagrams there is passed on to the workload as its kernel would say it. */
  abort(code?: number): void {
    if (code === errorCodes.connectError) this.#isAgreed = false
    this.#finish()
  }

  /** Breaks it off. reason: what is counted. */
  cut(reason: FailureCode): void {
    if (this.#exchange !== undefined) this.#exchange.reason ||= reason
    this.#exchange?.callerGone()
    this.#isAgreed = true
    this.#finish()
  }

  /** So many milliseconds ago something passed. */
  stillFor(now: number): number {
    return now - this.#usedAt
  }

  #finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#session.onClose = () => {}
    // One that was never agreed on is refused, so that a program does not wait for an answer that cannot come.
    const isRefused = this.#exchange !== undefined && !this.#isAgreed && !this.#isEnding
    if (isRefused) this.#samples.refused.value++
    this.#session.close(isRefused ? 'refused' : undefined)
    if (this.#exchange !== undefined) this.#on.done(this.#exchange)
    this.#onOver()
  }
}
