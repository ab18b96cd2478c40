/** Datagrams of the workload: to a service of the mesh they are handed on as sessions, to anywhere else relayed as a NAT would, or visibly refused. */

import type { Log } from '#base/log'
import { type DatagramSession, dialUdp } from '#io/udp'
import type { Listener } from '#model/listener'
import type { View } from '#model/view'
import { isGivenOut, listenerAt } from '#model/virtual'
import type { Destination } from './telemetry/entry.ts'
import type { Exit } from './exit.ts'
import type { Meter } from './telemetry/meter.ts'

export type DatagramsOptions = {
  readonly view: () => View
  /** Resolves when the first view is there, or rejects when patience ends. */
  readonly ready: () => Promise<void>
  readonly meter: Meter
  readonly log: Log
  readonly exit: Exit
  /** To a place outside the mesh, by address or name; absent: as the machine finds it. */
  readonly dial?: typeof dialUdp
  /** Takes a session to a service: sets its `onMessage` and `onClose` at once, and answers by `send` and `close`. */
  readonly carry: (session: DatagramSession, listener: Listener) => void
}

/** What comes while the first view is awaited; over UDP more need not be kept. */
const mostWaiting = 64

export class Datagrams {
  readonly #options: DatagramsOptions

  constructor(options: DatagramsOptions) {
    this.#options = options
  }

  /** A flow begins. */
  take(session: DatagramSession): void {
    const waiting: Uint8Array[] = []
    session.onMessage = bytes => void (waiting.length < mostWaiting && waiting.push(bytes))
    this.#options.ready().then(
      () => {
        this.#route(session)
        for (const bytes of waiting) session.onMessage(bytes)
      },
      () => session.close('refused'),
    )
  }

  #route(session: DatagramSession): void {
    const { view, carry, log } = this.#options
    const { host, port } = session.to
    const listener = listenerAt(view(), host, port, 'udp')
    if (listener !== undefined) return carry(session, listener)
    const listeners = Object.values(view().listeners).filter(listener => listener.direction === 'outbound' && listener.host === host)
    if (listeners.length === 0 && !isGivenOut(host)) return this.#leave(session)
    log.warn(`datagrams to ${listeners[0]?.service ?? host} on port ${port} are refused: no service takes UDP there`)
    this.#options.meter.datagrams(listeners[0]?.service ?? '', `${host}:${port}`).refused.value++
    session.close('refused')
  }

  /** Not of the mesh: where the rules allow it, now and as long as it goes on. */
  #leave(session: DatagramSession): void {
    const { view, exit, meter } = this.#options
    const destination = exit.destinationOf(session.to)
    if (exit.judgeFlow(destination, view()) === undefined) return this.#relay(session, destination)
    meter.datagrams('external', exit.placeOf(destination)).refused.value++
    session.close('refused')
  }

  /** Not of the mesh: on to where the workload wanted to go, from a port of its own, and back. */
  #relay(session: DatagramSession, destination: Destination): void {
    const { meter, log, exit, view, dial = dialUdp } = this.#options
    const { host, port } = destination
    const samples = meter.datagrams('external', exit.placeOf(destination))
    let judged = view()
    const flow = dial(host, port, {
      message(bytes) {
        samples.received.value++
        session.send(bytes)
      },
      failed(error) {
        log.debug(`${host}:${port} is not of the mesh and does not take datagrams`, { error: error.message })
        samples.refused.value++
        session.close('refused')
      },
    })
    samples.sessions.value++
    session.onMessage = bytes => {
      if (judged !== view() && exit.judgeFlow(destination, (judged = view())) !== undefined) {
        samples.refused.value++
        flow.close()
        return session.close('refused')
      }
      samples.sent.value++
      flow.send(bytes)
    }
    session.onClose = () => flow.close()
  }
}
