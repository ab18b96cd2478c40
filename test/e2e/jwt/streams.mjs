// node streams.mjs SERVICE TOKEN: opens an answer over each version of HTTP, a stream of gRPC and a tunnel. Prints a line when each is open and when it ends, with how.
import http from 'node:http'
import http2 from 'node:http2'

const [service, token] = process.argv.slice(2)
const authorization = `Bearer ${token}`
const say = (what, how) => console.log(JSON.stringify({ what, how, at: Date.now() }))

const one = http.request(`http://${service}:8080/`, { headers: { authorization } }, response => {
  say('http1', response.statusCode === 200 ? 'open' : String(response.statusCode))
  response.resume().on('error', error => say('http1', error.code)).on('end', () => say('http1', 'whole'))
})
one.on('error', error => say('http1', error.code))
one.end()

function stream(what, port, head) {
  const session = http2.connect(`http://${service}:${port}`).on('error', () => {})
  const asked = session.request({ ':path': '/shop.Cart/Watch', authorization, ...head }, { endStream: head[':method'] === undefined })
  let how = 'whole'
  asked.on('response', answer => say(what, answer[':status'] === 200 && answer['grpc-status'] === undefined ? 'open' : JSON.stringify(answer)))
  asked.on('trailers', fields => (how = `${fields['grpc-status']} ${fields['x-weft-error']}`))
  asked.on('error', error => (how = error.code))
  asked.on('close', () => say(what, how))
  asked.resume()
}
stream('http2', 8080, {})
stream('grpc', 9090, { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' })

const tunnel = http.request(`http://${service}:8080/`, { headers: { authorization, connection: 'upgrade', upgrade: 'websocket' } })
tunnel.on('upgrade', (_, through) => {
  say('tunnel', 'open')
  through.on('error', () => {})
  through.on('close', () => say('tunnel', 'ended'))
})
tunnel.on('response', response => say('tunnel', String(response.statusCode)))
tunnel.on('error', error => say('tunnel', error.code))
tunnel.end()
setInterval(() => {}, 1000)
