// Opens what stays open to the service `held`: a WebSocket, a stream of gRPC, bytes, and datagrams that go on. Prints a line when each is open and when it ends, with how.
import { createSocket } from 'node:dgram'
import http from 'node:http'
import http2 from 'node:http2'
import { connect } from 'node:net'

const say = (what, how) => console.log(JSON.stringify({ what, how, at: Date.now() }))

const upgrade = http.request('http://held:8080/socket', {
  headers: { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' },
})
upgrade.on('upgrade', (_, through) => {
  say('websocket', 'open')
  through.on('error', () => {})
  through.on('close', () => say('websocket', 'ended'))
})
upgrade.on('response', response => say('websocket', String(response.statusCode)))
upgrade.on('error', error => say('websocket', error.code))
upgrade.end()

const session = http2.connect('http://held:8081').on('error', () => {})
const call = session.request({ ':method': 'POST', ':path': '/shop.Cart/Watch', 'content-type': 'application/grpc', te: 'trailers' })
call.on('response', head => say('grpc', head['grpc-status'] === undefined ? 'open' : `status ${head['grpc-status']}`))
call.on('trailers', trailers => say('grpc', `status ${trailers['grpc-status']}`))
call.on('error', error => say('grpc', error.code))
call.resume()
call.write(Buffer.alloc(5))

const socket = connect(7000, 'held', () => socket.write('hello'))
socket.once('data', () => say('tcp', 'open'))
let how = 'closed'
socket.on('error', error => (how = error.code))
socket.on('close', () => say('tcp', how))

const datagrams = createSocket('udp4')
let last = ''
const heard = now => {
  if (now !== last) say('udp', (last = now))
}
datagrams.on('message', () => heard('open'))
datagrams.on('error', error => heard(error.code))
datagrams.connect(7001, 'held', () => setInterval(() => datagrams.send('hello', () => {}), 50))
