/** A line that is slow on purpose: the bodies of one exchange, each way at its own rate. */

import type { Fields } from '#wire/http1'
import type { Exchange } from './exchange.ts'
import type { BodySink } from './ends.ts'
import { Pace } from '../callers/pace.ts'
import { Shaper } from './shaper.ts'

export function slowDown(
  exchange: Exchange,
  { requestsBps, answersBps }: { readonly requestsBps?: number; readonly answersBps?: number },
): void {
  if (answersBps !== undefined) exchange.wrap(new SlowAnswer(exchange, answersBps))
  if (requestsBps !== undefined) exchange.changeBody(sink => new SlowBody(exchange, sink, requestsBps))
}

class SlowAnswer extends Shaper {
  readonly #pace: Pace
  #trailers: Fields | undefined

  constructor(exchange: Exchange, bps: number) {
    super(exchange)
    this.#pace = new Pace(
      bps,
      bytes => {
        this.inner.data(bytes)
        this.inner.flush()
      },
      () => (this.#trailers === undefined ? this.tellWritable() : this.#finish(this.#trailers)),
    )
  }

  override data(bytes: Uint8Array): void {
    this.#pace.add(bytes)
  }
  override end(trailers: Fields): void {
    if (this.#pace.isEmpty) return this.inner.end(trailers)
    this.#trailers = trailers
  }
  override flush(): boolean {
    return this.inner.flush() && this.#pace.isEmpty
  }
  override writable(): void {
    if (this.#pace.isEmpty) this.tellWritable()
  }
  override abort(code?: number): void {
    this.#pace.stop()
    this.inner.abort(code)
  }
  override over(): void {
    this.#pace.stop()
    super.over()
  }

  #finish(trailers: Fields): void {
    this.inner.end(trailers)
    this.inner.flush()
    this.tellWritable()
  }
}

class SlowBody implements BodySink {
  readonly #exchange: Exchange
  readonly #sink: BodySink
  readonly #pace: Pace
  #trailers: Fields | undefined

  constructor(exchange: Exchange, sink: BodySink, bps: number) {
    this.#exchange = exchange
    this.#sink = sink
    this.#pace = new Pace(
      bps,
      bytes =>
        exchange.late(() => {
          sink.data(bytes)
          sink.flush()
        }),
      () => (this.#trailers === undefined ? exchange.caller.readBody(true) : exchange.late(() => this.#finish(this.#trailers!))),
    )
  }

  data(bytes: Uint8Array): void {
    this.#pace.add(bytes)
    if (!this.#pace.isEmpty) this.#exchange.caller.readBody(false)
  }
  end(trailers: Fields): void {
    if (this.#pace.isEmpty) return this.#sink.end(trailers)
    this.#trailers = trailers
    this.#exchange.isBodyHeld = true
  }
  flush(): void {
    this.#sink.flush()
  }
  gone(code?: number): void {
    this.#pace.stop()
    this.#sink.gone(code)
  }
  stop(): void {
    this.#pace.stop()
    this.#sink.stop?.()
  }

  #finish(trailers: Fields): void {
    this.#exchange.isBodyHeld = false
    this.#sink.end(trailers)
    this.#sink.flush()
  }
}
