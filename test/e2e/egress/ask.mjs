// Asks as many questions as it is given, as JSON on its command line, and prints an answer for each: { kind: 'tcp' | 'h2' | 'grpc' | 'udp', host, port, … }.
import dgram from 'node:dgram'
import http2 from 'node:http2'
import net from 'node:net'

const patienceMs = 8000
const kinds = {
  /** The first line that is heard, or how it ended. */
  tcp: ({ host, port, say }) =>
    new Promise(resolve => {
      const socket = net.connect({ host, port })
      socket.setTimeout(patienceMs, () => resolve('silence') ?? socket.destroy())
      socket.on('connect', () => say !== undefined && socket.write(say))
      socket.once('data', bytes => resolve(bytes.toString().split('\n')[0]) ?? socket.destroy())
      socket.on('error', error => resolve(error.code))
      socket.on('close', () => resolve('closed'))
    }),
  h2: ({ host, port, authority = host, path = '/', method = 'GET', headers = {} }) =>
    new Promise(resolve => {
      const session = http2.connect(`http://${host}:${port}`)
      session.on('error', error => resolve(error.code))
      const stream = session.request({ ':authority': authority, ':path': path, ':method': method, ...headers })
      stream.setTimeout(patienceMs, () => resolve('silence'))
      let status = 0
      let grpc
      let text = ''
      stream.on('response', head => {
        status = head[':status']
        grpc = head['grpc-status']
      })
      stream.on('trailers', head => (grpc ??= head['grpc-status']))
      stream.on('data', bytes => (text += bytes))
      stream.on('error', error => resolve(error.code))
      stream.on('close', () => {
        session.close()
        resolve(grpc === undefined ? `${status} ${text.trim()}` : `${status} grpc ${grpc}`)
      })
      stream.end()
    }),
  grpc: question =>
    kinds.h2({ ...question, method: 'POST', headers: { 'content-type': 'application/grpc', te: 'trailers' } }),
  udp: ({ host, port }) =>
    new Promise(resolve => {
      const socket = dgram.createSocket('udp4')
      const done = how => {
        clearTimeout(timer)
        socket.close()
        resolve(how)
      }
      const timer = setTimeout(() => done('silence'), patienceMs)
      socket.on('message', bytes => done(bytes.toString()))
      socket.on('error', error => done(error.code))
      socket.connect(port, host, () => socket.send('hello'))
    }),
}

const answers = []
for (const text of process.argv.slice(2)) {
  const question = JSON.parse(text)
  answers.push(await kinds[question.kind](question))
}
console.log(JSON.stringify(answers))
