/** Datagrams: a question comes in, its answer goes back to where it came from. */

import dgram from 'node:dgram'

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
