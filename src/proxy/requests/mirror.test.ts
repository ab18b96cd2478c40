import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import type http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { forwardTo, inboundSide, materials, type OutboundSide, outboundSide, remote, type Side, table } from '../../../test/harness/pair.ts'
import { client, combinations, counted, until, type Workload, workload } from '../../../test/harness/versions.ts'

/** Copies and their originals, and a mirror that takes no bodies, with mutual TLS on the way. */
describe('copies of requests', { timeout: 60_000 }, () => {
  const copies: { method: string; path: string; bytes: number; trailer: string }[] = []
  const apps: Workload[] = []
  const insides: Side[] = []
  let outside: OutboundSide & AsyncDisposable
  let stubborn: http.Server

  before(async () => {
    const certificates = await materials('web', 'shadow', 'shop', 'deaf')
    const echo = await workload('http1', (ask, reply) =>
      ask.url === '/early' ? reply.writeHead(413, { connection: 'close' }).end() : ask.pipe(reply),
    )
    const recorder = await workload('http1', (ask, reply) => {
      let bytes = 0
      ask.on('data', (part: Buffer) => (bytes += part.length))
      ask.on('end', () => {
        copies.push({ method: ask.method!, path: ask.url!, bytes, trailer: String(ask.trailers['x-sum'] ?? '') })
        reply.end('dropped')
      })
    })
    apps.push(echo, recorder)
    // It never reads a body.
    stubborn = http.createServer(ask => ask.pause())
    await new Promise<void>(done => stubborn.listen(0, '127.0.0.1', done))
    const web = await inboundSide('web', echo.port, 'http', certificates['web']!, undefined, 'http1')
    const shadow = await inboundSide('shadow', recorder.port, 'http', certificates['shadow']!, undefined, 'http1')
    const deaf = await inboundSide('deaf', (stubborn.address() as AddressInfo).port, 'http', certificates['deaf']!, undefined, 'http1')
    insides.push(web, shadow, deaf)
    const parts = [remote('web', [web.port]), remote('shadow', [shadow.port]), remote('deaf', [deaf.port])]
    outside = await outboundSide('shop', certificates['shop']!, 'http', {
      backends: Object.assign({}, ...parts.map(({ backends }) => backends)),
      endpoints: Object.assign({}, ...parts.map(({ endpoints }) => endpoints)),
    })
  })
  after(async () => {
    stubborn.closeAllConnections()
    stubborn.close()
    await outside[Symbol.asyncDispose]()
    for (const { core } of insides) await core[Symbol.asyncDispose]()
    for (const app of apps) await app[Symbol.asyncDispose]()
  })

  const mirrored = (...backends: readonly string[]) =>
    outside.swap({
      routes: {
        out: table('out', [{ ...forwardTo('default/web:80'), mirrors: backends.map(backend => ({ backend, share: 1_000_000 })) }]),
      },
    })

  for (const version of new Set(combinations.map(([from]) => from)))
    test(`bodies, trailers and requests without a body are copied whole, from ${version}`, async () => {
      mirrored('default/shadow:80', 'default/shadow:80')
      copies.length = 0
      using caller = client(version, outside.port)
      const body = Buffer.alloc(200_000, 'b')
      assert.equal(
        (
          await caller.ask('/body', {
            method: 'POST',
            body,
            trailers: { 'x-sum': '7' },
            headers: version === 'http1' ? { 'transfer-encoding': 'chunked', trailer: 'x-sum' } : {},
          })
        ).body.length,
        200_000,
      )
      assert.equal((await caller.ask('/none')).status, 200)
      await until(() => copies.length === 4, 'four copies')
      const sorted = copies.toSorted((one, other) => (one.path < other.path ? -1 : 1))
      assert.deepEqual(sorted[0], { method: 'POST', path: '/body', bytes: 200_000, trailer: '7' })
      assert.deepEqual(sorted[2], { method: 'GET', path: '/none', bytes: 0, trailer: '' })
    })

  test('a mirror that takes no body is given up, and the original comes through whole', async () => {
    mirrored('default/deaf:80')
    using caller = client('http1', outside.port)
    const before = counted(outside, 'weft_mirrored_requests_total', /reason="overload"/)
    assert.equal((await caller.ask('/big', { method: 'POST', body: Buffer.alloc(20_000_000, 'b') })).body.length, 20_000_000)
    await until(() => counted(outside, 'weft_mirrored_requests_total', /reason="overload"/) === before + 1, 'a copy that was given up')
  })

  test('a caller that goes away in its body takes the copy with it', async () => {
    mirrored('default/shadow:80')
    using caller = client('http1', outside.port)
    const before = counted(outside, 'weft_mirrored_requests_total', /reason="caller-gone"/)
    const request = caller.open('/half', { method: 'POST', headers: { 'content-length': 1000 } }) as http.ClientRequest
    request.on('error', () => {}).write('half of it')
    await new Promise(done => setTimeout(done, 100))
    request.destroy()
    await until(() => counted(outside, 'weft_mirrored_requests_total', /reason="caller-gone"/) === before + 1, 'a copy that ended')
  })

  test('an answer that comes before the end of the body ends the copy, which would wait for the rest', async () => {
    mirrored('default/shadow:80')
    using caller = client('http2', outside.port)
    const before = counted(outside, 'weft_mirrored_requests_total', /reason="caller-gone"/)
    const request = caller.open('/early', { method: 'POST', headers: { 'content-length': 1000 } }) as http2.ClientHttp2Stream
    const answered = once(request, 'response')
    request.on('error', () => {}).write('half of it')
    assert.equal(((await answered)[0] as Record<string, number>)[':status'], 413)
    await until(() => counted(outside, 'weft_mirrored_requests_total', /reason="caller-gone"/) === before + 1, 'a copy that ended')
  })

  test('a mirror that does not exist is counted, and harms nobody', async () => {
    mirrored('default/nowhere:80')
    using caller = client('http2', outside.port)
    assert.equal((await caller.ask('/here')).status, 200)
    assert.equal(counted(outside, 'weft_mirrored_requests_total', /reason="backend-invalid"/), 1)
  })
})
