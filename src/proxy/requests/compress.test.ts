import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { after, before, describe, test } from 'node:test'
import {
  brotliCompressSync,
  brotliDecompressSync,
  createGunzip,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib'
import { forwardTo, table } from '../../../test/harness/pair.ts'
import { client, combinations, type Pair, pairTo, type Workload, workload } from '../../../test/harness/versions.ts'
import type { Route } from '../../model/route.ts'

const decoders = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync }
const encoders = { gzip: gzipSync, br: brotliCompressSync, zstd: zstdCompressSync }
const compressible = { minBytes: 100, types: ['application/json', 'text/plain', 'text/event-stream'] }
const text = Buffer.from(JSON.stringify(Array.from({ length: 3000 }, (_, id) => ({ id, says: 'the same as before' }))))

const routes: Readonly<Record<string, Partial<Route>>> = {
  '/coded': { compression: { answers: { codings: ['zstd', 'br', 'gzip'], ...compressible } } },
  '/send-gzip': { compression: { requests: { coding: 'gzip', ...compressible } } },
  '/take': { compression: { takesCoded: { maxBytes: 300_000 } } },
  '/small': { sizes: { bodyBytes: 1000 } },
  '/few-headers': { sizes: { headerCount: 12, headerBytes: 2000 } },
  '/slow': { fault: { policy: 'default/slow', bandwidth: { share: 1_000_000, answersBps: 40_000 } } },
  '/slow-up': { fault: { policy: 'default/slow', bandwidth: { share: 1_000_000, requestsBps: 40_000 } } },
  '/slow-coded': {
    fault: { policy: 'default/slow', bandwidth: { share: 1_000_000, answersBps: 100_000 } },
    compression: { answers: { codings: ['gzip'], ...compressible } },
  },
}

