// A mail server's manners over TCP: the server speaks first.
import net from 'node:net'
import readline from 'node:readline'

const server = net.createServer(socket => {
  socket.on('error', () => {})
  socket.write('220 mail.shop ready\r\n')
  readline
    .createInterface({ input: socket })
    .on('line', line => {
      if (line.startsWith('QUIT')) socket.end('221 bye\r\n')
      else socket.write('250 welcome\r\n')
    })
    .on('error', () => {})
})
server.listen(2525, () => console.log('listening on 2525'))
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0))
