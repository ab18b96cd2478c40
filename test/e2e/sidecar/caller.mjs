// Calls as the JSON in its only argument says and prints the answers, in the order of the calls, as JSON:
// { host, port, version: 'http1' | 'http2' | 'grpc' | 'tcp' | 'udp', calls: [{ path, method, headers }], atOnce }.
import dgram from 'node:dgram'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import process from 'node:process'

const { host, port, version, calls, atOnce = 1 } = JSON.parse(process.argv[2])
const agent = new http.Agent({ keepAlive: true, maxSockets: 100 })
const session = version === 'http2' || version === 'grpc' ? http2.connect(`http://${host}:${port}`) : undefined

const overHttp1 = ({ path, method = 'GET', headers = {} }) =>
  new Promise((resolve, reject) =>
    http
      .request({ host, port, path, method, headers, agent }, response => {
        let body = ''
        response.setEncoding('utf8').on('data', text => (body += text))
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }))
      })
      .on('error', reject)
      .end(),
  )

const overHttp2 = ({ path, method = 'GET', headers = {} }) =>
  new Promise((resolve, reject) => {
    const isCall = version === 'grpc'
    const stream = session.request({
      ':path': path,
      ':method': isCall ? 'POST' : method,
      ...(isCall ? { 'content-type': 'application/grpc', te: 'trailers' } : {}),
      ...headers,
    })
    let [head, trailers, body] = [{}, {}, '']
    stream.on('response', fields => (head = fields)).on('trailers', fields => (trailers = fields))
    stream.on('data', bytes => (body += bytes.toString(isCall ? 'latin1' : 'utf8')))
    stream.on('error', reject)
    stream.on('end', () =>
      resolve({
        status: head[':status'],
        headers: { ...head },
        body: isCall ? body.slice(5) : body,
        ...(isCall ? { grpc: Number(trailers['grpc-status'] ?? head['grpc-status'] ?? -1) } : {}),
      }),
    )
    if (isCall) stream.end(Buffer.alloc(5))
    else stream.end()
  })

/** What is refused is a connection without an answer. */
const overTcp = () =>
  new Promise(resolve => {
    let body = ''
    const socket = net.connect(port, host, () => socket.write('who?'))
    socket.on('error', () => {})
    socket.on('data', bytes => (body += bytes))
    socket.on('close', () => resolve({ status: body === '' ? 0 : 200, headers: {}, body }))
  })

/** Sent again where nothing comes, as datagrams may be lost. */
const overUdp = () =>
  new Promise(resolve => {
    const socket = dgram.createSocket('udp4')
    const again = setInterval(() => socket.send('who?', port, host), 1000)
    const end = body => {
      clearInterval(again)
      clearTimeout(late)
      socket.close()
      resolve({ status: body === '' ? 0 : 200, headers: {}, body })
    }
    const late = setTimeout(() => end(''), 10_000)
    socket.on('message', bytes => end(String(bytes)))
    socket.send('who?', port, host)
  })

const ask = { http1: overHttp1, http2: overHttp2, grpc: overHttp2, tcp: overTcp, udp: overUdp }[version]
const answers = []
let next = 0
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    while (next < calls.length) {
      const at = next++
      const began = performance.now()
      const { body, ...rest } = await ask(calls[at])
      const said = body.startsWith('{') ? JSON.parse(body) : {}
      answers[at] = { ...rest, ms: performance.now() - began, by: said.name, path: said.path, asked: said.headers }
    }
  }),
)
console.log(JSON.stringify(answers))
agent.destroy()
session?.close()
