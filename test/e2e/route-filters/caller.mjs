// Calls TIMES times, WIDTH at once, and prints as JSON how often each answer came, the heads of the first and last one, and the milliseconds of each.
// by: 1 or 2 for the version of HTTP, grpc for calls of gRPC.
import http from 'node:http'
import http2 from 'node:http2'

const { to, path = '/', method = 'GET', times = 1, width = 8, by = '1', headers = {}, bytes = 0 } = JSON.parse(process.argv[2])
const body = Buffer.alloc(bytes, 'x')
const agent = new http.Agent({ keepAlive: true, maxSockets: width })
const session = by === '1' ? undefined : http2.connect(to).on('error', () => {})

const ask1 = () =>
  new Promise(resolve => {
    const request = http.request(`${to}${path}`, { method, agent, headers }, response => {
      response.resume()
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers }))
      response.on('error', error => resolve({ status: error.code, headers: {} }))
    })
    request.on('error', error => resolve({ status: error.code, headers: {} }))
    request.end(body)
  })

const ask2 = () =>
  new Promise(resolve => {
    const calls = by === 'grpc' ? { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' } : { ':method': method }
    const stream = session.request({ ':path': path, ...calls, ...headers })
    let head = {}
    stream.on('response', fields => (head = { ...head, ...fields }))
    stream.on('trailers', fields => (head = { ...head, ...fields }))
    stream.on('error', () => {})
    stream.on('close', () => {
      const status = head[':status'] === undefined ? `reset ${stream.rstCode}` : by === 'grpc' ? `grpc ${head['grpc-status']}` : head[':status']
      resolve({ status, headers: head })
    })
    stream.resume()
    stream.end(body)
  })

const tally = {}
const ms = []
let first
let last
let left = times
const lane = async () => {
  while (left-- > 0) {
    const began = performance.now()
    const answer = await (by === '1' ? ask1() : ask2())
    ms.push(Math.round(performance.now() - began))
    const key = [answer.status, answer.headers['x-answered-by'] ?? answer.headers['x-weft-error']].filter(Boolean).join(' ')
    tally[key] = (tally[key] ?? 0) + 1
    first ??= answer.headers
    last = answer.headers
  }
}
await Promise.all(Array.from({ length: Math.min(width, times) }, lane))
agent.destroy()
session?.destroy()
console.log(JSON.stringify({ tally, first, last, ms: ms.sort((a, b) => a - b) }))
