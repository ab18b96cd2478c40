// Echoes each message as it came, of whatever size; does what a text asks for: `close CODE REASON`, `ping me`, `extensions`. argv: the folder of the package ws.
import { createRequire } from 'node:module'
const { WebSocketServer } = createRequire(`${process.argv[2]}/`)('ws')

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: { threshold: 0 }, maxPayload: 64 << 20 })
server.on('listening', () => console.log(server.address().port))
server.on('connection', socket => {
  socket.on('pong', data => socket.send(`pong of ${data}`))
  socket.on('message', (data, isBinary) => {
    const text = isBinary || data.length > 100 ? '' : data.toString()
    const [word, code, ...reason] = text.split(' ')
    if (word === 'close') socket.close(Number(code), reason.join(' '))
    else if (text === 'ping me') socket.ping('abc')
    else if (text === 'extensions') socket.send(socket.extensions)
    else socket.send(data, { binary: isBinary })
  })
})
