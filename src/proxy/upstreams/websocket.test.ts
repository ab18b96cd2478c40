import assert from 'node:assert/strict'
import http from 'node:http'
import http2 from 'node:http2'
import net, { type AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { combinations, counted, pairTo, until, type Version } from '../../../test/harness/versions.ts'
import { acceptOf } from './websocket.ts'

type App = AsyncDisposable & { readonly port: number; readonly heard: string[]; held: number; ended: number }

/** Shouts back what it hears; refuses /refused, takes a while for /slow, accepts CONNECT too. */
async function shouting(version: Version): Promise<App> {
  const app = { port: 0, heard: [] as string[], held: 0, ended: 0, [Symbol.asyncDispose]: async () => {} }
  const shout = (stream: NodeJS.ReadWriteStream) => {
    stream.on('data', (bytes: Buffer) => {
      app.held += bytes.length
      if (bytes.length < 1000) app.heard.push(String(bytes))
      stream.write(String(bytes).toUpperCase())
    })
    stream.on('end', () => (app.ended++, stream.end('bye'))).on('error', () => {})
  }
  const sockets = new Set<net.Socket>()
  const server = version === 'http1' ? http.createServer() : http2.createServer({ settings: { enableConnectProtocol: true } })
  server.on('connection', (socket: net.Socket) => void sockets.add(socket.on('error', () => {})))
  if (version === 'http1') {
    server.on('upgrade', (ask: http.IncomingMessage, socket: net.Socket) => {
      if (ask.url === '/refused') return void socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Why: no\r\n\r\nno')
      const accept = acceptOf(String(ask.headers['sec-websocket-key']))
      const agree = () => {
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n`,
        )
        shout(socket)
        if (ask.url === '/ends') socket.end()
      }
      if (ask.url === '/slow') setTimeout(agree, 300)
      else agree()
    })
    server.on('connect', (ask: http.IncomingMessage, socket: net.Socket) => {
      app.heard.push(`CONNECT ${ask.url}`)
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      shout(socket)
    })
  } else
    server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
      stream.on('error', () => {})
      if (headers[':path'] === '/refused') {
        stream.respond({ ':status': 403, 'x-why': 'no' })
        return stream.end('no')
      }
      if (headers[':protocol'] === undefined) app.heard.push(`${headers[':method']} ${headers[':authority']}`)
      const agree = () => {
        stream.respond({ ':status': 200, 'sec-websocket-protocol': 'chat' })
        shout(stream)
        if (headers[':path'] === '/ends') stream.end()
      }
      if (headers[':path'] === '/slow') setTimeout(agree, 300)
      else agree()
    })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  app.port = (server.address() as AddressInfo).port
  app[Symbol.asyncDispose] = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise(done => server.close(done))
  }
  return app
}

type Opened = {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly stream: NodeJS.ReadWriteStream & { destroy(): void }
}

/** Offers WebSocket. early: sent before it is agreed. */
function offer(version: Version, port: number, path: string, early = ''): Promise<Opened> {
  return version === 'http1' ? offer1(port, path, early) : offer2(port, path, early)
}

const offer1 = (port: number, path: string, early: string): Promise<Opened> =>
  new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n${early}`,
    )
    let head = ''
    socket.on('error', reject)
    socket.on('data', function read(bytes: Buffer) {
      head += bytes.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      socket.off('data', read).pause()
      socket.unshift(Buffer.from(head.slice(end + 4), 'latin1'))
      const [line, ...fields] = head.slice(0, end).split('\r\n')
      const headers = Object.fromEntries(
        fields.map(field => [field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 2)]),
      )
      resolve({ status: Number(line!.split(' ')[1]), headers, stream: socket })
    })
  })

const offer2 = (port: number, path: string, early: string): Promise<Opened> =>
  new Promise((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`)
    session.on('error', reject).once('remoteSettings', settings => {
      if (settings.enableConnectProtocol !== true) return reject(new Error('RFC 8441 is not offered'))
      const stream = session.request({
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':path': path,
        ':authority': 'web',
        'sec-websocket-version': '13',
      })
      if (early !== '') stream.write(early)
      stream.on('error', reject).on('close', () => session.close())
      stream.on('response', headers => resolve({ status: Number(headers[':status']), headers, stream }))
    })
  })

/** What comes from it until it ends, or until it says so much. */
const hear = (stream: NodeJS.ReadableStream, length = Number.POSITIVE_INFINITY): Promise<string> =>
  new Promise(resolve => {
    let text = ''
    const read = (bytes: Buffer) => {
      text += String(bytes)
      if (text.length < length) return
      stream.off('data', read)
      stream.pause()
      resolve(text)
    }
    stream.on('data', read).once('end', () => resolve(text))
    stream.resume()
  })

for (const [from, to] of combinations)
  describe(`WebSocket from a caller of ${from} to a workload of ${to}`, { timeout: 30_000 }, () => {
    test('is agreed, carries bytes both ways, and each half ends by itself', async () => {
      await using app = await shouting(to)
      await using pair = await pairTo(app.port, to)
      const { status, headers, stream } = await offer(from, pair.port, '/chat')
      assert.deepEqual([status, headers['sec-websocket-protocol']], [from === 'http1' ? 101 : 200, 'chat'])
      if (from === 'http1') {
        assert.equal(headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
        assert.equal(headers['upgrade'], 'websocket')
      }
      stream.write('hello')
      assert.equal(await hear(stream, 5), 'HELLO')
      const large = 'x'.repeat(3_000_000)
      stream.write(large)
      assert.equal((await hear(stream, large.length)).length, large.length)
      stream.end('last')
      assert.equal(await hear(stream), 'LASTbye')
      await until(() => counted(pair.inside, 'weft_requests_total', /reason=""/) === 1, 'it to be counted once')
      await until(() => counted(pair.outside, 'weft_upstream_streams') === 0, 'nothing to be left')
    })

    test('a workload that ended its half first learns that the caller ended, too', async () => {
      await using app = await shouting(to)
      await using pair = await pairTo(app.port, to)
      const { stream } = await offer(from, pair.port, '/ends')
      assert.equal(await hear(stream), '')
      stream.end()
      await until(() => app.ended === 1, 'the workload to hear of it')
      await until(() => counted(pair.inside, 'weft_requests_total', /reason=""/) === 1, 'it to be over')
    })

    test('what is sent before it is agreed is held, within bounds, and comes first', async () => {
      await using app = await shouting(to)
      await using pair = await pairTo(app.port, to)
      const early = 'e'.repeat(900_000)
      const opening = offer(from, pair.port, '/slow', early)
      await new Promise(done => setTimeout(done, 150))
      assert.equal(app.held, 0)
      const { stream } = await opening
      stream.write('!')
      assert.equal(await hear(stream, early.length + 1), `${early.toUpperCase()}!`)
      stream.destroy()
    })

    test('a refusal is passed on with its status, fields and body', async () => {
      await using app = await shouting(to)
      await using pair = await pairTo(app.port, to)
      const { status, headers, stream } = await offer(from, pair.port, '/refused')
      assert.deepEqual([status, headers['x-why']], [403, 'no'])
      assert.match(await hear(stream, 2), /no/)
      stream.destroy()
      await until(() => counted(pair.outside, 'weft_requests_total', /code="403"/) === 1, 'it to be counted')
      await until(
        () => counted(pair.outside, 'weft_upstream_streams') + counted(pair.inside, 'weft_upstream_streams') === 0,
        'nothing to be left',
      )
    })

    test('a caller that goes away ends it at the workload', async () => {
      await using app = await shouting(to)
      await using pair = await pairTo(app.port, to)
      const { stream } = await offer(from, pair.port, '/chat')
      stream.write('hello')
      await hear(stream, 5)
      stream.destroy()
      await until(() => counted(pair.inside, 'weft_requests_total') === 1, 'it to end')
    })

    test('CONNECT reaches the workload as a tunnel', async () => {
      await using app = await shouting(to)
      await using pair = await pairTo(app.port, to)
      let stream: Opened['stream']
      if (from === 'http1') {
        const socket = net.connect({ port: pair.port, host: '127.0.0.1', allowHalfOpen: true })
        socket.write('CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n')
        assert.match(await hear(socket, 17), /^HTTP\/1\.1 200 /)
        stream = socket
      } else {
        const session = http2.connect(`http://127.0.0.1:${pair.port}`)
        const connect = session.request({ ':method': 'CONNECT', ':authority': 'db:5432' })
        const headers = await new Promise<http2.IncomingHttpHeaders>((resolve, reject) =>
          connect.once('response', resolve).once('error', reject),
        )
        assert.equal(headers[':status'], 200)
        connect.once('close', () => session.close())
        stream = connect
      }
      assert.deepEqual(app.heard, ['CONNECT db:5432'])
      stream.write('hello')
      assert.equal(await hear(stream, 5), 'HELLO')
      stream.end()
      assert.equal(await hear(stream), 'bye')
    })
  })
