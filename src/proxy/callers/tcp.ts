/** Opaque bytes both ways between two sockets, with half-close, back-pressure, counts, and the reason why it ended. */

import { breakOff, type Count, pour, type Socket } from '#io/net'
import type { Fault } from '#model/fault'
import { Pace } from './pace.ts'

/** '': both ends were done. `caller-gone`, `upstream-reset`: the accepted or the dialled connection broke, and the other was broken off. */
export type Ended = '' | 'caller-gone' | 'upstream-reset' | 'idle-timeout'

/** sent: bytes read off the accepted side; received: bytes read off the dialled side. Counted up as they pass. */
export type Counts = { readonly sent: Count; readonly received: Count }

/** Ends when both sockets are closed. first: bytes of `a` that were read already. idleMs: how long nothing may pass; 0: no limit. line: how fast each way is at most. */
export function carry(
  a: Socket,
  b: Socket,
  { sent, received }: Counts,
  idleMs: number,
  first?: Uint8Array,
  line?: Fault['bandwidth'],
): Promise<Ended> {
  return new Promise(done => {
    let ended: Ended = ''
    let open = Number(!a.closed) + Number(!b.closed)
    if (open === 0) return done('')
    const broke = (other: Socket, why: Ended) => {
      if (open === 2) ended ||= why
      if (!other.destroyed) breakOff(other)
    }
    // One that is gone, not half-closed, takes the other with it once that has sent what it holds.
    const closed = (other: Socket) => {
      if (--open === 0) return done(ended)
      if (other.destroyed) return
      if (idleMs > 0) other.setTimeout(idleMs, () => other.destroy())
      other.end(() => other.destroySoon())
    }
    a.on('error', () => broke(b, 'caller-gone'))
    b.on('error', () => broke(a, 'upstream-reset'))
    a.once('close', () => closed(b))
    b.once('close', () => closed(a))
    // All that passes is read or written by `a`.
    if (idleMs > 0)
      a.setTimeout(idleMs, () => {
        ended ||= 'idle-timeout'
        a.destroy()
        b.destroy()
      })
    if (first !== undefined && first.length > 0) {
      sent.value += first.length
      b.write(first)
    }
    if (a.destroyed || b.destroyed) {
      a.destroy()
      b.destroy()
    }
    if (line?.requestsBps === undefined) pour(a, b, sent)
    else pourSlowly(a, b, sent, line.requestsBps)
    if (line?.answersBps === undefined) pour(b, a, received)
    else pourSlowly(b, a, received, line.answersBps)
  })
}

/** No faster than so many bytes per second; what is read beyond that waits in the kernel. */
function pourSlowly(source: Socket, sink: Socket, count: Count, bps: number): void {
  let hasEnded = source.readableEnded
  const pace = new Pace(
    bps,
    bytes => {
      count.value += bytes.length
      if (sink.writable) sink.write(bytes)
    },
    () => (hasEnded ? sink.end() : source.resume()),
  )
  source.on('data', (bytes: Buffer) => {
    pace.add(bytes)
    if (!pace.isEmpty) source.pause()
  })
  source.on('end', () => {
    hasEnded = true
    if (pace.isEmpty) sink.end()
  })
  source.on('close', () => source.readableEnded || pace.stop())
  sink.on('close', () => pace.stop())
  if (hasEnded) sink.end()
  else source.resume()
}
