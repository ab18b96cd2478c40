/** The codec against programs that other people wrote, over real sockets, in both roles: Node's own HTTP/2, curl, nghttp and h2load. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import { test, type TestContext } from 'node:test'
import { field, type Fields, type RequestHead } from '../http1.ts'
import { type ClientEvent2, clientCodec2, errorCodes, type ServerEvent2, serverCodec2 } from '../http2.ts'

type Codec<Event> = {
  receive(bytes: Uint8Array): Event[]
  receiveEnd(): Event[]
  drain(): Uint8Array[]
  readonly mustClose: boolean
  readonly hasEvents: boolean
  readonly wantsDrain: boolean
}

/** Moves bytes between a codec and a socket until either is done. Returns what writes after something was sent. */
function drive<Event>(socket: net.Socket, codec: Codec<Event>, act: (events: readonly Event[]) => void): () => void {
  const flush = (): void => {
    while (codec.wantsDrain) {
      for (const bytes of codec.drain()) socket.write(bytes)
      if (codec.hasEvents) act(codec.receive(new Uint8Array(0)))
    }
    if (codec.mustClose) socket.end()
  }
  const tell = (events: readonly Event[]): void => {
    act(events)
    flush()
  }
  socket.on('data', (bytes: Uint8Array) => tell(codec.receive(bytes)))
  socket.on('end', () => tell(codec.receiveEnd()))
  socket.on('error', () => {})
  flush()
  return flush
}

