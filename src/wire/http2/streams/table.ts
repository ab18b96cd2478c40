/** The streams of a connection: those that are open, those whose body is not read to its end yet, and what is remembered of those that are gone. */

import { IdMap } from '#base/id-map'
import type { SharedCredit } from './flow.ts'
import { Closed } from './closed.ts'
import type { Sender } from './send.ts'
import type { Stream } from './stream.ts'

export class Streams {
  readonly #byId = new IdMap<Stream>()
  readonly #closed = new Closed()
  readonly #awaited = new Set<Stream>()
  readonly #sender: Sender
  readonly #shared: SharedCredit
  /** Streams with a message that is not complete. */
  live = 0
  /** The heads of those together, as a limit counts them. */
  headBytes = 0
  /** The highest that was opened, by either side. */
  last: number

  constructor(last: number, sender: Sender, shared: SharedCredit) {
    this.last = last
    this.#sender = sender
    this.#shared = shared
  }

  get(id: number): Stream | undefined {
    return this.#byId.get(id)
  }
  all(): Stream[] {
    return this.#byId.values()
  }

  add(stream: Stream): void {
    this.#byId.set(stream.id, stream)
    this.live++
    this.headBytes += stream.headBytes
  }

  /** A stream that a command is for; undefined: it is gone. */
  known(id: number): Stream | undefined {
    const stream = this.#byId.get(id)
    if (stream === undefined && (id > this.last || id < 1)) throw new Error(`HTTP/2 codec: there is no stream ${id}`)
    return stream
  }

  /** Both messages are complete. What was received and not consumed keeps it in the table. */
  end(stream: Stream): void {
    this.#closed.add(stream.id, 'ended')
    this.#leave(stream)
    this.forgetConsumed(stream)
  }

  forgetConsumed(stream: Stream): void {
    if (stream.isClosed && stream.credit.held <= 0) this.#byId.delete(stream.id)
  }

  /** Takes a stream out, whatever state it is in. */
  remove(stream: Stream, how: 'reset' | 'dropped'): void {
    this.#byId.delete(stream.id)
    this.#shared.release(stream.credit.held)
    if (stream.isClosed) return
    this.#closed.add(stream.id, how)
    this.#leave(stream)
    this.#sender.drop(stream)
  }

  #leave(stream: Stream): void {
    this.live--
    this.headBytes -= stream.headBytes
    this.#awaited.delete(stream)
  }

  /** A stream that was never opened, or was refused. */
  refused(id: number): void {
    this.#closed.add(id, 'dropped')
  }

  how(id: number): 'ended' | 'reset' | 'dropped' | undefined {
    return this.#closed.how(id)
  }

  /** Whether more body may be sent. When not, `nowWritable` tells when it may. */
  isWritable(id: number): boolean {
    const stream = this.#byId.get(id)
    if (stream === undefined || stream.writing === 'head' || stream.writing === 'done') return false
    if (this.#sender.isWritable(stream)) return true
    this.#awaited.add(stream)
    return false
  }

  /** Whether somebody was told that it is not writable, and not yet that it is again. Who asks tells them now. */
  takeAwaited(stream: Stream): boolean {
    return this.#awaited.size > 0 && this.#awaited.delete(stream)
  }

  nowWritable(tell: (id: number) => void): void {
    if (this.#awaited.size === 0 || !this.#sender.hasWindow) return
    for (const stream of this.#awaited) {
      if (!this.#sender.isWritable(stream)) continue
      this.#awaited.delete(stream)
      tell(stream.id)
    }
  }

  /** The connection is over. */
  clear(): void {
    this.#byId.clear()
    this.#awaited.clear()
    this.live = this.headBytes = 0
  }
}
