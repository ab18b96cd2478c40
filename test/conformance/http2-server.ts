/** The smallest server around the HTTP/2 codec on a real socket: it answers every request that is complete with a short body. For peers that judge a server. */

import { once } from 'node:events'
import net from 'node:net'
import { type ServerEvent2, serverCodec2 } from '../../src/wire/http2.ts'

const body = Buffer.from('h2 conformance\n'.repeat(20))

/** Listens on a free port of 127.0.0.1. */
export async function serveHttp2(): Promise<{ readonly port: number } & AsyncDisposable> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ noDelay: true }, socket => {
    sockets.add(socket)
    answer(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function answer(socket: net.Socket): void {
  const codec = serverCodec2()
  const act = (events: readonly ServerEvent2[]): void => {
    for (const event of events) {
      if (event.type === 'data') codec.consumed(event.stream, event.bytes.length)
      else if (event.type === 'end') {
        codec.send({
          type: 'response',
          stream: event.stream,
          head: { status: 200, reason: '', minor: 1, fields: ['content-type', 'text/plain', 'server', 'weft'] },
          length: body.length,
        })
        codec.send({ type: 'data', stream: event.stream, bytes: body })
        codec.send({ type: 'end', stream: event.stream })
      }
    }
    for (const bytes of codec.drain()) socket.write(bytes)
    if (codec.mustClose) socket.end()
  }
  act([])
  socket.on('data', (bytes: Uint8Array) => act(codec.receive(bytes)))
  socket.on('end', () => act(codec.receiveEnd()))
  socket.on('error', () => {})
}
