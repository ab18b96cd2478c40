// Calls as the JSON in its only argument says and prints what each call got, as JSON: { kind: 'http' | 'http2' | 'grpc' | 'tcp' | 'udp', host, times, path, headers, port }.
// by: who answered, or the failure code of the mesh.
import { createSocket } from 'node:dgram'
import { Agent, request } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import process from 'node:process'

const { kind, host, times = 1, path = '/', headers = {}, port } = JSON.parse(process.argv[2])
const agent = new Agent({ keepAlive: true })
const ports = { http: 8080, http2: 8080, grpc: 8083, tcp: 8081, udp: 8082 }
const at = port ?? ports[kind]
const session = kind === 'http2' || kind === 'grpc' ? connectHttp2(`http://${host}:${at}`) : undefined

const ways = {
  http: () =>
    new Promise((resolve, reject) =>
      request({ host, port: at, path, headers, agent }, response => {
        let by = ''
        response.setEncoding('utf8').on('data', text => (by += text))
        const code = response.headers['x-weft-error']
        response.on('end', () => resolve({ by: code ?? by, status: response.statusCode, detail: response.headers['x-weft-error-detail'] }))
      })
        .on('error', reject)
        .end(),
    ),
  http2: () =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':path': path, ...headers })
      let [by, head] = ['', {}]
      stream.setEncoding('utf8').on('response', fields => (head = fields))
      stream.on('data', text => (by += text))
      stream.on('end', () => resolve({ by: head['x-weft-error'] ?? by, status: head[':status'] })).on('error', reject)
    }),
  grpc: () =>
    new Promise((resolve, reject) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/shop.Cart/Get',
        'content-type': 'application/grpc',
        te: 'trailers',
        ...headers,
      })
      let [by, head, tail] = ['', {}, {}]
      stream.on('response', fields => (head = fields)).on('trailers', fields => (tail = fields))
      stream.on('data', bytes => (by += bytes.subarray(5)))
      const status = () => Number(tail['grpc-status'] ?? head['grpc-status'])
      stream.on('end', () => resolve({ by: head['x-weft-error'] ?? by, status: status() })).on('error', reject)
      stream.end(Buffer.of(0, 0, 0, 0, 0))
    }),
  tcp: () =>
    new Promise(resolve => {
      const socket = connectTcp(at, host, () => socket.write('who?'))
      socket.once('data', bytes => {
        resolve({ by: String(bytes) })
        socket.destroy()
      })
      socket.on('error', () => {})
      socket.on('close', () => resolve({ by: 'closed' }))
    }),
  udp: () =>
    new Promise(resolve => {
      const socket = createSocket('udp4')
      const ask = setInterval(() => socket.send('who?', at, host), 1000)
      const done = by => {
        clearInterval(ask)
        socket.close()
        resolve({ by })
      }
      socket.once('message', bytes => done(String(bytes)))
      socket.on('error', () => done('refused')).send('who?', at, host)
    }),
}

const answers = []
for (let turn = 0; turn < times; turn++) answers.push(await ways[kind]())
console.log(JSON.stringify(answers))
agent.destroy()
session?.close()
