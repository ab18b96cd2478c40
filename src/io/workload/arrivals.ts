/** What a captured workload sends: its TCP connections with where they were going, and its DNS questions. */

import net from 'node:net'
import { answerDnsStream } from '../dns-server.ts'
import type { Namespace } from '../namespace.ts'
import { captureDatagrams } from './datagrams.ts'
import type { FlowSockets } from './flow-sockets.ts'
import { type Destination, originalDestination } from '../sockopt.ts'
import { type DatagramSession, listenUdp } from '../udp.ts'

export type Arrivals = {
  /** Every TCP connection that does not stay on the workload's loopback. Paused. The socket is the caller's from now on, errors included. */
  onConnection(socket: net.Socket, destination: Destination): void
  /** The same for those that `exclude` leaves out of the mesh. Without it they are as the others. */
  onExcluded?(socket: net.Socket, destination: Destination): void
  /** A flow of datagrams begins that does not stay on the workload's loopback, DNS aside; its handlers are to be set at once. Without it datagrams are refused. */
  onDatagram?(session: DatagramSession): void
  /** Every DNS message. undefined leaves it unanswered; a rejection is answered with SERVFAIL. */
  onDnsQuery(query: Uint8Array, from: 'udp' | 'tcp'): Promise<Uint8Array | undefined>
}

/** Accepts on the namespace's listeners until disposed of; open connections go on. */
export async function listenInside(namespace: Namespace, sockets: FlowSockets, arrivals: Arrivals): Promise<AsyncDisposable> {
  const { listeners } = namespace
  await using opened = new AsyncDisposableStack()
  for (const fd of listeners.tcp) opened.use(await accept(fd, socket => hand(socket, (taken, to) => arrivals.onConnection(taken, to))))
  for (const fd of listeners.excluded)
    opened.use(await accept(fd, socket => hand(socket, (taken, to) => (arrivals.onExcluded ?? arrivals.onConnection)(taken, to))))
  if (listeners.datagrams.length > 0) opened.use(captureDatagrams(namespace, sockets, session => arrivals.onDatagram?.(session)))
  for (const fd of listeners.dnsTcp)
    opened.use(await accept(fd, socket => answerDnsStream(socket, query => answered(arrivals, query, 'tcp'))))
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
function hand(socket: net.Socket, take: Arrivals['onConnection']): void {
  const destination = originalDestination(socket)
  if (destination === undefined) socket.destroy()
  else take(socket, destination)
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
