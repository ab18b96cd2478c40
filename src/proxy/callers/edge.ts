/** How a caller from outside begins at a port of a Gateway: in plaintext, or by TLS with the certificate of the name that it asks for. */

import type { Log } from '#base/log'
import { edgeAcceptor, refuseName, type Socket } from '#io/net'
import type { Listener, Terminated } from '#model/listener'
import { terminatedAt } from '#model/server-name'
import { termsOf } from '#model/tls'
import type { View } from '#model/view'
import { detect } from '#wire/detect'
import type { Acceptor } from './accept.ts'
import { firstBytes } from './first-bytes.ts'
import { type Handshakes, whyRefused } from '../upstreams/handshakes.ts'
import { endsOf } from './proxy-header.ts'

/** As long as a handshake may take as a whole. */
const helloMs = 10_000

export type EdgeOptions = {
  readonly acceptor: Acceptor
  readonly handshakes: Handshakes
  readonly view: () => View
  readonly log: Log
  /** Tells of a bug that ends work on a connection. */
  readonly caught: (work: Promise<void>, socket: Socket) => void
}

type Doorkeeper = ReturnType<typeof edgeAcceptor>

export class Edge {
  readonly #options: EdgeOptions
  /** Made when first asked for: it parses the keys. */
  readonly #acceptors = new WeakMap<Terminated, Doorkeeper>()

  constructor(options: EdgeOptions) {
    this.#options = options
  }

  /** listener: of the newest view. */
  async arrived(socket: Socket, listener: Listener): Promise<void> {
    const { acceptor } = this.#options
    if (listener.terminates === undefined) return acceptor.entered(socket, listener, () => endsOf(socket))
    const first = await firstBytes(socket, helloMs)
    if (socket.destroyed) return
    const hello = detect(first)
    if (hello.kind !== 'tls') {
      this.#refused(listener, 'it does not begin with a hello of TLS')
      return void socket.destroy()
    }
    const found = terminatedAt(listener, hello.sni)
    if (found?.certificates.length === 0) {
      socket.unshift(first)
      return acceptor.entered(socket, metBy(listener, found), () => endsOf(socket))
    }
    const keeper = found === undefined ? undefined : this.#keeperOf(found, listener)
    if (keeper === undefined) {
      this.#refused(listener, `there is no certificate for ${hello.sni ?? 'callers that name no server'}`)
      return refuseName(socket)
    }
    socket.unshift(first)
    keeper.accept(socket)
  }

  #keeperOf(found: Terminated, listener: Listener): Doorkeeper | undefined {
    const known = this.#acceptors.get(found)
    if (known !== undefined) return known
    const met = metBy(listener, found)
    const { acceptor, caught, handshakes, log } = this.#options
    try {
      const made = edgeAcceptor(
        { ...found, speaksHttp: found.routes !== undefined, terms: termsOf[found.profile ?? 'modern'] },
        secure => {
          secure.on('error', () => {})
          handshakes.agreed(secure, 'gateway')
          caught(
            acceptor.entered(secure, met, () => endsOf(secure), secure.alpnProtocol ?? null),
            secure,
          )
        },
        code => {
          const [reason, why] = whyRefused(code)
          handshakes.refused(listener.name, reason)
          this.#refused(listener, why)
        },
      )
      this.#acceptors.set(found, made)
      return made
    } catch (thrown) {
      log.error(`the certificate of ${listener.name} for ${found.names.join() || 'all names'} cannot be used`, {
        error: thrown instanceof Error ? thrown.message : String(thrown),
      })
      return undefined
    }
  }

  #refused(listener: Listener, why: string): void {
    this.#options.log.info(`a caller of ${listener.name} was refused: ${why}`, { reason: 'tls-failed' })
  }
}

/** The listener as the caller of one name meets it. */
const metBy = (listener: Listener, { routes, backends, hash }: Terminated): Listener =>
  routes === undefined
    ? { ...listener, protocol: 'tcp', ...(backends === undefined ? {} : { backends }), ...(hash === undefined ? {} : { hash }) }
    : { ...listener, routes }