/** Echoes each request as JSON: its line, fields, trailers and the length of its body; /big answers 3 MB, /silent nothing. */
async function echo(t: TestContext): Promise<number> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ noDelay: true }, socket => {
    sockets.add(socket)
    const codec = serverCodec2()
    const heads = new Map<number, RequestHead & { size: number }>()
    const rest = new Map<number, Uint8Array>()
    const pour = (stream: number): void => {
      for (let left = rest.get(stream); left !== undefined && codec.isWritable(stream); left = rest.get(stream)) {
        codec.send({ type: 'data', stream, bytes: left.subarray(0, 10_000) })
        if (left.length > 10_000) rest.set(stream, left.subarray(10_000))
        else {
          rest.delete(stream)
          codec.send({ type: 'end', stream, trailers: ['x-sum', '1'] })
        }
      }
    }
    drive(socket, codec, (events: readonly ServerEvent2[]) => {
      for (const event of events) {
        if (event.type === 'request') heads.set(event.stream, { ...event.head, size: 0 })
        else if (event.type === 'data') {
          heads.get(event.stream)!.size += event.bytes.length
          codec.consumed(event.stream, event.bytes.length)
        } else if (event.type === 'writable') pour(event.stream)
        else if (event.type === 'end') {
          const { method, target, fields, size } = heads.get(event.stream)!
          if (target === '/silent') continue
          const bytes =
            target === '/big'
              ? Buffer.alloc(3_000_000, 'x')
              : Buffer.from(JSON.stringify({ method, target, fields, size, trailers: event.trailers }))
          codec.send({ type: 'informational', stream: event.stream, head: { status: 103, reason: '', minor: 1, fields: ['link', '</a>'] } })
          codec.send({
            type: 'response',
            stream: event.stream,
            head: { status: 200, reason: '', minor: 1, fields: ['X-Answer', 'yes'] },
            length: bytes.length,
          })
          rest.set(event.stream, bytes)
          pour(event.stream)
        }
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as net.AddressInfo).port
}

type Echo = { method: string; target: string; fields: Fields; size: number; trailers: Fields }

test('Node as client: many requests at once, bodies, trailers, early hints, large answers, resets', async t => {
  const session = http2.connect(`http://127.0.0.1:${await echo(t)}`)
  t.after(() => session.destroy())
  const ask = async (
    headers: http2.OutgoingHttpHeaders,
    body?: Uint8Array,
    trailers?: http2.OutgoingHttpHeaders,
  ): Promise<{ status: number; text: string; hints: number; trailer: unknown }> => {
    const stream = session.request(headers, { endStream: body === undefined, waitForTrailers: trailers !== undefined })
    if (trailers) stream.on('wantTrailers', () => stream.sendTrailers(trailers))
    if (body) stream.end(body)
    let hints = 0
    let trailer: unknown
    stream.on('headers', () => hints++)
    stream.on('trailers', (list: http2.IncomingHttpHeaders) => (trailer = list['x-sum']))
    const [answer] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader]
    let text = ''
    for await (const piece of stream) text += String(piece)
    return { status: answer[':status']!, text, hints, trailer }
  }
  const answers = await Promise.all(
    Array.from({ length: 50 }, async (_, at) => {
      const body = at % 2 === 0 ? undefined : Buffer.alloc(at * 5_000, 'b')
      const got = await ask(
        { ':method': body ? 'POST' : 'GET', ':path': `/${at}?x`, 'x-mark': `m${at % 3}`, cookie: 'a=1; b=2' },
        body,
        body && { 'x-t': 'v' },
      )
      return { ...got, echoed: JSON.parse(got.text) as Echo }
    }),
  )
  for (const [at, { status, hints, trailer, echoed }] of answers.entries()) {
    assert.deepEqual([status, hints, trailer, echoed.target, echoed.size], [200, 1, '1', `/${at}?x`, at % 2 === 0 ? 0 : at * 5_000])
    assert.deepEqual([field(echoed.fields, 'x-mark'), field(echoed.fields, 'cookie')], [`m${at % 3}`, 'a=1; b=2'])
    assert.deepEqual(echoed.trailers, at % 2 === 0 ? [] : ['x-t', 'v'])
  }
  const large = await Promise.all([ask({ ':path': '/big' }), ask({ ':path': '/big' }), ask({ ':path': '/' })])
  assert.deepEqual(
    large.map(({ text }) => Math.min(text.length, 3_000_000)),
    [3_000_000, 3_000_000, large[2]!.text.length],
  )
  const silent = session.request({ ':path': '/silent' })
  silent.on('error', () => {})
  await new Promise<void>(resolve => session.ping(() => resolve()))
  silent.close(http2.constants.NGHTTP2_CANCEL)
  await once(silent, 'close')
  assert.equal((await ask({ ':path': '/after' })).status, 200)
})

test('Node as server: many requests at once, bodies both ways, trailers, and its goaway', async t => {
  const server = http2.createServer({ settings: { enableConnectProtocol: true } })
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    let size = 0
    stream.on('data', (piece: Uint8Array) => (size += piece.length))
    let trailers: http2.IncomingHttpHeaders = {}
    stream.on('trailers', (list: http2.IncomingHttpHeaders) => (trailers = list))
    stream.on('error', () => {})
    stream.on('end', () => {
      if (headers[':path'] === '/bye') (stream.session as http2.ServerHttp2Session).goaway(0)
      stream.additionalHeaders({ ':status': 103, link: '</a>' })
      stream.respond({ ':status': 200, 'x-mark': headers['x-mark'] ?? '' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': String(size), 'x-t': trailers['x-t'] ?? '' }))
      stream.end(Buffer.alloc(size, 'r'))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const socket = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', noDelay: true })
  t.after(() => socket.destroy())

  const codec = clientCodec2()
  const waiting = new Map<number, { size: number; hints: number; mark: string | undefined; done: (answer: unknown) => void }>()
  const unsent = new Map<number, Uint8Array>()
  let flush = (): void => {}
  let wasTold = false
  let isReady = (): void => {}
  const ready = new Promise<void>(resolve => (isReady = resolve))
  const pour = (stream: number): void => {
    for (let left = unsent.get(stream); left !== undefined && codec.isWritable(stream); left = unsent.get(stream)) {
      codec.send({ type: 'data', stream, bytes: left.subarray(0, 20_000) })
      if (left.length > 20_000) unsent.set(stream, left.subarray(20_000))
      else {
        unsent.delete(stream)
        codec.send({ type: 'end', stream, trailers: ['x-t', 'v'] })
      }
    }
  }
  flush = drive(socket, codec, (events: readonly ClientEvent2[]) => {
    for (const event of events) {
      if (event.type === 'settings') isReady()
      if (event.type === 'goaway') wasTold = true
      if (!('stream' in event)) continue
      const one = waiting.get(event.stream)!
      if (event.type === 'informational') one.hints++
      else if (event.type === 'response') one.mark = field(event.head.fields, 'x-mark')
      else if (event.type === 'writable') pour(event.stream)
      else if (event.type === 'data') {
        one.size += event.bytes.length
        codec.consumed(event.stream, event.bytes.length)
      } else if (event.type === 'end') one.done([one.size, one.hints, one.mark, event.trailers])
      else one.done(event)
    }
  })
  const ask = (path: string, mark: string, body: Uint8Array): Promise<unknown> =>
    new Promise(done => {
      const stream = codec.open({
        head: { method: 'POST', target: path, minor: 1, fields: ['Host', 'a.example', 'X-Mark', mark] },
        scheme: 'http',
        length: body.length,
      })
      waiting.set(stream, { size: 0, hints: 0, mark: undefined, done })
      unsent.set(stream, body)
      pour(stream)
      flush()
    })
  await ready
  assert.equal(codec.allowsProtocol, true)
  const sizes = Array.from({ length: 40 }, (_, at) => 1 + at * 7_000)
  assert.deepEqual(
    await Promise.all(sizes.map((size, at) => ask('/', `m${at % 4}`, Buffer.alloc(size, 'q')))),
    sizes.map((size, at) => [size, 1, `m${at % 4}`, ['x-sum', String(size), 'x-t', 'v']]),
  )
  await ask('/bye', 'last', Buffer.alloc(1))
  assert.deepEqual([wasTold, codec.canOpen, codec.openStreams], [true, false, 0])
})

test('Node as server refuses: a reset is told', async t => {
  const server = http2.createServer()
  server.on('stream', stream => {
    stream.on('error', () => {})
    stream.close(http2.constants.NGHTTP2_REFUSED_STREAM)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  t.after(() => socket.destroy())
  const codec = clientCodec2()
  const told = new Promise<ClientEvent2>(resolve => {
    codec.open({ head: { method: 'GET', target: '/', minor: 1, fields: ['Host', 'a'] }, scheme: 'http', length: 0, isEnd: true })
    drive(socket, codec, (events: readonly ClientEvent2[]) => {
      for (const event of events) if (event.type === 'reset') resolve(event)
    })
  })
  assert.deepEqual(await told, { type: 'reset', stream: 1, code: errorCodes.refusedStream, isSafe: true, failure: undefined })
})

const lacks = (program: string): string | false => (spawnSync(program, ['--version']).error ? `${program} is not on this machine` : false)

async function says(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', piece => (said += String(piece)))
  child.stderr.on('data', piece => (said += String(piece)))
  await once(child, 'close')
  return said
}

test('curl: prior knowledge, a body, a large answer', { skip: lacks('curl') }, async t => {
  const url = `http://127.0.0.1:${await echo(t)}`
  const said = await says('curl', ['-sS', '-i', '--http2-prior-knowledge', '--max-time', '20', '-d', 'a=b', `${url}/x`])
  assert.match(said, /^HTTP\/2 103/)
  assert.match(said, /HTTP\/2 200/)
  assert.match(said, /"method":"POST".*"size":3/)
  const large = await says('curl', [
    '-sS',
    '--http2-prior-knowledge',
    '--max-time',
    '20',
    '-o',
    '/dev/null',
    '-w',
    '%{http_version} %{size_download}',
    `${url}/big`,
  ])
  assert.equal(large, '2 3000000')
})

test('nghttp: several requests on one connection, with padding and windows of its own', { skip: lacks('nghttp') }, async t => {
  const url = `http://127.0.0.1:${await echo(t)}`
  const said = await says('nghttp', ['-n', '-s', '-b', '100', '-w', '14', '-W', '15', '-m', '3', `${url}/`, `${url}/big`])
  assert.equal(said.match(/ 200 /g)?.length, 6, said)
  assert.match(said, /2M /)
})

test('h2load: ten thousand requests over ten connections, none lost', { skip: lacks('h2load') }, async t => {
  const said = await says('h2load', ['-n', '10000', '-c', '10', '-m', '20', `http://127.0.0.1:${await echo(t)}/`])
  assert.match(said, /10000 succeeded, 0 failed, 0 errored, 0 timeout/)
})
