import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type http2 from 'node:http2'
import { after, before, describe, test } from 'node:test'
import {
  type Ask,
  type Client,
  client,
  combinations,
  counted,
  type Handler,
  type Pair,
  pairTo,
  until,
  type Workload,
  workload,
} from '../../test/harness/versions.ts'

const sum = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex')

async function whole(ask: Ask): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of ask) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** What the workload saw of requests that were broken off, by path. */
const brokenOff: string[] = []

const handler: Handler = (ask, reply) => {
  const url = new URL(ask.url!, 'http://web')
  ask.on('error', () => {})
  reply.on('error', () => {})
  switch (url.pathname) {
    case '/echo':
      ask.pipe(reply)
      return
    case '/sum':
      return void whole(ask).then(body => reply.end(sum(body)))
    case '/trailers':
      return void whole(ask).then(() => {
        reply.writeHead(200, { trailer: 'x-sum' })
        reply.write('body')
        reply.addTrailers({ 'x-sum': String(ask.trailers['x-in']) })
        reply.end()
      })
    case '/204':
    case '/304':
      reply.writeHead(Number(url.pathname.slice(1)), { etag: '"a"' })
      return void reply.end()
    case '/head':
      reply.writeHead(200, { 'content-length': 1234 })
      return void reply.end()
    case '/hints':
      reply.writeEarlyHints({ link: '</style.css>; rel=preload' })
      return void reply.end('after hints')
    case '/continue':
      reply.writeContinue()
      return void whole(ask).then(body => reply.end(`got ${body.length}`))
    case '/refuse':
      reply.writeHead(413, { 'content-type': 'text/plain' })
      return void reply.end('too large')
    case '/half':
      reply.writeHead(200, {})
      reply.write('half')
      reply.on('close', () => brokenOff.push(ask.url!))
      return
    case '/never':
      reply.on('close', () => brokenOff.push(ask.url!))
      return
    case '/reset':
      const { stream } = reply
      if (stream !== undefined) {
        if (url.searchParams.has('late')) {
          reply.writeHead(200)
          reply.write('some')
        }
        setTimeout(() => stream.close(Number(url.searchParams.get('code'))), 20)
      } else ask.socket.destroy()
      return
    default:
      reply.end('ok')
  }
}

for (const [from, to] of combinations) {
  describe(`a caller of ${from} and a workload of ${to}`, { timeout: 30_000 }, () => {
    let app: Workload
    let pair: Pair
    let caller: Client

    before(async () => {
      app = await workload(to, handler)
      pair = await pairTo(app.port, to)
      caller = client(from, pair.port)
    })
    after(async () => {
      caller[Symbol.dispose]()
      await pair[Symbol.asyncDispose]()
      await app[Symbol.asyncDispose]()
    })

    test('bodies of many sizes come through whole, with a length and without', async () => {
      for (const size of [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 1_000_000, 20_000_000]) {
        const body = randomBytes(size)
        const told = await caller.ask('/echo', { method: 'POST', body, headers: { 'content-length': size } })
        assert.deepEqual([told.status, told.body.length, sum(told.body)], [200, size, sum(body)])
        const untold = await caller.ask('/sum', { method: 'POST', body })
        assert.equal(String(untold.body), sum(body))
      }
    })

    test('trailers come through both ways', async () => {
      const answer = await caller.ask('/trailers', {
        method: 'POST',
        body: Buffer.from('x'),
        trailers: { 'x-in': '42' },
        headers: from === 'http1' ? { trailer: 'x-in', te: 'trailers' } : { te: 'trailers' },
      })
      assert.deepEqual([String(answer.body), answer.trailers['x-sum']], ['body', '42'])
    })

    test('HEAD, 204 and 304 have no body, and HEAD keeps the length that was told', async () => {
      const head = await caller.ask('/head', { method: 'HEAD' })
      assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, '1234', 0])
      for (const status of [204, 304]) {
        const answer = await caller.ask(`/${status}`)
        assert.deepEqual([answer.status, answer.headers['etag'], answer.body.length], [status, '"a"', 0])
      }
      assert.equal(String((await caller.ask('/plain')).body), 'ok')
    })

    test('100 and 103 come before the answer', async () => {
      const went = await caller.ask('/continue', {
        method: 'POST',
        body: Buffer.alloc(1000),
        headers: { expect: '100-continue', 'content-length': 1000 },
        awaitsContinue: true,
      })
      assert.equal(String(went.body), 'got 1000')
      const hinted = await caller.ask('/hints')
      assert.equal(String(hinted.body), 'after hints')
      assert.deepEqual(
        hinted.before.map(({ status, headers }) => [status, headers['link']]),
        [[103, '</style.css>; rel=preload']],
      )
    })

    test('an answer that comes before the whole body is passed on at once, and the next request is served', async () => {
      const request = caller.open('/refuse', { method: 'POST' })
      request.on('error', () => {})
      request.write(Buffer.alloc(10_000))
      const head = await new Promise<{ statusCode?: number; ':status'?: number }>(resolve => request.once('response', resolve))
      assert.equal(head.statusCode ?? head[':status'], 413)
      request.destroy()
      assert.equal(String((await caller.ask('/plain')).body), 'ok')
    })

    test('a caller that goes away breaks its request off at the workload too', async () => {
      for (const path of ['/never?1', '/half?1']) {
        brokenOff.length = 0
        const request = caller.open(path)
        request.on('error', () => {}).on('response', () => {})
        request.end()
        await until(() => counted(pair.inside, 'weft_upstream_streams') + counted(pair.inside, 'weft_upstream_connections') > 0, 'begun')
        await new Promise(done => setTimeout(done, 50))
        request.destroy()
        await until(() => brokenOff.includes(path), `the end of ${path}`)
      }
    })

    test('nothing is left behind', async () => {
      await until(() => counted(pair.inside, 'weft_upstream_streams') === 0, 'no stream to the workload')
      await until(() => counted(pair.outside, 'weft_upstream_streams') === 0, 'no stream to the other proxy')
    })

    if (from === 'http2' && to === 'http2')
      test('the code of a reset is passed on both ways', async () => {
        for (const code of [8, 7, 11, 2]) {
          const stream = caller.open(`/reset?late&code=${code}`) as http2.ClientHttp2Stream
          stream.on('error', () => {}).resume()
          await new Promise(done => stream.once('close', done))
          assert.equal(stream.rstCode, code)
        }
        const seen: number[] = []
        const onStream = (stream: http2.ServerHttp2Stream) => stream.once('close', () => seen.push(stream.rstCode))
        app.server.on('stream', onStream)
        for (const code of [8, 11]) {
          const stream = caller.open('/half') as http2.ClientHttp2Stream
          stream.on('error', () => {})
          await new Promise(done => stream.once('data', done))
          stream.close(code)
          await until(() => seen.includes(code), `code ${code} at the workload`)
        }
        app.server.off('stream', onStream)
      })

    test('an endpoint that breaks off before its answer is named in the answer', async () => {
      if (from === 'http1' && to === 'http1') return
      const answer = await caller.ask('/reset?code=2', { method: 'POST', body: Buffer.from('a') })
      assert.deepEqual([answer.status, answer.headers['x-weft-error']], [502, 'upstream-reset'])
    })
  })
}

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0

