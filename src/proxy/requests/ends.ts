/** The two ends of an exchange as it sees them, whatever protocol carries them: its caller, who takes its body, and who relays its answer. */

import type { Failure } from '#base/failure'
import type { Fields, Length, ResponseHead } from '#wire/http1'

/** Takes a request body as it arrives; `flush` says that no more comes in this turn, so write what you hold. */
export interface BodySink {
  data(bytes: Uint8Array): void
  end(trailers: Fields): void
  flush(): void
  /** The caller is gone before the exchange was complete. code: of RFC 9113 §7, where it gave one. */
  gone(code?: number): void
  /** Of one that holds something back: nothing of it is wanted any more. */
  stop?(): void
}

/** The caller's side of an exchange: implemented per protocol. */
export interface Caller {
  respond(head: ResponseHead, length: Length): void
  informational(head: ResponseHead): void
  data(bytes: Uint8Array): void
  end(trailers: Fields): void
  /** Writes what was handed over; false when the caller reads too slowly: `onWritable` is called when it goes on, or when the exchange is over. */
  flush(): boolean
  /** Lets body bytes come, or holds them back. */
  readBody(open: boolean): void
  /** Breaks the answer off: the caller must see that it is not whole. code: of RFC 9113 §7, where the endpoint gave one. */
  abort(code?: number): void
}

/** What stands between the relaying side and the caller. */
export interface Shape extends Caller {
  addOuter(shape: Shape): void
  /** The caller reads again. */
  writable(): void
  /** The exchange is over. */
  over(): void
}

/** Who relays an exchange now. */
export interface Relay {
  /** The time of the exchange is over. */
  expire(failure: Failure): void
  /** Nobody wants the answer any more. */
  close(): void
}

/** Who looks at the head of an answer before it is passed on. */
export interface Weigher {
  /** The failure by which it is held back, to ask again. */
  weigh(head: ResponseHead): Failure | undefined
}
