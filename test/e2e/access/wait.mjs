// A server that accepts every upgrade, gives its bytes back, and never answers anything else.
import { createServer } from 'node:http'

createServer(() => {})
  .on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
    socket.on('error', () => {}).pipe(socket)
  })
  .listen(8080, '127.0.0.1')
