// Does what the path asks for, over HTTP/1.1 on HTTP1 and HTTP/2 on HTTP2, and says who it is:
// On TCP and UDP it says who it is to whoever says anything. Of requests:
// /flaky?key=K&fails=N fails N times for K; /slow?ms=N waits; /odd fails where NAME is "two". A call of gRPC is answered as one.
import dgram from 'node:dgram'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import process from 'node:process'

const { NAME, HTTP1, HTTP2, TCP, UDP } = process.env
const failed = new Map()

function answer(ask, reply) {
  const url = new URL(ask.url, 'http://x')
  const query = name => url.searchParams.get(name)
  let status = 200
  if (url.pathname.endsWith('/flaky')) {
    const before = failed.get(query('key')) ?? 0
    failed.set(query('key'), before + 1)
    if (before < Number(query('fails'))) status = 503
  }
  if (url.pathname.endsWith('/odd') && NAME === 'two') status = 503
  ask.resume()
  setTimeout(
    () => {
      if (reply.destroyed) return
      const body = JSON.stringify({ name: NAME, path: ask.url, headers: ask.headers })
      if (ask.headers['content-type'] !== 'application/grpc') {
        reply.writeHead(status, { 'content-type': 'application/json' })
        return reply.end(body)
      }
      if (status !== 200) {
        reply.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': '14' })
        return reply.end()
      }
      const message = Buffer.from(body)
      const prefix = Buffer.alloc(5)
      prefix.writeUInt32BE(message.length, 1)
      reply.writeHead(200, { 'content-type': 'application/grpc' })
      reply.stream.once('wantTrailers', () => {})
      reply.addTrailers({ 'grpc-status': '0' })
      reply.end(Buffer.concat([prefix, message]))
    },
    url.pathname.endsWith('/slow') ? Number(query('ms')) : 0,
  )
}

http.createServer(answer).listen(Number(HTTP1), '127.0.0.1')
http2.createServer(answer).listen(Number(HTTP2), '127.0.0.1')
net
  .createServer(socket => socket.on('error', () => {}).once('data', () => socket.end(JSON.stringify({ name: NAME }))))
  .listen(Number(TCP), '127.0.0.1')
const datagrams = dgram.createSocket('udp4')
datagrams.on('message', (_bytes, { address, port }) => datagrams.send(JSON.stringify({ name: NAME }), port, address))
datagrams.bind(Number(UDP), '127.0.0.1')
