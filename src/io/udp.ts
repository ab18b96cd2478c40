/** Datagrams: a question comes in and its answer goes back to where it came from; or a flow of them to one place and back. */

import dgram from 'node:dgram'
import { lookup } from 'node:dns/promises'
import net from 'node:net'
import { closeFd } from './sockopt.ts'

export { type DatagramSession, listenSessions, type UdpSessions } from './udp/sessions.ts'

export type UdpListening = AsyncDisposable & { readonly host: string; readonly port: number }

/** A place to bind, or a socket that is bound already. */
export type UdpPlace = { readonly host: string; readonly port: number } | { readonly fd: number; readonly ipv6: boolean }

/** answer: undefined says nothing; so does a rejection. port 0: any free one. Rejects when it cannot be bound. */
export function listenUdp(place: UdpPlace, answer: (query: Uint8Array) => Promise<Uint8Array | undefined>): Promise<UdpListening> {
  const ipv6 = 'fd' in place ? place.ipv6 : place.host.includes(':')
  const socket = dgram.createSocket(ipv6 ? 'udp6' : 'udp4')
  socket.on('message', (query, from) => {
    answer(query).then(
      reply => reply && socket.send(reply, from.port, from.address, () => {}), // a peer that is gone is no failure
      () => {},
    )
  })
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('listening', () => {
      socket.off('error', reject).on('error', () => {})
      const { address, port } = socket.address()
      resolve({ host: address, port, [Symbol.asyncDispose]: () => new Promise<void>(done => socket.close(() => done())) })
    })
    socket.bind('fd' in place ? { fd: place.fd } : { address: place.host, port: place.port })
  })
}

/** A flow to one place, from a port of its own; only that place is heard. */
export type UdpFlow = {
  /** In order; before the flow is open they wait, a few of them. */
  send(bytes: Uint8Array): void
  close(): void
}

export type UdpHandlers = { readonly message: (bytes: Uint8Array) => void; readonly failed: (error: NodeJS.ErrnoException) => void }

/** Sent before the name is found and the socket is there. */
const mostWaiting = 64

/**
 * host: an address or a name. message: each datagram that comes back. failed: once, with a system error: ECONNREFUSED when the place says that nobody is there, ENOTFOUND…;
 * the flow is closed then. made: a bound socket to use, such as one of another network namespace; host is an address then.
 */
export function dialUdp(host: string, port: number, { message, failed }: UdpHandlers, made?: Promise<number>): UdpFlow {
  let socket: dgram.Socket | undefined
  let isOpen = false
  let isClosed = false
  const waiting: Uint8Array[] = []
  const close = () => {
    if (isClosed) return
    isClosed = true
    socket?.removeAllListeners('message').close()
  }
  const fail = (error: Error) => {
    if (isClosed) return
    close()
    failed(error)
  }
  const open = (address: string, family: number, fd?: number) => {
    if (isClosed) return fd === undefined ? undefined : closeFd(fd)
    socket = dgram.createSocket(family === 6 ? 'udp6' : 'udp4')
    socket.on('error', fail)
    let place: net.AddressInfo | undefined
    // Before it is connected a socket hears anybody.
    socket.on('message', (bytes, from) => void (from.port === place?.port && from.address === place.address && message(bytes)))
    socket.on('connect', () => {
      place = socket!.remoteAddress()
      isOpen = true
      for (const bytes of waiting.splice(0)) socket!.send(bytes, unheard)
    })
    if (fd === undefined) socket.connect(port, address)
    else socket.bind({ fd }, () => socket!.connect(port, address))
  }
  const unheard = (): void => {} // a refusal comes as `error` too
  const family = net.isIP(host)
  if (made !== undefined) made.then(fd => open(host, family, fd), fail)
  else if (family !== 0) open(host, family)
  else lookup(host).then(found => open(found.address, found.family), fail)
  return {
    send(bytes) {
      if (isClosed) return
      if (isOpen) socket!.send(bytes, unheard)
      else if (waiting.length < mostWaiting) waiting.push(bytes)
    },
    close,
  }
}
