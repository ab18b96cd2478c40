// A server whose answers begin and do not end: HTTP/1.1 with tunnels at 8080, gRPC at 9090.
import { createServer } from 'node:http'
import http2 from 'node:http2'

createServer((_, reply) => reply.write('begun'))
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
    stream.write(Buffer.from([0, 0, 0, 0, 1, 7]))
  })
  .listen(9090, '127.0.0.1')
