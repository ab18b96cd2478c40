import assert from 'node:assert/strict'
import net, { type AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { client, counted, type Pair, pairTo, until, workload } from '../../test/harness/versions.ts'
import { block, data, frame, framesOf, headers, preface, reset, settings, settingsAck, told, types } from '../../test/harness/h2-frames.ts'

const get = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'web']
const post = [':method', 'POST', ...get.slice(2)]

/** A caller that speaks in frames of its own making. */
async function caller(port: number) {
  const socket = net.connect(port, '127.0.0.1')
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  const got: Buffer[] = []
  let isClosed = false
  socket
    .on('data', (bytes: Buffer) => got.push(bytes))
    .on('error', () => {})
    .on('close', () => (isClosed = true))
  socket.write(Buffer.concat([preface, settings(), settingsAck]))
  return {
    socket,
    send: (...frames: readonly Uint8Array[]) => socket.write(Buffer.concat(frames)),
    heard: () => {
      const bytes = Buffer.concat(got)
      let end = 0
      while (end + 9 <= bytes.length && end + 9 + bytes.readUIntBE(end, 3) <= bytes.length) end += 9 + bytes.readUIntBE(end, 3)
      return framesOf([bytes.subarray(0, end)]).map(told)
    },
    isClosed: () => isClosed,
    [Symbol.dispose]: () => void socket.destroy(),
  }
}

/** A workload that keeps every byte that came, and answers each request with 200. */
async function listening() {
  const sockets = new Set<net.Socket>()
  let bytes = ''
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', part => {
      bytes += part.toString('latin1')
      if (bytes.includes('\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  return {
    port: (server.address() as AddressInfo).port,
    bytes: () => bytes,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(done => server.close(done))
    },
  }
}

const pause = (ms: number) => new Promise(done => setTimeout(done, ms))

describe('what HTTP/1 could understand as more than one request', { timeout: 30_000 }, () => {
  const evil = '\r\nX-Evil: 1\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: web'
  for (const [what, ...frames] of [
    ['a line break in a value', headers(1, [...get, 'x-a', `1${evil}`])],
    ['a line break in a name', headers(1, [...get, `x-a: 1${evil}\r\nx-b`, '1'])],
    ['a NUL in a value', headers(1, [...get, 'x-a', '1\0smuggled'])],
    ['an empty name', headers(1, [...get, '', 'smuggled'])],
    ['a name with a colon', headers(1, [...get, 'transfer-encoding:', 'smuggled'])],
    ['a name in upper case', headers(1, [...get, 'X-Smuggled', '1'])],
    [
      'Transfer-Encoding',
      headers(1, [...post, 'transfer-encoding', 'chunked'], false),
      data(1, '0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n', true),
    ],
    ['Connection', headers(1, [...get, 'connection', 'x-smuggled'])],
    ['TE that is not trailers', headers(1, [...get, 'te', 'smuggled'])],
    ['a path with a line', headers(1, [':method', 'GET', ':scheme', 'http', ':path', `/ HTTP/1.1${evil}`, ':authority', 'web'])],
    ['a method with a line', headers(1, [':method', `GET / HTTP/1.1${evil}`, ...get.slice(2)])],
    ['an authority with a line', headers(1, [...get.slice(0, 6), ':authority', `web${evil}`])],
    ['two lengths', headers(1, [...post, 'content-length', '1', 'content-length', '40'], false), data(1, 'GET /smuggled', true)],
    ['less body than its length', headers(1, [...post, 'content-length', '40'], false), data(1, 'smuggled', true)],
    ['more body than its length', headers(1, [...post, 'content-length', '1'], false), data(1, 'xGET /smuggled', true)],
    ['a second :path', headers(1, [...get, ':path', '/smuggled'])],
    ['a pseudo-header in trailers', headers(1, post, false), data(1, 'x'), headers(1, [':path', '/smuggled'])],
    ['framing in trailers', headers(1, post, false), data(1, 'x'), headers(1, ['content-length', '5', 'x-smuggled\r\n', '1'])],
  ] as const)
    test(`${what} never reaches the workload, and ends its stream only`, async () => {
      await using app = await listening()
      await using pair = await pairTo(app.port, 'http1')
      using bad = await caller(pair.port)
      bad.send(...frames)
      await until(() => bad.heard().some(text => text.startsWith('reset 1') || text.startsWith('goaway')), 'a refusal')
      bad.send(headers(3, [...get.slice(0, 4), ':path', '/next', ':authority', 'web']))
      await until(() => bad.heard().some(text => text.startsWith('headers 3')), 'the next request to be served')
      assert.ok(!app.bytes().includes('smuggled'), app.bytes())
      assert.ok(!/x-evil/i.test(app.bytes()))
    })
})

