/** What stands between the relaying side and the caller of one exchange, where its route asks for more than to pass the answer on. */

import type { Fields, Length, ResponseHead } from '#wire/http1'
import type { Exchange } from './exchange.ts'
import type { Caller, Shape } from './ends.ts'

/** Passes everything on as it is; what it is made for changes some of it. */
export class Shaper implements Shape {
  readonly exchange: Exchange
  protected readonly inner: Caller
  /** Who stands between this one and the relaying side. */
  #outer: Shape | undefined

  constructor(exchange: Exchange) {
    this.exchange = exchange
    this.inner = exchange.caller
  }

  addOuter(shaper: Shape): void {
    if (this.#outer === undefined) this.#outer = shaper
    else this.#outer.addOuter(shaper)
  }

  respond(head: ResponseHead, length: Length): void {
    this.inner.respond(head, length)
  }
  informational(head: ResponseHead): void {
    this.inner.informational(head)
  }
  data(bytes: Uint8Array): void {
    this.inner.data(bytes)
  }
  end(trailers: Fields): void {
    this.inner.end(trailers)
  }
  flush(): boolean {
    return this.inner.flush()
  }
  readBody(open: boolean): void {
    this.inner.readBody(open)
  }
  abort(code?: number): void {
    this.inner.abort(code)
  }

  /** The caller reads again. */
  writable(): void {
    this.tellWritable()
  }
  /** Whoever relays the answer may go on. */
  protected tellWritable(): void {
    if (this.#outer === undefined) this.exchange.onWritable?.()
    else this.#outer.writable()
  }

  /** The exchange is over. */
  over(): void {
    this.#outer?.over()
  }
}
