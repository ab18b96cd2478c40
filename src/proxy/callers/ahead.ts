/**
 * The way to the endpoint, begun while it is not known yet what the caller speaks. A caller that is silent may be waiting for its server to speak
 * (MySQL, SMTP): that can only be heard by asking the server, so it is asked, and its first word decides at once. Should the caller speak HTTP
 * after all, the connection is given up unused.
 */

import type { Socket } from '#io/net'

export class Ahead<Reached extends { readonly connected: { readonly socket: Socket } }> {
  readonly #dial: () => Promise<Reached>
  #reached: Promise<Reached> | undefined
  #isOver = false
  #stopListening = (): void => {}

  constructor(dial: () => Promise<Reached>) {
    this.#dial = dial
  }

  /** onWord: the server has spoken, or hung up. onFailure: the way failed, of which whoever takes it learns. */
  start(onWord: () => void, onFailure: (why: unknown) => void = () => {}): void {
    this.#reached = this.#dial()
    this.#reached.then(({ connected: { socket } }) => this.#reach(socket, onWord), onFailure)
  }

  #reach(socket: Socket, onWord: () => void): void {
    if (this.#isOver) return
    const word = (bytes?: Uint8Array): void => {
      this.#stopListening()
      if (bytes instanceof Uint8Array) socket.unshift(bytes)
      onWord()
    }
    this.#stopListening = () => {
      this.#stopListening = () => {}
      socket.off('data', word).off('end', word)
      socket.pause()
    }
    socket.on('error', () => {})
    socket.once('data', word).once('end', word)
    socket.resume()
  }

  /** What was read stays in the socket. Undefined: it was not begun. Throws why it failed. */
  take(): Promise<Reached> | undefined {
    this.#isOver = true
    this.#stopListening()
    return this.#reached
  }

  /** Nobody wants it. */
  drop(): void {
    this.take()?.then(
      ({ connected: { socket } }) => socket.destroy(),
      () => {},
    )
  }
}
