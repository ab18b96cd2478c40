// Says who it is over HTTP/1.1 on 8080, over gRPC (HTTP/2) on 8083 and over TCP on 8081. While the file STATE holds `ill`, it says that it does not serve:
// /healthz answers 503, grpc.health.v1 NOT_SERVING, and PING is answered -ERR; the rest goes on as before. /asked tells how often each was asked.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import { createServer as createTcp } from 'node:net'
import process from 'node:process'

const name = process.env.NAME
const isIll = () => {
  try {
    return readFileSync(process.env.STATE, 'utf8').includes('ill')
  } catch {
    return false
  }
}
const asked = { http: 0, grpc: 0, tcp: 0 }

createServer((request, response) => {
  if (request.url === '/asked') return response.end(JSON.stringify(asked))
  if (request.url !== '/healthz') return response.end(name)
  asked.http++
  response.writeHead(isIll() ? 503 : 200).end()
}).listen(8080)

const framed = bytes => Buffer.concat([Buffer.of(0, 0, 0, 0, bytes.length), bytes])
createHttp2((request, response) => {
  const isCheck = request.url === '/grpc.health.v1.Health/Check'
  if (isCheck) asked.grpc++
  request.resume().on('end', () => {
    response.writeHead(200, { 'content-type': 'application/grpc' })
    response.addTrailers({ 'grpc-status': '0' })
    response.end(framed(isCheck ? Buffer.of(8, isIll() ? 2 : 1) : Buffer.from(name)))
  })
}).listen(8083)

createTcp(socket => {
  socket.on('error', () => {})
  socket.on('data', bytes => {
    const isCheck = String(bytes).startsWith('PING')
    if (isCheck) asked.tcp++
    socket.write(isCheck ? (isIll() ? '-ERR\r\n' : '+PONG\r\n') : name)
  })
}).listen(8081)
