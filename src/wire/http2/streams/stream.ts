/** One exchange of a connection: the two machines of its messages, and what flows on it. */

import type { Fields } from '../../http1.ts'
import { Credit } from './flow.ts'

//  RFC 9113 §5.1 draws one machine of seven states; it is the product of these two, one for each direction. "half-closed" is one of them being done, "closed" both; a reset takes the
//  stream out of the table of streams altogether.
//
//  reading    head ──interim──▶ head ──head──▶ body ──end──▶ done        a server's stream begins with its head read
//  writing    head ──interim──▶ head ──head──▶ body ──end──▶ ending ──flushed──▶ done      ending: what is queued waits for the peer's windows
const reading = {
  head: { interim: 'head', head: 'body' },
  body: { end: 'done' },
  done: {},
} as const satisfies Table
const writing = {
  head: { interim: 'head', head: 'body' },
  body: { end: 'ending' },
  ending: { flushed: 'done' },
  done: {},
} as const satisfies Table

type Table = Record<string, Record<string, string>>
type Reading = keyof typeof reading
type Writing = keyof typeof writing

export class Stream {
  readonly id: number
  reading: Reading
  writing: Writing
  /** Received: what the peer may send, and the bytes of body that are announced and have not come; -1: any number. */
  readonly credit: Credit
  expected = -1
  /** HEAD, 204, 304: no body comes or goes, whatever the fields say. */
  isBodilessRead = false
  isBodilessWritten = false
  /** CONNECT: each side may end while the other goes on. */
  isTunnel = false
  informational = 0
  headBytes = 0
  /** Sent: what the peer lets us send, the pieces that wait for it, and the bytes of body that are announced and were not given; -1: any number. */
  window: number
  queue: Uint8Array[] | undefined
  /** Where in the first piece the rest begins. */
  queueAt = 0
  queued = 0
  /** What of that the sender counts against the connection's window. */
  counted = 0
  announced = -1
  trailers: Fields | undefined
  /** Stands in the sender's line. */
  isReady = false
  /** How many pieces at the end of the queue, since the last drain, are only lent. */
  lent = 0

  constructor(id: number, isServer: boolean, window: number, credit: number) {
    this.id = id
    this.reading = isServer ? 'body' : 'head'
    this.writing = isServer ? 'head' : 'body'
    this.window = window
    this.credit = new Credit(credit)
  }

  get isClosed(): boolean {
    return this.reading === 'done' && this.writing === 'done'
  }

  read(step: 'interim' | 'head' | 'end'): void {
    this.reading = after(reading, this.reading, step)
  }

  write(step: 'interim' | 'head' | 'end' | 'flushed'): void {
    this.writing = after(writing, this.writing, step)
  }
}

/** A step that a table lacks is a bug of the caller, hence an Error and not a Failure. */
function after<State extends string>(table: Readonly<Record<State, Readonly<Record<string, string>>>>, from: State, by: string): State {
  const to = table[from][by]
  if (to === undefined) throw new Error(`HTTP/2 codec: "${by}" is impossible while "${from}"`)
  return to as State
}
