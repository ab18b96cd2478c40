// Takes all that open.mjs opens and keeps it open: WebSockets and requests on 8080, calls of gRPC on 8081, bytes on 7000, datagrams on 7001.
import { createSocket } from 'node:dgram'
import { createServer } from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'

createServer((_, reply) => reply.writeHead(200, { 'x-answered-by': 'held' }).end())
  .on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
    socket.on('error', () => {}).pipe(socket)
  })
  .listen(8080, '127.0.0.1')
http2
  .createServer()
  .on('stream', stream => {
    stream.on('error', () => {})
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
    stream.write(Buffer.alloc(5))
  })
  .listen(8081, '127.0.0.1')
net.createServer(socket => socket.on('error', () => {}).pipe(socket)).listen(7000, '127.0.0.1')
const datagrams = createSocket('udp4')
datagrams.on('message', (bytes, { address, port }) => datagrams.send(bytes, port, address))
datagrams.bind(7001, '127.0.0.1')
