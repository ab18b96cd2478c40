/** Requests and connections through two proxies with mutual TLS between them. One file as a whole: all cases share the pair, which takes a second to start. */

import assert from 'node:assert/strict'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import {
  forwardTo,
  identityOf,
  inboundSide,
  materials,
  type OutboundSide,
  outboundSide,
  remote,
  type Side,
  table,
} from '../../test/harness/pair.ts'
import type { TlsMaterial } from '../io/net.ts'

type Answer = { status: number; headers: http.IncomingHttpHeaders; body: string; trailers: NodeJS.Dict<string> }

const agent = new http.Agent({ keepAlive: true })
const ask = (port: number, path: string, options: http.RequestOptions & { body?: string | Buffer } = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', path, agent, ...options }, response => {
      const chunks: Buffer[] = []
      response.on('error', reject).on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
          trailers: response.trailers,
        }),
      )
    })
    request.on('error', reject).end(options.body)
  })

const portOf = (server: net.Server): number => (server.address() as AddressInfo).port

describe('two proxies with mutual TLS between them', () => {
  let certificates: Record<string, TlsMaterial>
  let app: http.Server
  let hangUps = 0
  let inside: Side
  let outside: OutboundSide & AsyncDisposable

  before(async () => {
    certificates = await materials('web', 'shop', 'evil')
    app = http.createServer((request, response) => {
      const chunks: Buffer[] = []
      request
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .on('end', () => {
          const body = Buffer.concat(chunks)
          if (request.url === '/break-off') {
            response.writeHead(200, { 'content-length': 1000 })
            return response.write('some of it', () => request.socket.destroy())
          }
          if (request.url === '/trailers') {
            response.writeHead(200, { trailer: 'x-sum' })
            response.write('part one, ')
            response.addTrailers({ 'x-sum': '42' })
            return response.end('part two')
          }
          if (request.url === '/hang-up') {
            hangUps++
            return request.socket.destroy()
          }
          if (request.url === '/first-hangs-up' && hangUps++ === 0) return request.socket.destroy()
          if (request.url === '/big') return response.end(Buffer.alloc(5_000_000, 'b'))
          response.setHeader('x-seen', `${request.method} ${request.url}`)
          return response.end(request.url === '/echo' ? body : JSON.stringify({ headers: request.headers, bytes: body.length }))
        })
    })
    app.on('upgrade', (_request, socket: net.Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n')
      socket
        .on('data', bytes => socket.write(bytes.toString().toUpperCase()))
        .on('end', () => socket.end())
        .on('error', () => {})
    })
    await new Promise<void>(done => app.listen(0, '127.0.0.1', done))
    inside = await inboundSide('web', portOf(app), 'http', certificates.web!)
    outside = await outboundSide('shop', certificates.shop!, 'http', remote('web', [inside.port]))
  })
  after(async () => {
    agent.destroy()
    app.closeAllConnections()
    app.close()
    await outside[Symbol.asyncDispose]()
    await inside.core[Symbol.asyncDispose]()
  })

  test('a request reaches the workload and the answer comes back', async () => {
    const answer = await ask(outside.port, '/hello?x=1', { headers: { host: 'web:80', 'X-Case': 'Kept' } })
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['x-seen'], 'GET /hello?x=1')
    assert.equal(JSON.parse(answer.body).headers['x-case'], 'Kept')
  })

  test('bodies of several sizes come back whole, with a length and chunked', async () => {
    for (const size of [1, 1000, 70_000, 3_000_000]) {
      const body = Buffer.alloc(size, 'x')
      assert.equal((await ask(outside.port, '/echo', { method: 'POST', body, headers: { 'content-length': size } })).body.length, size)
      assert.equal(
        (await ask(outside.port, '/echo', { method: 'POST', body, headers: { 'transfer-encoding': 'chunked' } })).body.length,
        size,
      )
    }
    assert.equal((await ask(outside.port, '/big')).body.length, 5_000_000)
  })

  test('trailers arrive', async () => {
    const answer = await ask(outside.port, '/trailers')
    assert.equal(answer.body, 'part one, part two')
    assert.equal(answer.trailers['x-sum'], '42')
  })

  test('a slow reader holds back the sender and loses nothing', async () => {
    const socket = net.connect(outside.port, '127.0.0.1')
    socket.write('GET /big HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n')
    let size = 0
    for await (const chunk of socket) {
      size += (chunk as Buffer).length
      if (size < 500_000) await new Promise(done => setTimeout(done, 5))
    }
    assert.ok(size > 5_000_000, String(size))
  })

  test('pipelined requests are answered in order', async () => {
    const socket = net.connect(outside.port, '127.0.0.1')
    socket.write(
      'GET /a HTTP/1.1\r\nHost: w\r\n\r\nGET /b HTTP/1.1\r\nHost: w\r\n\r\nGET /c HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n',
    )
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    assert.deepEqual(
      [
        ...Buffer.concat(chunks)
          .toString()
          .matchAll(/x-seen: (.*)\r/g),
      ].map(match => match[1]),
      ['GET /a', 'GET /b', 'GET /c'],
    )
  })

  test('an upgraded connection carries bytes both ways until each side ends', async () => {
    const socket = net.connect({ port: outside.port, host: '127.0.0.1', allowHalfOpen: true })
    socket.write('GET /chat HTTP/1.1\r\nHost: w\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n')
    let text = ''
    socket.on('data', chunk => {
      text += chunk
      if (text.endsWith('\r\n\r\n')) socket.end('hello')
    })
    await new Promise(done => socket.on('end', done))
    socket.destroy()
    assert.match(text, /^HTTP\/1.1 101 /)
    assert.match(text, /HELLO$/)
  })

  test('an answer that breaks off before its head becomes 502 with the reason', async () => {
    const answer = await ask(outside.port, '/hang-up')
    assert.equal(answer.status, 502)
    assert.equal(answer.headers['x-weft-error'], 'upstream-reset')
  })

  test('a GET whose connection breaks before an answer is sent again, but not for ever; a POST is not', async () => {
    hangUps = 0
    assert.equal((await ask(outside.port, '/first-hangs-up')).status, 200)
    hangUps = 0
    assert.equal((await ask(outside.port, '/hang-up')).status, 502)
    assert.ok(hangUps > 1 && hangUps <= 3, `${hangUps} times`)
    hangUps = 0
    for (const body of ['hello', '']) assert.equal((await ask(outside.port, '/hang-up', { method: 'POST', body })).status, 502)
    assert.equal(hangUps, 2)
  })

  test('an answer that breaks off in its middle breaks off for the caller too, and the next request is served', async () => {
    await assert.rejects(ask(outside.port, '/break-off'), { code: 'ECONNRESET' })
    assert.equal((await ask(outside.port, '/hello')).status, 200)
  })

  test('a request whose body is not well-formed is answered 400 while no answer has begun, and its workload gets no more of it', async () => {
    const socket = net.connect(outside.port, '127.0.0.1')
    socket.write('POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    setTimeout(() => socket.write('zz\r\n'), 50)
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    assert.match(Buffer.concat(chunks).toString(), /^HTTP\/1.1 400 [\s\S]*x-weft-error: bad-request/)
    assert.equal((await ask(outside.port, '/hello')).status, 200)
  })

  test('a request that is not HTTP is answered 400 with the reason and nothing is forwarded', async () => {
    const socket = net.connect(outside.port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n')
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    assert.match(Buffer.concat(chunks).toString(), /^HTTP\/1.1 400 [\s\S]*x-weft-error: bad-request/)
  })

  test('requests behind one that the mesh answers at once keep their own bodies, however many come together', async () => {
    const forward = forwardTo(Object.keys(remote('web', [inside.port]).backends)[0]!)
    const sent = (...parts: readonly string[]): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = net.connect(outside.port, '127.0.0.1')
        const chunks: Buffer[] = []
        socket.on('error', reject).on('data', (chunk: Buffer) => chunks.push(chunk))
        socket.setTimeout(15_000, () => socket.destroy(new Error(`no more than ${Buffer.concat(chunks).length} bytes came`)))
        socket.on('close', () => resolve(Buffer.concat(chunks).toString()))
        const write = (at: number): void => {
          socket.write(parts[at]!)
          if (at + 1 < parts.length) setTimeout(write, 50, at + 1)
        }
        write(0)
      })
    outside.swap({ routes: { out: table('out', [{ ...forward, match: { path: { type: 'prefix', value: '/echo' } } }]) } })
    try {
      const missing = 'GET /none HTTP/1.1\r\nHost: a\r\n\r\n'
      const post = 'POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n'
      const chunked = await sent(`${missing}${post}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`, '3\r\ndef\r\n0\r\n\r\n')
      assert.match(chunked, /^HTTP\/1.1 404 [\s\S]*HTTP\/1.1 200 [\s\S]*abcdef$/)
      const counted = await sent(`${missing}${post}Content-Length: 6\r\n\r\nabc`, 'def')
      assert.match(counted, /^HTTP\/1.1 404 [\s\S]*HTTP\/1.1 200 [\s\S]*abcdef$/)
      const bad = await sent(`POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n`)
      assert.match(bad, /^HTTP\/1.1 404 (?![\s\S]*HTTP\/1.1)/, 'what is wrong with the rest is not answered once more')
      const many = await sent(`${missing.repeat(5000)}${post}Content-Length: 3\r\n\r\nabc`)
      assert.equal(many.match(/HTTP\/1.1 404 /g)?.length, 5000)
      assert.match(many, /HTTP\/1.1 200 [\s\S]*abc$/)
    } finally {
      outside.swap({ routes: { out: table('out', [forward]) } })
    }
  })

  test('a target in absolute form is sent on in origin form, and its authority replaces Host', async () => {
    const answer = await ask(outside.port, 'http://inner:81/hello', { headers: { host: 'other' } })
    assert.deepEqual([answer.headers['x-seen'], JSON.parse(answer.body).headers.host], ['GET /hello', 'inner:81'])
    // RFC 9110 §4.2.3: without a path it is that of the root, whatever stands in the query.
    const root = await ask(outside.port, 'http://inner:81?next=/admin', { headers: { host: 'other' } })
    assert.deepEqual([root.headers['x-seen'], JSON.parse(root.body).headers.host], ['GET /?next=/admin', 'inner:81'])
  })

  test('weights and headers decide the backend, header changes and rewrites are carried out', async () => {
    const { backends, endpoints } = remote('web', [inside.port])
    const backend = Object.keys(backends)[0]!
    const forward = forwardTo(backend)
    outside.swap({
      routes: {
        out: table('out', [
          {
            ...forward,
            name: 'redirect',
            match: { path: { type: 'exact', value: '/old' } },
            action: { type: 'redirect', redirect: { path: { type: 'full', value: '/new' }, status: 301 } },
          },
          {
            ...forward,
            name: 'rewrite',
            match: { path: { type: 'prefix', value: '/v1' } },
            filters: [
              { type: 'rewrite', path: { type: 'prefix', value: '/api' }, host: 'inner' },
              { type: 'request-headers', change: { set: [{ name: 'x-a', value: '1' }], add: [], remove: ['x-gone'] } },
              { type: 'response-headers', change: { set: [], add: [{ name: 'x-b', value: '2' }], remove: ['x-powered-by'] } },
            ],
          },
          {
            ...forward,
            name: 'none',
            match: { headers: [{ name: 'x-want', type: 'exact', value: 'nothing' }] },
            action: { type: 'forward', backends: [{ backend: undefined, weight: 1 }] },
          },
        ]),
      },
      backends,
      endpoints,
    })
    const moved = await ask(outside.port, '/old', { headers: { host: 'web:8080' } })
    assert.deepEqual([moved.status, moved.headers.location], [301, 'http://web:8080/new'])
    const rewritten = await ask(outside.port, '/v1/x?q=1', { headers: { 'x-gone': 'yes' } })
    const seen = JSON.parse(rewritten.body).headers
    assert.deepEqual(
      [rewritten.headers['x-seen'], rewritten.headers['x-b'], seen['x-a'], seen['x-gone'], seen.host],
      ['GET /api/x?q=1', '2', '1', undefined, 'inner'],
    )
    const invalid = await ask(outside.port, '/', { headers: { 'x-want': 'nothing' } })
    assert.deepEqual([invalid.status, invalid.headers['x-weft-error']], [500, 'backend-invalid'])
    const unmatched = await ask(outside.port, '/')
    assert.deepEqual([unmatched.status, unmatched.headers['x-weft-error']], [404, 'no-route'])
    outside.swap({ routes: { out: table('out', [forward]) } })
  })

  test('OPTIONS * goes by a route for the prefix /, and arrives as it was asked', async () => {
    const { backends, endpoints } = remote('web', [inside.port])
    const forward = forwardTo(Object.keys(backends)[0]!)
    const everything = { ...forward, match: { path: { type: 'prefix', value: '/' } } } as const
    outside.swap({ routes: { out: table('out', [everything]) }, backends, endpoints })
    const answer = await ask(outside.port, '*', { method: 'OPTIONS' })
    assert.deepEqual([answer.status, answer.headers['x-seen']], [200, 'OPTIONS *'])
    outside.swap({ routes: { out: table('out', [forward]) } })
  })

  test('a path that a rewrite or a redirect makes too long is answered 414, and others on the connection go on', async () => {
    const { backends, endpoints } = remote('web', [inside.port])
    const forward = forwardTo(Object.keys(backends)[0]!)
    const grown = { type: 'regex', pattern: 'a', substitution: '0123456789'.repeat(20) } as const
    outside.swap({
      routes: {
        out: table('out', [
          { ...forward, match: { path: { type: 'prefix', value: '/long' } }, filters: [{ type: 'rewrite', path: grown }] },
          {
            ...forward,
            match: { path: { type: 'prefix', value: '/moved' } },
            action: { type: 'redirect', redirect: { path: grown, status: 302 } },
          },
          forward,
        ]),
      },
      backends,
      endpoints,
    })
    const under = ask(outside.port, '/slow')
    for (const path of ['/long', '/moved']) {
      const refused = await ask(outside.port, `${path}/${'a'.repeat(2000)}`)
      assert.deepEqual([refused.status, refused.headers['x-weft-error']], [414, 'uri-too-long'])
    }
    assert.equal((await ask(outside.port, `/long/${'a'.repeat(2)}`)).status, 200)
    assert.equal((await under).status, 200)
    outside.swap({ routes: { out: table('out', [forward]) } })
  })

  test('an endpoint that refuses is passed over, one that proves another identity is not used', async () => {
    const closed = net.createServer()
    await new Promise<void>(done => closed.listen(0, '127.0.0.1', done))
    const dead = portOf(closed)
    await new Promise(done => closed.close(done))
    outside.swap(remote('web', [dead, inside.port]))
    for (let count = 0; count < 4; count++) assert.equal((await ask(outside.port, '/x')).status, 200)
    outside.swap(remote('web', [inside.port], { identities: [identityOf('other')] }))
    const refused = await ask(outside.port, '/x')
    assert.deepEqual([refused.status, refused.headers['x-weft-error']], [503, 'identity-mismatch'])
    outside.swap(remote('web', [dead]))
    const none = await ask(outside.port, '/x')
    assert.deepEqual([none.status, none.headers['x-weft-error']], [503, 'connect-refused'])
    outside.swap({ ...remote('web', [inside.port]), endpoints: {} })
    assert.equal((await ask(outside.port, '/x')).headers['x-weft-error'], 'no-endpoint')
    outside.swap(remote('web', [inside.port]))
  })

  test('a caller without a certificate of the mesh gets nothing through the mesh port', async () => {
    const outcome = await new Promise(resolve => {
      const socket = net.connect(inside.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: w\r\n\r\n'))
      let text = ''
      socket
        .on('data', chunk => (text += chunk.toString('latin1')))
        .on('error', () => {})
        .on('close', () => resolve(text.includes('HTTP/1.1 200')))
    })
    assert.equal(outcome, false)
  })

  test('what passed is counted with both identities', () => {
    const text = outside.core.meter.registry.text()
    assert.match(
      text,
      /weft_requests_total\{direction="outbound",source_workload="shop-1.default",source_service="shop",.*destination_service="web".*destination_identity="spiffe:\/\/weft.test\/ns\/default\/sa\/web".*mtls="true".*code="200".*\} \d+/,
    )
    assert.match(
      inside.core.meter.registry.text(),
      /direction="inbound".*source_service="shop".*source_identity="spiffe:\/\/weft.test\/ns\/default\/sa\/shop"/,
    )
  })
})

