// Says who it is over HTTP/1.1 and HTTP/2 on 8080, over gRPC on 8083, over TCP on 8081 and over UDP on 8082; slowly where the query says `slow=NAME`.
import { createSocket } from 'node:dgram'
import { createServer } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import { createServer as createTcp } from 'node:net'
import process from 'node:process'

const name = process.env.NAME
createServer((request, response) => {
  const isSlow = new URL(request.url, 'http://x').searchParams.get('slow') === name
  setTimeout(() => response.end(name), isSlow ? 150 : 0)
}).listen(8080)
createHttp2((request, response) => {
  request.resume().on('end', () => {
    response.writeHead(200, { 'content-type': 'application/grpc' })
    response.addTrailers({ 'grpc-status': '0' })
    response.end(Buffer.concat([Buffer.of(0, 0, 0, 0, name.length), Buffer.from(name)]))
  })
}).listen(8083)
createTcp(socket => {
  socket.on('error', () => {})
  socket.on('data', () => socket.write(name))
}).listen(8081)
const datagrams = createSocket('udp4')
datagrams.on('message', (_bytes, { address, port }) => datagrams.send(name, port, address))
datagrams.bind(8082)
