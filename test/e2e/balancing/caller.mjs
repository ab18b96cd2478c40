// Calls as the JSON in its only argument says and prints who answered, in the order of the calls, as JSON:
// { kind: 'http' | 'http2' | 'grpc' | 'tcp' | 'udp', host, calls: [{ path, headers }], atOnce }. Connections of tcp are held until all have answered.
import { createSocket } from 'node:dgram'
import { Agent, request } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import process from 'node:process'

const { kind, host, calls, atOnce = 1 } = JSON.parse(process.argv[2])
const agent = new Agent({ keepAlive: true, maxSockets: 100 })
const port = kind === 'grpc' ? 8083 : 8080
const session = kind === 'http2' || kind === 'grpc' ? connectHttp2(`http://${host}:${port}`) : undefined
const held = []

const ways = {
  http: ({ path = '/', headers = {} }) =>
    new Promise((resolve, reject) =>
      request({ host, port: 8080, path, headers, agent }, response => {
        let by = ''
        response.setEncoding('utf8').on('data', text => (by += text))
        response.on('end', () => resolve({ by, status: response.statusCode, headers: response.headers }))
      })
        .on('error', reject)
        .end(),
    ),
  http2: ({ path = '/', headers = {} }) =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':path': path, ...headers })
      let [by, head] = ['', {}]
      stream.setEncoding('utf8').on('response', fields => (head = fields))
      stream.on('data', text => (by += text))
      stream.on('end', () => resolve({ by, status: head[':status'], headers: head })).on('error', reject)
    }),
  grpc: ({ path = '/shop.Cart/Get', headers = {} }) =>
    new Promise((resolve, reject) => {
      const call = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' }
      const stream = session.request({ ...call, ...headers })
      let [by, head, status] = ['', {}, '']
      stream.on('response', fields => (head = fields)).on('trailers', fields => (status = fields['grpc-status']))
      stream.on('data', bytes => (by += bytes.subarray(5)))
      stream.on('end', () => resolve({ by, status: Number(status), headers: head })).on('error', reject)
      stream.end(Buffer.of(0, 0, 0, 0, 0))
    }),
  tcp: () =>
    new Promise((resolve, reject) => {
      const socket = connectTcp(8081, host, () => socket.write('who?'))
      held.push(socket)
      socket.once('data', bytes => resolve({ by: String(bytes) })).on('error', reject)
    }),
  udp: () =>
    new Promise((resolve, reject) => {
      const socket = createSocket('udp4')
      held.push({ destroy: () => socket.close() })
      const ask = setInterval(() => socket.send('who?', 8082, host), 1000)
      socket.once('message', bytes => {
        clearInterval(ask)
        resolve({ by: String(bytes) })
      })
      socket.on('error', reject).send('who?', 8082, host)
    }),
}

const answers = []
let next = 0
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    while (next < calls.length) {
      const at = next++
      answers[at] = await ways[kind](calls[at])
    }
  }),
)
console.log(JSON.stringify(answers.map(({ by, status, headers }) => ({ by, status, cookies: headers?.['set-cookie'] ?? [], session: headers?.['x-session'] }))))
agent.destroy()
session?.close()
for (const each of held) each.destroy()