describe('opaque TCP through two proxies', () => {
  test('the server may speak first, halves close one by one, a hundred thousand bytes come back', async () => {
    const certificates = await materials('mail', 'shop')
    const server = net.createServer({ allowHalfOpen: true }, socket => {
      socket.write('220 ready\r\n')
      socket.pipe(socket)
    })
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    const inside = await inboundSide('mail', portOf(server), 'tcp', certificates.mail!)
    await using outside = await outboundSide('shop', certificates.shop!, 'tcp', remote('mail', [inside.port], { protocol: 'tcp' }))
    const socket = net.connect({ port: outside.port, host: '127.0.0.1', allowHalfOpen: true })
    const greeting = await new Promise<Buffer>(resolve => socket.once('data', resolve))
    assert.equal(greeting.toString(), '220 ready\r\n')
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.end(Buffer.alloc(100_000, 'z'))
    await new Promise(done => socket.on('end', done))
    assert.equal(Buffer.concat(chunks).length, 100_000)
    await inside.core[Symbol.asyncDispose]()
    server.close()
  })

  test('a port without a declared protocol is found out: HTTP is routed, a server that speaks first is not kept waiting for long', async () => {
    const certificates = await materials('any', 'shop')
    const app = http.createServer((_request, response) => response.end('found'))
    await new Promise<void>(done => app.listen(0, '127.0.0.1', done))
    const inside = await inboundSide('any', portOf(app), 'detect', certificates.any!)
    await using outside = await outboundSide('shop', certificates.shop!, 'detect', remote('any', [inside.port]))
    assert.equal((await ask(outside.port, '/')).body, 'found')
    const greeter = net.createServer(socket => socket.end('hello'))
    await new Promise<void>(done => greeter.listen(0, '127.0.0.1', done))
    const other = await inboundSide('any', portOf(greeter), 'detect', certificates.any!)
    outside.swap(remote('any', [other.port]))
    const began = Date.now()
    const said = await new Promise<Buffer>(resolve => net.connect(outside.port, '127.0.0.1').once('data', resolve))
    assert.equal(said.toString(), 'hello')
    assert.ok(Date.now() - began < 2000)
    // With so much time to wait, what is heard at once was not waited for.
    await using patient = await outboundSide('shop', certificates.shop!, 'detect', remote('any', [other.port]), undefined, 60_000)
    const heard = new Promise<Buffer>(resolve => net.connect(patient.port, '127.0.0.1').once('data', resolve))
    assert.equal((await heard).toString(), 'hello')
    patient.swap(remote('any', [inside.port]))
    const late = net.connect(patient.port, '127.0.0.1')
    await pause(200) // long enough for the way to have been begun
    late.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    assert.match(Buffer.concat((await late.toArray()) as Buffer[]).toString(), /^HTTP\/1\.1 200 [^]*found$/)
    agent.destroy()
    app.closeAllConnections()
    app.close()
    greeter.close()
    await inside.core[Symbol.asyncDispose]()
    await other.core[Symbol.asyncDispose]()
  })
})
