/** Opaque bytes both ways between two sockets, with half-close, back-pressure and counts. */

import type { Socket } from '#io/net'

/** from: bytes read off the accepted side; to: bytes read off the dialled side. */
export type Carried = { from: number; to: number }

/** Ends when both directions have ended or either socket broke. `carried` is counted up as bytes pass; first: bytes of `a` that were read already. */
export function carry(a: Socket, b: Socket, carried: Carried, first?: Uint8Array): Promise<void> {
  return new Promise(done => {
    let open = 2
    const closed = () => {
      if (--open === 0) done()
      else {
        // A socket that is gone, not half-closed, takes the other with it once that has sent what it holds.
        if (a.destroyed && !b.destroyed) b.end(() => b.destroySoon())
        if (b.destroyed && !a.destroyed) a.end(() => a.destroySoon())
      }
    }
    pour(a, b, size => (carried.from += size))
    pour(b, a, size => (carried.to += size))
    for (const [socket, other] of [
      [a, b],
      [b, a],
    ] as const) {
      socket.on('error', () => other.destroy())
      socket.once('close', closed)
    }
    if (first !== undefined && first.length > 0) {
      carried.from += first.length
      b.write(first)
    }
    if (a.destroyed) b.destroy()
    if (b.destroyed) a.destroy()
    if (a.readableEnded) b.end()
    a.resume()
    b.resume()
  })
}

function pour(source: Socket, sink: Socket, count: (bytes: number) => void): void {
  source.on('data', (bytes: Uint8Array) => {
    count(bytes.length)
    if (!sink.write(bytes)) source.pause()
  })
  sink.on('drain', () => source.resume())
  source.on('end', () => sink.end())
}
