import { test } from 'node:test'
import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { serveHttp, type Handler } from './http-server.ts'

const echo: Handler = async request => ({
  status: 200,
  body: `${request.method} ${request.path} ${request.query.get('q')} ${new TextDecoder().decode(await request.body())}`,
})

/** fetch sets Host and Origin itself; this sends what it is told. */
function raw(port: number, options: http.RequestOptions, body = ''): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', ...options }, response => {
      let text = ''
      response.on('data', chunk => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode!, text }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

test('a request reaches the handler and its answer comes back', async () => {
  await using server = await serveHttp({ host: '127.0.0.1', port: 0, handler: echo })
  const reply = await fetch(`http://127.0.0.1:${server.port}/a%20b?q=1`, { method: 'POST', body: 'hello' })
  assert.equal(await reply.text(), 'POST /a%20b 1 hello')
})

test('a body beyond the limit is refused, declared or not', async () => {
  await using server = await serveHttp({ host: '127.0.0.1', port: 0, handler: echo, maxBody: 10 })
  const declared = await fetch(`http://127.0.0.1:${server.port}/`, { method: 'POST', body: 'x'.repeat(11) })
  assert.equal(declared.status, 413)
  const chunked = await raw(server.port, { method: 'POST', headers: { 'transfer-encoding': 'chunked' } }, 'x'.repeat(11))
  assert.deepEqual(chunked, { status: 413, text: 'the request body is larger than 10 bytes\n' })
})

test('a foreign Host on loopback, and a write from a page of another origin, are refused; a read is not', async () => {
  await using server = await serveHttp({ host: '127.0.0.1', port: 0, handler: echo, allowedHosts: () => ['mesh.example'] })
  const { port } = server
  const statusOf = async (method: string, headers: http.OutgoingHttpHeaders): Promise<number> =>
    (await raw(port, { method, headers })).status
  assert.equal(await statusOf('GET', { host: 'evil.example' }), 403)
  assert.equal(await statusOf('GET', { host: `mesh.example:${port}` }), 200)
  assert.equal(await statusOf('GET', { host: `[::1]:${port}` }), 200)
  assert.equal(await statusOf('POST', { host: `localhost:${port}`, origin: 'https://evil.example' }), 403)
  assert.equal(await statusOf('POST', { host: `localhost:${port}`, origin: 'null' }), 403)
  assert.equal(await statusOf('POST', { 'sec-fetch-site': 'cross-site' }), 403)
  assert.equal(
    await statusOf('POST', { host: `localhost:${port}`, origin: `http://localhost:${port}`, 'sec-fetch-site': 'same-origin' }),
    200,
  )
  assert.equal(await statusOf('GET', { origin: 'https://evil.example' }), 200)
})

test('a stream arrives piece by piece and its signal says when the reader has gone', async () => {
  const ended = Promise.withResolvers<void>()
  await using server = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    handler: request => ({
      status: 200,
      stream: outlet => {
        outlet.write('one')
        request.signal.addEventListener('abort', () => ended.resolve())
      },
    }),
  })
  const leave = new AbortController()
  const reply = await fetch(`http://127.0.0.1:${server.port}/`, { signal: leave.signal })
  const { value } = await reply.body!.getReader().read()
  assert.equal(new TextDecoder().decode(value), 'one')
  leave.abort()
  await ended.promise
})

test('closing ends open streams', async () => {
  const server = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    handler: () => ({ status: 200, stream: outlet => void outlet.write('open') }),
  })
  const reply = await fetch(`http://127.0.0.1:${server.port}/`)
  await server.close()
  assert.equal(await reply.text(), 'open')
})

test('a port in use is told with what to do', async () => {
  await using first = await serveHttp({ host: '127.0.0.1', port: 0, handler: echo })
  await assert.rejects(
    serveHttp({ host: '127.0.0.1', port: first.port, handler: echo }),
    /port \d+ on 127\.0\.0\.1 is in use by another program: stop it, or choose another port/,
  )
})

test('a handler that throws answers 500 and the server lives on', async () => {
  let bug: unknown
  await using server = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    handler: request => {
      if (request.path === '/bug') throw new Error('oops')
      return { status: 204 }
    },
    refuse: (status, says, thrown) => {
      bug = thrown
      return { status, body: says }
    },
  })
  assert.equal((await fetch(`http://127.0.0.1:${server.port}/bug`)).status, 500)
  assert.equal((bug as Error).message, 'oops')
  assert.equal((await fetch(`http://127.0.0.1:${server.port}/`)).status, 204)
})

test('a client that sends its head or its body too slowly is told so, and cut off', async () => {
  await using server = await serveHttp({ host: '127.0.0.1', port: 0, handler: echo, slowMs: { head: 300, whole: 600 } })
  for (const sent of ['GET / HTTP/1.1\r\nHost: local', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc']) {
    const said = await new Promise<string>((resolve, reject) => {
      const socket = net.connect(server.port, '127.0.0.1', () => socket.write(sent))
      let text = ''
      socket.setEncoding('utf8').on('data', chunk => (text += chunk))
      socket.once('close', () => resolve(text)).once('error', reject)
    })
    assert.match(said, /^HTTP\/1\.1 408 Request Timeout\r\n[^]*the request took too long to arrive/, sent)
  }
})

test('more connections from one address than it may have are answered with 429, and those that it has are served on', async () => {
  await using server = await serveHttp({ host: '127.0.0.1', port: 0, handler: echo, connectionsPerAddress: () => 2 })
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  const open = net.connect(server.port, '127.0.0.1')
  try {
    const kept = () => raw(server.port, { agent, path: '/kept' })
    assert.equal((await kept()).status, 200)
    const third = await raw(server.port, { agent: false })
    assert.deepEqual([third.status, /more than 2 connections from one address/.test(third.text)], [429, true])
  } finally {
    open.destroy()
    agent.destroy()
  }
})

test('what a client says in the middle of a stream is not answered in the middle of it', async () => {
  const handler: Handler = ({ signal }) => ({
    status: 200,
    stream: ({ write, end }) => {
      write('piece')
      signal.addEventListener('abort', end, { once: true })
    },
  })
  await using server = await serveHttp({ host: '127.0.0.1', port: 0, handler })
  const said = await new Promise<string>((resolve, reject) => {
    const socket = net.connect(server.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'))
    let text = ''
    socket.setEncoding('utf8').on('data', chunk => {
      text += chunk
      if (text.endsWith('piece\r\n')) socket.write('no request\r\n\r\n')
    })
    socket.once('close', () => resolve(text)).once('error', reject)
  })
  assert.equal(said.split('HTTP/1.1').length, 2, said)
})
