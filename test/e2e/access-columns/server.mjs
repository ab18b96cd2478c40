// Answers on each port of PORTS (HTTP/1.1) and of GRPC (HTTP/2, calls of gRPC as such), and gives bytes back on TCP.
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import process from 'node:process'

const portsOf = text => (text ?? '').split(',').filter(Boolean).map(Number)
const answer = (ask, reply) => {
  ask.resume()
  const isGrpc = ask.headers['content-type'] === 'application/grpc'
  reply.writeHead(200, { 'x-answered-by': process.env.NAME, 'content-type': isGrpc ? 'application/grpc' : 'text/plain' })
  if (!isGrpc) return reply.end()
  reply.addTrailers({ 'grpc-status': '0' })
  reply.end(Buffer.alloc(5))
}
for (const port of portsOf(process.env.PORTS)) http.createServer({ keepAliveTimeout: 60_000 }, answer).listen(port, '127.0.0.1')
for (const port of portsOf(process.env.GRPC)) http2.createServer(answer).listen(port, '127.0.0.1')
for (const port of portsOf(process.env.TCP)) net.createServer(socket => socket.on('error', () => {}).pipe(socket)).listen(port, '127.0.0.1')