/** Runs a program to its end; its output. */
const run = (program: string, args: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args)
    let text = ''
    child.stdout.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')))
    child.on('error', reject).on('close', () => resolve(text))
  })

for (const to of ['http1', 'http2'] as const)
  describe(`clients that others wrote, over cleartext HTTP/2, and a workload of ${to}`, { timeout: 30_000 }, () => {
    test('curl posts and reads bodies of many sizes, and gets the answer that comes early', {
      skip: has('curl') ? false : 'curl is not installed',
    }, async () => {
      await using app = await workload(to, handler)
      await using pair = await pairTo(app.port, to)
      const at = `http://127.0.0.1:${pair.port}`
      const folder = mkdtempSync(join(tmpdir(), 'weft-'))
      try {
        for (const size of [0, 1, 65_536, 3_000_000]) {
          writeFileSync(join(folder, 'body'), randomBytes(size))
          const args = ['-sS', '--http2-prior-knowledge', '--data-binary', `@${join(folder, 'body')}`]
          const told = await run('curl', [...args, '-w', ' %{http_version} %{http_code}', `${at}/sum`])
          assert.equal(told, `${sum(readFileSync(join(folder, 'body')))} 2 200`)
          // With a body under way curl 7 loses such an answer now and then, with Node's own server as well.
          if (size === 0) assert.equal(await run('curl', [...args, '-w', ' %{http_code}', `${at}/refuse`]), 'too large 413')
        }
        const upgraded = await run('curl', ['-sS', '--http2', '-w', ' %{http_version} %{http_code}', `${at}/plain`])
        assert.equal(upgraded, 'ok 1.1 200')
      } finally {
        rmSync(folder, { recursive: true })
      }
    })

    test('nghttp fetches several at once and sees trailers', { skip: has('nghttp') ? false : 'nghttp is not installed' }, async () => {
      await using app = await workload(to, handler)
      await using pair = await pairTo(app.port, to)
      const at = `http://127.0.0.1:${pair.port}`
      const told = await run('nghttp', ['-nv', `${at}/trailers`, `${at}/plain`, `${at}/204`])
      assert.match(told, /x-sum: undefined/)
      assert.equal(told.match(/:status: 20[04]/g)?.length, 3)
    })

    test('h2load ends all of its streams over many connections', { skip: has('h2load') ? false : 'h2load is not installed' }, async () => {
      await using app = await workload(to, handler)
      await using pair = await pairTo(app.port, to)
      const told = await run('h2load', ['-n', '2000', '-c', '10', '-m', '50', `http://127.0.0.1:${pair.port}/plain`])
      assert.match(told, /2000 succeeded, 0 failed, 0 errored, 0 timeout/)
    })
  })