describe('callers that only cost', { timeout: 60_000 }, () => {
  const isWell = async (pair: Pair) => {
    using well = client('http2', pair.port)
    assert.equal((await well.ask('/')).status, 200)
  }

  test('floods of resets and of CONTINUATION end their connection, are counted, and others are served', async () => {
    await using app = await workload('http2', (_ask, reply) => reply.end('ok'))
    await using pair = await pairTo(app.port, 'http2')
    using rapid = await caller(pair.port)
    for (let id = 1; id < 4000 && !rapid.isClosed(); id += 2) rapid.send(headers(id, get), reset(id, 8))
    await until(() => rapid.isClosed(), 'the rapid resets to end')
    assert.ok(rapid.heard().some(text => /^goaway \d+ 11$/.test(text)))
    using endless = await caller(pair.port)
    endless.send(frame(types.headers, 0, 1, block(get)))
    for (let count = 0; count < 100; count++) endless.send(frame(types.continuation, 0, 1, Buffer.alloc(10)))
    await until(() => endless.isClosed(), 'the endless head to end')
    assert.equal(counted(pair.outside, 'weft_connections_failed_total', /reason="bad-request"/), 2)
    await isWell(pair)
    await until(
      () => counted(pair.inside, 'weft_upstream_streams') + counted(pair.outside, 'weft_upstream_streams') === 0,
      'nothing to be left',
    )
  })

  test('streams that are refused are counted with the reason: malformed, too large, too many', async () => {
    await using app = await workload('http1', () => {})
    await using pair = await pairTo(app.port, 'http1')
    using bad = await caller(pair.port)
    bad.send(headers(1, [...get, '', 'x']), headers(3, [...get, ...Array.from({ length: 150 }, (_, at) => [`x-${at}`, '1']).flat()]))
    await until(() => counted(pair.outside, 'weft_requests_refused_total', /code="0",reason="bad-request"/) === 1, 'the malformed one')
    await until(() => counted(pair.outside, 'weft_requests_refused_total', /code="431",reason="header-too-large"/) === 1, 'the large one')
    const many = Array.from({ length: 1010 }, (_, at) => headers(5 + 2 * at, get))
    bad.send(...many)
    await until(() => counted(pair.outside, 'weft_requests_refused_total', /code="0",reason="overload"/) === 10, 'those above the limit')
  })

  test('a head that is never completed and a connection without a request are ended', async () => {
    await using app = await workload('http1', () => {})
    await using pair = await pairTo(app.port, 'http1')
    using endless = await caller(pair.port)
    endless.send(frame(types.headers, 0, 1, block(get)))
    await pause(50)
    // The sweep is told another time than the real one.
    pair.outside.core.sweep(performance.now())
    pair.outside.core.sweep(performance.now() + 61_000)
    await until(() => endless.isClosed(), 'it to be ended')
    assert.equal(counted(pair.outside, 'weft_connections_failed_total', /reason="request-timeout"/), 1)
  })

  for (const from of ['http1', 'http2'] as const)
    test(`an exchange on which nothing passes is ended: a body that stalls, an answer that does not begin or go on (${from})`, async () => {
      await using app = await workload('http2', (ask, reply) => {
        if (ask.url === '/half') reply.write('half')
        ask.resume()
      })
      await using pair = await pairTo(app.port, 'http2', { stillMs: 1000 })
      using calling = client(from, pair.port)
      const sweep = setInterval(() => pair.outside.core.sweep(performance.now()), 100)
      try {
        const stalled = calling.open('/stalled', { method: 'POST', headers: from === 'http1' ? { 'content-length': 100 } : {} })
        const status = new Promise(resolve =>
          stalled.once('response', head => resolve('statusCode' in head ? (head as { statusCode: number }).statusCode : head[':status'])),
        )
        stalled.on('error', () => {}).write('ten bytes.')
        const never = await calling.ask('/never')
        assert.deepEqual([never.status, never.headers['x-weft-error']], [504, 'upstream-timeout'])
        assert.equal(await status, 408)
        await assert.rejects(calling.ask('/half'))
        assert.equal(counted(pair.outside, 'weft_requests_total', /code="200",grpc_status="",reason="upstream-timeout"/), 1)
        stalled.destroy()
      } finally {
        clearInterval(sweep)
      }
    })

  test('an answer that one version carries and the other cannot is 502, and the process goes on', async () => {
    const server = net.createServer(socket => {
      socket.on('error', () => {})
      socket.on('data', bytes => {
        const fields = bytes.includes('/many') ? Array.from({ length: 125 }, (_, at) => `x-${at}: ${'v'.repeat(400)}\r\n`).join('') : ''
        const reason = bytes.includes('/reason') ? '\u00e4 odd' : 'OK'
        socket.write(Buffer.from(`HTTP/1.1 200 ${reason}\r\n${fields}Content-Length: 2\r\n\r\nok`, 'latin1'))
      })
    })
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    await using pair = await pairTo((server.address() as AddressInfo).port, 'http1')
    for (const version of ['http1', 'http2'] as const) {
      using calling = client(version, pair.port)
      const many = await calling.ask('/many').catch((error: Error) => error)
      // Node's own clients take less than a proxy passes on.
      assert.ok(many instanceof Error || [200, 502].includes(many.status))
      assert.equal((await calling.ask('/reason')).status, 200)
      const tooMuch = await calling
        .ask('/big', { headers: Object.fromEntries(Array.from({ length: 120 }, (_, at) => [`x-${at}`, 'v'.repeat(600)])) })
        .catch((error: Error) => error)
      assert.ok(tooMuch instanceof Error || tooMuch.status === 431, String(tooMuch))
      assert.equal((await calling.ask('/plain')).status, 200)
    }
    server.close()
  })
})
