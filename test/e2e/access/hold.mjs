// Opens what stays open to a service: bytes, a request over each version of HTTP, a tunnel. Prints a line when each is open and when it ends, with how.
import http from 'node:http'
import http2 from 'node:http2'
import { connect } from 'node:net'

const [bytes, requests] = process.argv.slice(2)
const say = (what, how) => console.log(JSON.stringify({ what, how, at: Date.now() }))

const socket = connect(7000, bytes, () => socket.write('hello'))
socket.once('data', () => say('tcp', 'open'))
let how = 'closed'
socket.on('error', error => (how = error.code))
socket.on('close', () => say('tcp', how))

const one = http.request(`http://${requests}:8080/wait`, response => {
  response.resume()
  say('http1', `${response.statusCode} ${response.headers['x-weft-error']}`)
})
one.on('error', error => say('http1', error.code))
one.end(() => say('http1', 'open'))

const session = http2.connect(`http://${requests}:8080`).on('error', () => {})
const two = session.request({ ':path': '/wait' })
two.on('response', head => say('http2', `${head[':status']} ${head['x-weft-error']}`))
two.on('error', error => say('http2', error.code))
two.end(() => say('http2', 'open'))

const tunnel = http.request(`http://${requests}:8080/tunnel`, { headers: { connection: 'upgrade', upgrade: 'websocket' } })
tunnel.on('upgrade', (_, through) => {
  say('tunnel', 'open')
  through.on('error', () => {})
  through.on('close', () => say('tunnel', 'ended'))
})
tunnel.on('error', error => say('tunnel', error.code))
tunnel.end()
setInterval(() => {}, 1000)
