/** What a captured workload sends: its TCP connections with where they were going, and its DNS questions. */

import net from 'node:net'
import { concat, noBytes } from '#base/bytes'
import type { Namespace } from '../namespace.ts'
import { type Destination, originalDestination } from '../sockopt.ts'
import { listenUdp } from '../udp.ts'

export type Arrivals = {
  /** Every TCP connection that does not stay on the workload's loopback. Paused. The socket is the caller's from now on, errors included. */
  onConnection(socket: net.Socket, destination: Destination): void
  /** Every DNS message. undefined leaves it unanswered; a rejection is answered with SERVFAIL. */
  onDnsQuery(query: Uint8Array, from: 'udp' | 'tcp'): Promise<Uint8Array | undefined>
}

/** Accepts on the namespace's listeners until disposed of; open connections go on. */
export async function listenInside({ listeners }: Namespace, arrivals: Arrivals): Promise<AsyncDisposable> {
  await using opened = new AsyncDisposableStack()
  for (const fd of listeners.tcp) opened.use(await accept(fd, socket => hand(socket, arrivals)))
  for (const fd of listeners.dnsTcp) opened.use(await accept(fd, socket => answerStream(socket, query => answered(arrivals, query, 'tcp'))))
  for (const place of listeners.dnsUdp) opened.use(await listenUdp(place, query => answered(arrivals, query, 'udp')))
  return opened.move()
}

function accept(fd: number, onSocket: (socket: net.Socket) => void): Promise<AsyncDisposable> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, onSocket)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ fd, backlog: 4096 }, () => {
      server.off('error', reject).on('error', () => {}) // a failed accept is the peer's loss; the listener goes on
      resolve({
        [Symbol.asyncDispose]: async () => {
          server.close() // its end is not awaited: the connections belong to others
        },
      })
    })
  })
}

/** A connection to the capture port itself would lead back here for ever: it is closed. */
function hand(socket: net.Socket, { onConnection }: Arrivals): void {
  const destination = originalDestination(socket)
  if (destination === undefined) socket.destroy()
  else onConnection(socket, destination)
}

async function answered(arrivals: Arrivals, query: Uint8Array, from: 'udp' | 'tcp'): Promise<Uint8Array | undefined> {
  try {
    return await arrivals.onDnsQuery(query, from)
  } catch {
    return serverFailure(query)
  }
}

/** RFC 1035 §4.1.1: the question's id, the answer bit, code 2. Said rather than silence, so that programs fail at once instead of waiting. */
function serverFailure(query: Uint8Array): Uint8Array | undefined {
  if (query.length < 12) return undefined
  return Uint8Array.of(query[0]!, query[1]!, query[2]! | 0x80, 2, 0, 0, 0, 0, 0, 0, 0, 0)
}

/** RFC 1035 §4.2.2: each message follows its length in two bytes. Answers may leave in another order (RFC 7766 §6.2.1.1). */
function answerStream(socket: net.Socket, answer: (query: Uint8Array) => Promise<Uint8Array | undefined>): void {
  let rest: Uint8Array = noBytes
  let owed = 0
  let ended = false
  const finish = () => ended && owed === 0 && socket.end()
  socket.setTimeout(30_000, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.on('end', () => {
    ended = true
    finish()
  })
  socket.on('data', (bytes: Uint8Array) => {
    rest = concat([rest, bytes])
    for (let size = frameSize(rest); size <= rest.length; size = frameSize(rest)) {
      const query = rest.slice(2, size)
      rest = rest.subarray(size)
      owed += 1
      void answer(query).then(reply => {
        owed -= 1
        if (reply && !socket.destroyed) socket.write(concat([Uint8Array.of(reply.length >> 8, reply.length & 0xff), reply]))
        finish()
      })
    }
  })
  socket.resume()
}

const frameSize = (bytes: Uint8Array): number => (bytes.length < 2 ? Number.POSITIVE_INFINITY : 2 + ((bytes[0]! << 8) | bytes[1]!))
