// A server that knows nothing of the mesh: HTTP/1.1 on 8080, gRPC on 7070, lines of TCP on 9000. /wait/MS: so late; /flaky: every second request fails. /drip/MS: bytes so often, for ever.
import { createServer } from 'node:http'
import { createServer as createServer2 } from 'node:http2'
import { createServer as createTcp } from 'node:net'

const { NAME = 'nobody' } = process.env
let count = 0

const readinessOf = path => {
  const [, what, ms] = path.split('/')
  return { late: what === 'wait' ? Number(ms) : 0, fails: what === 'flaky' && (count += 1) % 2 === 1, drips: what === 'drip' ? Number(ms) : 0 }
}

createServer((request, response) => {
  request.resume()
  const { late, fails, drips } = readinessOf(request.url)
  if (drips > 0) {
    response.writeHead(200, { 'x-answered-by': NAME })
    const timer = setInterval(() => response.write('.'), drips)
    return response.on('close', () => clearInterval(timer))
  }
  setTimeout(() => response.writeHead(fails ? 503 : 200, { 'x-answered-by': NAME }).end(NAME), late)
}).listen(8080, '127.0.0.1')

createServer2()
  .on('stream', (stream, headers) => {
    stream.on('error', () => {})
    stream.resume()
    const { late, fails } = readinessOf(headers[':path'])
    const named = { ':status': 200, 'content-type': 'application/grpc', 'x-answered-by': NAME }
    setTimeout(() => {
      if (stream.destroyed) return
      if (fails) return stream.respond({ ...named, 'grpc-status': '14' }, { endStream: true })
      stream.respond(named, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(Buffer.from([0, 0, 0, 0, 0]))
    }, late)
  })
  .listen(7070, '127.0.0.1')

createTcp(socket => {
  socket.on('error', () => {})
  socket.once('data', () => socket.write(NAME))
}).listen(9000, '127.0.0.1')
