// A key-value store over TCP: the client speaks first. `SET key value`, `GET key`, a line each.
import net from 'node:net'
import readline from 'node:readline'

const values = new Map()
const server = net.createServer(socket => {
  socket.on('error', () => {})
  readline
    .createInterface({ input: socket })
    .on('line', line => {
      const [verb, key, ...rest] = line.split(' ')
      if (verb === 'SET') values.set(key, rest.join(' '))
      socket.write(`${verb === 'SET' ? 'OK' : (values.get(key) ?? '')}\n`)
    })
    .on('error', () => {})
})
server.listen(6380, () => console.log('listening on 6380'))
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0))