for (const [from, to] of combinations)
  describe(`bodies on their way (${from} to ${to})`, () => {
    let app: Workload
    let pair: Pair
    let stream: (() => void)[] = []

    before(async () => {
      app = await workload(to, (ask, reply) => {
        const query = new URL(ask.url!, 'http://web').searchParams
        const chunks: Buffer[] = []
        ask.on('error', () => {})
        ask.on('data', (chunk: Buffer) => chunks.push(chunk))
        if (query.has('stream')) {
          reply.writeHead(200, { 'content-type': 'text/event-stream' })
          stream = [() => reply.write('data: one\n\n'), () => reply.write('data: two\n\n'), () => reply.end()]
          stream.shift()!()
          return
        }
        ask.on('end', () => {
          const body = Buffer.concat(chunks)
          const headers: Record<string, string> = {
            'content-type': query.get('type') ?? 'application/json',
            'x-coding': String(ask.headers['content-encoding'] ?? ''),
            'x-length': String(body.length),
          }
          for (const name of ['etag', 'vary', 'cache-control', 'content-encoding']) if (query.has(name)) headers[name] = query.get(name)!
          const answer = query.has('echo') ? body : text
          if (!query.has('chunked')) headers['content-length'] = String(answer.length)
          reply.writeHead(Number(query.get('status') ?? 200), headers)
          if (ask.method === 'HEAD' || query.get('status') === '204' || query.get('status') === '304') return reply.end()
          reply.end(answer)
        })
      })
      pair = await pairTo(app.port, to)
      const forward = forwardTo('default/web:80')
      pair.outside.swap({
        routes: {
          out: table(
            'out',
            Object.entries(routes).map(([path, more]) => ({
              ...forward,
              name: path,
              origin: path,
              match: { path: { type: 'prefix', value: path } },
              ...more,
            })),
          ),
        },
      })
    })
    after(async () => {
      await pair?.[Symbol.asyncDispose]()
      await app?.[Symbol.asyncDispose]()
    })
    const accepts = (accepted: string) => ({ headers: { 'accept-encoding': accepted } })

    for (const coding of ['gzip', 'br', 'zstd'] as const)
      test(`an answer is in ${coding} for who takes that, and comes out whole`, async () => {
        using caller = client(from, pair.port)
        for (const path of ['/coded', '/coded?chunked']) {
          const { headers, body } = await caller.ask(path, accepts(coding))
          assert.equal(headers['content-encoding'], coding)
          assert.equal(headers['vary'], 'Accept-Encoding')
          assert.equal(headers['content-length'], undefined)
          assert.ok(body.length < text.length / 5, `${body.length} of ${text.length}`)
          assert.deepEqual(decoders[coding](body), text)
        }
      })

    test('many answers at once are each whole', async () => {
      using caller = client(from, pair.port)
      const all = await Promise.all(Array.from({ length: 30 }, () => caller.ask('/coded', accepts('gzip'))))
      for (const { body } of all) assert.deepEqual(gunzipSync(body), text)
    })

    for (const [says, path, accepted] of [
      ['of a type that is not asked for', '/coded?type=image/png', 'gzip'],
      ['that is short', '/coded?echo', 'gzip'],
      ['for who does not say that it takes codings', '/coded', ''],
      ['that must not be transformed', '/coded?cache-control=public,%20no-transform', 'gzip'],
      ['of a part', '/coded?status=206', 'gzip'],
    ] as const)
      test(`an answer ${says} stays as it is`, async () => {
        using caller = client(from, pair.port)
        const { headers, body } = await caller.ask(path, accepts(accepted))
        assert.equal(headers['content-encoding'], undefined)
        assert.equal(headers['content-length'], String(body.length))
      })

    test('what is coded already is not coded again, and what has no body neither', async () => {
      using caller = client(from, pair.port)
      const coded = await caller.ask('/coded?content-encoding=br', accepts('gzip'))
      assert.equal(coded.headers['content-encoding'], 'br')
      assert.deepEqual(coded.body, text)
      for (const [method, path] of [
        ['HEAD', '/coded'],
        ['GET', '/coded?status=204'],
        ['GET', '/coded?status=304'],
      ] as const) {
        const empty = await caller.ask(path, { method, ...accepts('gzip') })
        assert.equal(empty.headers['content-encoding'], undefined)
        assert.equal(empty.body.length, 0)
      }
    })

    test('caches can tell: a strong tag becomes a weak one, and Vary names what it went by once', async () => {
      using caller = client(from, pair.port)
      const { headers } = await caller.ask('/coded?etag=%22v1%22&vary=Origin', accepts('gzip'))
      assert.equal(headers['etag'], 'W/"v1"')
      assert.equal(headers['vary'], 'Origin, Accept-Encoding')
      const named = await caller.ask('/coded?vary=accept-encoding', accepts('gzip'))
      assert.equal(named.headers['vary'], 'accept-encoding')
      const plain = await caller.ask('/coded?etag=%22v1%22', accepts('identity'))
      assert.deepEqual([plain.headers['etag'], plain.headers['vary']], ['"v1"', 'Accept-Encoding'])
    })

    test('each piece of a stream can be read as soon as it is sent', { timeout: 20_000 }, async () => {
      using caller = client(from, pair.port)
      const request = caller.open('/coded?stream', accepts('gzip'))
      request.end()
      const gunzip = createGunzip()
      let said = ''
      gunzip.on('data', (bytes: Buffer) => (said += String(bytes)))
      if (from === 'http1') request.on('response', (response: NodeJS.ReadableStream) => response.pipe(gunzip))
      else (request as unknown as NodeJS.ReadableStream).pipe(gunzip)
      const reads = async (wanted: string) => {
        for (let left = 500; said !== wanted && left > 0; left--) await new Promise(done => setTimeout(done, 10))
        assert.equal(said, wanted)
      }
      await reads('data: one\n\n')
      stream.shift()!()
      await reads('data: one\n\ndata: two\n\n')
      const ended = once(gunzip, 'end')
      stream.shift()!()
      await ended
    })

    test('a request is compressed for a backend that reads it, and stays as it is where it is short or coded', async () => {
      using caller = client(from, pair.port)
      const send = (body: Buffer, headers: Readonly<Record<string, string>> = {}) =>
        caller.ask('/send-gzip?echo', { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } })
      const coded = await send(text)
      assert.equal(coded.headers['x-coding'], 'gzip')
      assert.deepEqual(gunzipSync(coded.body), text)
      const short = await send(Buffer.from('{}'), { 'content-length': '2' })
      assert.deepEqual([short.headers['x-coding'], String(short.body)], ['', '{}'])
      const already = await send(brotliCompressSync(text), { 'content-encoding': 'br' })
      assert.deepEqual([already.headers['x-coding'], already.body], ['br', brotliCompressSync(text)])
    })

    for (const coding of ['gzip', 'br', 'zstd'] as const)
      test(`a request in ${coding} is taken apart for a backend that cannot`, async () => {
        using caller = client(from, pair.port)
        const { status, headers, body } = await caller.ask('/take?echo', {
          method: 'POST',
          body: encoders[coding](text),
          headers: { 'content-encoding': coding },
        })
        assert.deepEqual([status, headers['x-coding'], headers['x-length']], [200, '', String(text.length)])
        assert.deepEqual(body, text)
      })

    test('a request that comes to too much, is in no known coding or in none at all is refused by what it is', async () => {
      // Each on a connection of its own: one whose body was not taken is closed.
      const ask = async (body: Buffer, coding: string) => {
        using caller = client(from, pair.port)
        const { status, headers } = await caller.ask('/take?echo', { method: 'POST', body, headers: { 'content-encoding': coding } })
        return [status, headers['x-weft-error']]
      }
      assert.deepEqual(await ask(gzipSync(Buffer.alloc(50_000_000)), 'gzip'), [413, 'request-too-large'])
      assert.deepEqual(await ask(Buffer.from('this is no gzip at all'), 'gzip'), [400, 'bad-request'])
      assert.deepEqual(await ask(text, 'compress'), [415, 'coding-not-supported'])
      assert.deepEqual(await ask(gzipSync(text).subarray(0, 200), 'gzip'), [400, 'bad-request'])
      using caller = client(from, pair.port)
      assert.deepEqual((await caller.ask('/take?echo', { method: 'POST', body: text })).body, text)
    })

    test('a body larger than the limit is refused: announced before anything goes on, else as soon as it is too much', async () => {
      using caller = client(from, pair.port)
      const whole = await caller.ask('/small?echo', { method: 'POST', body: Buffer.alloc(1000), headers: { 'content-length': '1000' } })
      assert.deepEqual([whole.status, whole.body.length], [200, 1000])
      const told = await caller.ask('/small?echo', { method: 'POST', body: Buffer.alloc(1001), headers: { 'content-length': '1001' } })
      assert.deepEqual([told.status, told.headers['x-weft-error']], [413, 'request-too-large'])
      const answered = await new Promise<number>((resolve, reject) => {
        const request = caller.open('/small?echo', { method: 'POST' })
        request.on('error', reject)
        request.on('response', (head: { statusCode?: number; ':status'?: number }) => resolve(head.statusCode ?? head[':status']!))
        request.write(Buffer.alloc(600))
        setTimeout(() => request.write(Buffer.alloc(600)), 50)
      })
      assert.equal(answered, 413)
      assert.equal((await caller.ask('/small?echo', { method: 'POST', body: Buffer.alloc(10) })).status, 200)
    })

    test('who waits for a 100 before it sends too much gets the 413 in its place', async () => {
      using caller = client(from, pair.port)
      const { status, before } = await caller.ask('/small?echo', {
        method: 'POST',
        headers: { 'content-length': '1001', expect: '100-continue' },
        body: Buffer.alloc(1001),
        awaitsContinue: true,
      })
      assert.deepEqual([status, before], [413, []])
    })

    if (from === 'http1')
      test('an answer before the body was read says that the connection ends', async () => {
        for (const [length, sent, word] of [
          ['content-length: 2000', '', /\r\nconnection: close\r\n/i],
          ['transfer-encoding: chunked', `7d0\r\n${'x'.repeat(2000)}\r\n`, /\r\nconnection: close\r\n/i],
          ['content-length: 2000', 'x'.repeat(2000), /^(?![^]*connection:)/i],
        ] as const) {
          const socket = net.connect(pair.port, '127.0.0.1')
          socket.write(`POST /small HTTP/1.1\r\nhost: web\r\n${length}\r\n\r\n${sent}`)
          const [told] = (await once(socket, 'data')) as [Buffer]
          socket.destroy()
          assert.match(String(told), /^HTTP\/1.1 413 /)
          assert.match(String(told), word)
        }
      })

    test('too many headers, or too long ones, are refused', async () => {
      using caller = client(from, pair.port)
      assert.equal((await caller.ask('/few-headers')).status, 200)
      const many = Object.fromEntries(Array.from({ length: 13 }, (_, at) => [`x-${at}`, '1']))
      for (const headers of [many, { 'x-long': 'a'.repeat(2000) }]) {
        const { status, headers: told } = await caller.ask('/few-headers', { headers })
        assert.deepEqual([status, told['x-weft-error']], [431, 'header-too-large'])
      }
    })

    test('a slow line takes its time for the bytes of the answer, and of the request', { timeout: 30_000 }, async () => {
      using caller = client(from, pair.port)
      const timed = async (path: string, question: Parameters<typeof caller.ask>[1]) => {
        const began = performance.now()
        const { status, body } = await caller.ask(path, question)
        assert.equal(status, 200)
        return { ms: performance.now() - began, body }
      }
      const half = Buffer.alloc(40_000, 'x')
      for (const path of ['/slow?echo', '/slow-up?echo']) {
        const { ms, body } = await timed(path, { method: 'POST', body: half })
        assert.deepEqual(body, half)
        assert.ok(ms > 850 && ms < 5000, `${path}: ${ms} ms`)
      }
      // Slowed down as it was before it was coded: 40 kB at 100 kB a second.
      const coded = await timed('/slow-coded?echo', { method: 'POST', body: half, headers: { 'accept-encoding': 'gzip' } })
      assert.deepEqual(gunzipSync(coded.body), half)
      assert.ok(coded.ms < 3000, `${coded.ms} ms`)
    })
  })
