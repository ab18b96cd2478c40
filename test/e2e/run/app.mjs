// A server as anybody would write it, without a line about the mesh. node app.mjs NAME [PORT] [READY-FILE]
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'

const [name, port = '8080', readyFile] = process.argv.slice(2)

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://here')
  if (url.pathname === '/ready') return response.writeHead(existsSync(readyFile) ? 200 : 503).end()
  if (url.pathname === '/slow') {
    console.log('slow')
    await new Promise(done => setTimeout(done, Number(url.searchParams.get('ms'))))
  }
  if (url.pathname === '/large') return response.end(Buffer.alloc(Number(url.searchParams.get('bytes')), 'weft '))
  if (url.pathname === '/digest') {
    const hash = createHash('sha256')
    for await (const chunk of request) hash.update(chunk)
    return response.end(hash.digest('hex'))
  }
  response.end(`${name}\n`)
})

// RFC 6455 §4.2.2, and one echoed frame: enough for a client that knows nothing of it.
server.on('upgrade', (request, socket) => {
  const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`)
  socket.on('error', () => {})
  socket.on('data', frame => {
    if ((frame[0] & 15) === 8) return socket.end(Buffer.from([0x88, 0]))
    const length = frame[1] & 127
    const [mask, text] = [frame.subarray(2, 6), frame.subarray(6, 6 + length)]
    const echo = Buffer.from(text.map((byte, at) => byte ^ mask[at % 4]))
    socket.write(Buffer.concat([Buffer.from([0x81, echo.length]), echo]))
  })
})

server.listen(Number(port), '127.0.0.1')
process.on('SIGTERM', () => (process.env.ABRUPT ? process.exit(9) : server.close(() => process.exit(0))))
