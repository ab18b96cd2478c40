// HTTP/1.1 on 8080, gRPC on 7070 and an echo of bytes on 7000, TCP and UDP. Each request and call leaves a line in SEEN: method, path, Host, X-By, and bytes of its body.
// /late/N answers after N milliseconds, /fails with 503, anything else 20,000 bytes of JSON, or its own body to a POST.
import { appendFileSync } from 'node:fs'
import dgram from 'node:dgram'
import { createServer } from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'

const { NAME = 'nobody', SEEN = '/dev/null' } = process.env
const json = JSON.stringify(Array.from({ length: 400 }, (_, id) => ({ id, says: 'the same as before' })))

createServer((request, response) => {
  const parts = []
  request.on('data', part => parts.push(part))
  request.on('error', () => {})
  request.on('end', () => {
    const body = Buffer.concat(parts)
    const { method, url, headers } = request
    appendFileSync(SEEN, `${method} ${url} ${headers.host} ${headers['x-by'] ?? '-'} ${headers['content-encoding'] ?? '-'} ${body.length}\n`)
    const late = /^\/late\/(\d+)/.exec(url)
    const answer = () => {
      const status = url.startsWith('/fails') ? 503 : 200
      response.writeHead(status, { 'x-answered-by': NAME, 'content-type': 'application/json', etag: '"v1"' })
      response.end(method === 'POST' ? body : json)
    }
    if (late) setTimeout(answer, Number(late[1]))
    else answer()
  })
}).listen(8080, '127.0.0.1')

http2
  .createServer()
  .on('stream', (stream, headers) => {
    let bytes = 0
    stream.on('error', () => {})
    stream.on('data', part => (bytes += part.length))
    stream.on('end', () => {
      appendFileSync(SEEN, `call ${headers[':path']} ${bytes}\n`)
      if (stream.destroyed) return
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'x-answered-by': NAME }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(Buffer.alloc(5))
    })
  })
  .listen(7070, '127.0.0.1')

net.createServer({ allowHalfOpen: true }, socket => socket.on('error', () => {}).pipe(socket)).listen(7000, '127.0.0.1')

const datagrams = dgram.createSocket('udp4')
datagrams.on('message', (bytes, { port, address }) => datagrams.send(bytes, port, address)).bind(7000, '127.0.0.1')
