// The server speaks first, as mail servers do: greets, then echoes. node greeter.mjs PORT
import net from 'node:net'

net
  .createServer({ allowHalfOpen: true }, socket => {
    socket.on('error', () => {})
    socket.write('220 at your service\r\n')
    socket.pipe(socket)
  })
  .listen(Number(process.argv[2]))
