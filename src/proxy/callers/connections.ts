/** The connections of callers that speak HTTP, while they are open: told to go elsewhere, held against newer rules, swept and cut. */

import type { FailureCode } from '#base/failure'
import { breakOff, type Socket } from '#io/net'
import type { View } from '#model/view'
import { callerOf } from '../access/access.ts'
import type { Entry } from '../telemetry/entry.ts'
import type { CallerConnection } from './downstream.ts'
import { accessesOf } from './view-change.ts'

/** How long a connection that came while the proxy drains may take for its request. */
export const drainingMs = 1000

export class Connections {
  /** With where it came in, where that is the same for all that comes on it. */
  readonly #open = new Map<CallerConnection, Entry | undefined>()
  /** Callers that proved nothing at a port where that was enough: which port, and what carries their requests. */
  readonly #nameless = new Map<Socket, { readonly listener: string; downstream?: CallerConnection }>()
  #isDraining = false
  #isRetiring = false

  get size(): number {
    return this.#open.size
  }

  /** A caller that proved nothing. It is not yet known what it speaks. */
  metNameless(socket: Socket, listener: string): void {
    this.#nameless.set(socket, { listener })
    socket.once('close', () => this.#nameless.delete(socket))
  }

  keep(socket: Socket, downstream: CallerConnection, entry?: Entry): void {
    this.#open.set(downstream, entry)
    const nameless = this.#nameless.get(socket)
    if (nameless !== undefined) nameless.downstream = downstream
    socket.once('close', () => this.#open.delete(downstream))
    // Its first request is told to go elsewhere; silence is not waited for long.
    if (this.#isDraining) setTimeout(() => downstream.drain(), drainingMs).unref()
    else if (this.#isRetiring) downstream.retire()
  }

  /** Where mutual TLS is demanded from now on, who proved nothing gets the answers that are under way and no more; bytes end at once. */
  partNameless(now: View): void {
    for (const [socket, { listener, downstream }] of this.#nameless) {
      if (now.listeners[listener]?.tls?.mode !== 'strict') continue
      if (downstream === undefined) breakOff(socket)
      else downstream.drain()
    }
  }

  /** Of a port that the Gateway has no more: what is under way is answered, and no further request comes in by a connection that was kept. */
  leaveDoors(now: View): void {
    for (const [downstream, entry] of this.#open)
      if (entry?.listener.direction === 'gateway' && now.listeners[entry.listener.name] === undefined) downstream.drain()
  }

  /** Those whose caller may do nothing here by the rules of now end. */
  judgeAgain(now: View): void {
    for (const [downstream, entry] of this.#open) {
      // Its next request would meet rules that are no more, or not there yet.
      if (entry?.destination !== undefined && now.listeners[entry.listener.name] === undefined) downstream.drain()
      const accesses = entry === undefined || entry.listener.direction !== 'inbound' ? [] : accessesOf(now, entry.listener)
      if (accesses.length > 0 && accesses.every(access => access !== undefined && callerOf(entry!, access).isRefused)) downstream.drain()
    }
  }

  /** Slow heads are answered 408, idle connections closed. now: performance.now(). */
  sweep(now: number): void {
    for (const downstream of this.#open.keys()) downstream.sweep(now)
  }

  drain(): void {
    this.#isDraining = true
    for (const downstream of this.#open.keys()) downstream.drain()
  }

  retire(): void {
    this.#isRetiring = true
    for (const downstream of this.#open.keys()) downstream.retire()
  }

  cut(reason: FailureCode): void {
    for (const downstream of this.#open.keys()) downstream.cut(reason)
  }
}
