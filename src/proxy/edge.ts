/** How a caller from outside begins at a port of a Gateway: in plaintext, or by TLS with the certificate of the name that it asks for. */

import type { Log } from '#base/log'
import { edgeContext, secureEdge, type SecureContext, type Socket } from '#io/net'
import type { Listener, Terminated, View } from '#model/view'
import { terminatedAt } from '#model/server-name'
import { detect } from '#wire/detect'
import type { Acceptor } from './accept.ts'
import { firstBytes } from './first-bytes.ts'
import { endsOf } from './proxy-header.ts'

/** As long as a handshake may take as a whole. */
const helloMs = 10_000

export type EdgeOptions = {
  readonly acceptor: Acceptor
  readonly view: () => View
  readonly log: Log
  /** Tells of a bug that ends work on a connection. */
  readonly caught: (work: Promise<void>, socket: Socket) => void
}

export class Edge {
  readonly #options: EdgeOptions
  /** Made when first asked for: it parses the keys. */
  readonly #contexts = new WeakMap<Terminated, SecureContext>()
  /** The listener as the callers of one name meet it. */
  readonly #met = new WeakMap<Terminated, Listener>()

  constructor(options: EdgeOptions) {
    this.#options = options
  }

  /** listener: of the newest view. */
  async arrived(socket: Socket, listener: Listener): Promise<void> {
    const { acceptor } = this.#options
    // Asked before TLS takes the socket over.
    const ends = endsOf(socket)
    if (listener.terminates === undefined) return acceptor.entered(socket, listener, ends)
    const first = await firstBytes(socket, helloMs)
    if (socket.destroyed) return
    const hello = detect(first)
    if (hello.kind !== 'tls') {
      this.#refused(listener, 'it does not begin with a hello of TLS')
      return void socket.destroy()
    }
    socket.unshift(first)
    const found = terminatedAt(listener, hello.sni)
    const context = found === undefined ? undefined : this.#contextOf(found, listener)
    secureEdge(
      socket,
      context,
      secure =>
        this.#options.caught(acceptor.entered(secure, this.#meetingOf(found!, listener), ends, secure.alpnProtocol ?? null), secure),
      why => this.#refused(listener, `${why} (${hello.sni ?? 'none'})`),
    )
  }

  #contextOf(found: Terminated, listener: Listener): SecureContext | undefined {
    let context = this.#contexts.get(found)
    if (context !== undefined) return context
    try {
      this.#contexts.set(found, (context = edgeContext(found.certificates)))
    } catch (thrown) {
      this.#options.log.error(`the certificate of ${listener.name} for ${found.names.join() || 'all names'} cannot be used`, {
        error: thrown instanceof Error ? thrown.message : String(thrown),
      })
    }
    return context
  }

  #meetingOf(found: Terminated, listener: Listener): Listener {
    let met = this.#met.get(found)
    if (met === undefined) this.#met.set(found, (met = { ...listener, routes: found.routes }))
    return met
  }

  #refused(listener: Listener, why: string): void {
    this.#options.log.info(`a caller of ${listener.name} was refused: ${why}`, { reason: 'tls-failed' })
  }
}
