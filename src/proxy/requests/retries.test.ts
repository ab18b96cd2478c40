import assert from 'node:assert/strict'
import http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { forwardTo, inboundSide, materials, type OutboundSide, outboundSide, remote, type Side, table } from '../../../test/harness/pair.ts'
import type { Retry, RetryConstraint } from '../../model/retry.ts'
import type { Route } from '../../model/route.ts'
import { pauseBeforeAgain, retryAfterMs } from './retries.ts'

type App = { readonly server: http.Server; readonly seen: string[] }
type Behave = (request: http.IncomingMessage, response: http.ServerResponse, body: string) => void

const ok: Behave = (_request, response) => void response.end('well')
const status =
  (code: number, headers: http.OutgoingHttpHeaders = {}): Behave =>
  (_request, response) =>
    void response.writeHead(code, headers).end(`this is ${code}`)
const hangsUp: Behave = request => void request.socket.destroy()
const silent: Behave = () => {}

const asked = (change: Partial<Retry> = {}): Retry => ({
  attempts: 2,
  codes: [503],
  on: [],
  backoff: { baseMs: 2, maxMs: 10 },
  longestRetryAfterMs: 2000,
  ...change,
})
const generous: RetryConstraint = { percent: 100, intervalMs: 10_000, least: { count: 1000, intervalMs: 1000 } }

/** Two workloads behind proxies of their own, called through a third: the first one's behaviour is changed by each test, and it is always tried first. */
describe('a route that retries', () => {
  let first: App
  let second: App
  let behave: Behave = ok
  let also: Behave = ok
  const sides: Side[] = []
  let outside: OutboundSide & AsyncDisposable

  const startApp = async (which: () => Behave): Promise<App> => {
    const seen: string[] = []
    const server = http.createServer((request, response) => {
      let body = ''
      request.on('error', () => {})
      request.setEncoding('utf8').on('data', (text: string) => (body += text))
      const begin = () => {
        seen.push(`${request.method} ${body.length > 100 ? body.length : body}`.trim())
        which()(request, response, body)
      }
      if (request.url === '/early') begin()
      else request.on('end', begin)
    })
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    return { server, seen }
  }

  before(async () => {
    const certificates = await materials('web', 'shop')
    first = await startApp(() => behave)
    second = await startApp(() => also)
    for (const { server } of [first, second])
      sides.push(await inboundSide('web', (server.address() as AddressInfo).port, 'http', certificates.web!))
    outside = await outboundSide('shop', certificates.shop!, 'http', remote('web', [sides[0]!.port]))
  })
  after(async () => {
    for (const { server } of [first, second]) {
      server.closeAllConnections()
      server.close()
    }
    await outside[Symbol.asyncDispose]()
    for (const { core } of sides) await core[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    behave = also = ok
    first.seen.length = second.seen.length = 0
  })

  /** One endpoint, or first the one that the test is about and then, as it was tried, the other. */
  const use = (retry: Retry | undefined, rest: Partial<Route> = {}, both = true, retryConstraint = generous) => {
    const parts = remote(
      'web',
      sides.slice(0, both ? 2 : 1).map(side => side.port),
    )
    const [[name, backend] = [], ...none] = Object.entries(parts.backends)
    assert.ok(name !== undefined && backend !== undefined && none.length === 0)
    const set = parts.endpoints[name]!
    // One that is busier by its weight is chosen last.
    const endpoints = set.endpoints.map((endpoint, at) => ({ ...endpoint, weight: at === 0 ? 1_000_000 : 1 }))
    outside.swap({
      backends: { [name]: { ...backend, balance: 'least-request', retryConstraint } },
      endpoints: { [name]: { ...set, endpoints } },
      routes: { out: table('out', [{ ...forwardTo(name), ...(retry === undefined ? {} : { retry }), ...rest }]) },
    })
  }
  const ask = async (method = 'GET', body?: string, path = '/') => {
    const began = performance.now()
    const answer = await fetch(`http://127.0.0.1:${outside.port}${path}`, { method, ...(body === undefined ? {} : { body }) })
    return {
      status: answer.status,
      error: answer.headers.get('x-weft-error'),
      text: await answer.text(),
      tookMs: performance.now() - began,
    }
  }
  const counted = (): Record<string, number> => {
    const found: Record<string, number> = {}
    for (const { name, samples } of outside.core.meter.registry.families)
      if (name === 'weft_retries_total')
        for (const { labels, value } of samples.values()) found[labels.slice(2).join(' ')] = (found[labels.slice(2).join(' ')] ?? 0) + value
    return found
  }

  test('a status that it names is held back and the request asked again at another endpoint, with its body, whatever the method', async () => {
    use(asked())
    behave = status(503)
    for (const method of ['GET', 'POST', 'PUT'])
      assert.deepEqual(
        await ask(method, method === 'GET' ? undefined : 'tell it').then(({ status, text }) => [status, text]),
        [200, 'well'],
        method,
      )
    assert.deepEqual(first.seen, ['GET', 'POST tell it', 'PUT tell it'])
    assert.deepEqual(second.seen, first.seen)
    assert.equal(counted()['503 made'], 3)
  })

  test('a status that it does not name is passed on as it is, and without retry every one', async () => {
    use(asked())
    behave = status(500)
    assert.deepEqual(await ask().then(({ status, text }) => [status, text]), [500, 'this is 500'])
    use(undefined)
    behave = status(503)
    assert.deepEqual(await ask().then(({ status, text }) => [status, text]), [503, 'this is 503'])
    assert.deepEqual(second.seen, [])
  })

  test('after so many further tries the last answer is passed on', async () => {
    use(asked({ attempts: 3 }), {}, false)
    behave = status(503, { 'x-own': 'kept' })
    assert.deepEqual(await ask().then(({ status, text }) => [status, text]), [503, 'this is 503'])
    assert.equal(first.seen.length, 4)
    assert.ok(counted()['503 attempts']! >= 1)
  })

  test('a connection that breaks under a POST is not tried again, but where it was asked for it is', async () => {
    behave = hangsUp
    use(asked())
    assert.equal((await ask('POST', 'x')).status, 502)
    assert.deepEqual(second.seen, [])
    use(asked({ codes: [502] }))
    assert.deepEqual((await ask('POST', 'x')).text, 'well')
    assert.deepEqual(second.seen, ['POST x'])
  })

  test('a try that takes too long is asked again where the method may be repeated, or 504 is named', async () => {
    behave = silent
    use(asked(), { timeouts: { requestMs: 20_000, tryMs: 100 } })
    assert.equal((await ask()).text, 'well')
    assert.equal((await ask('POST', 'x')).status, 504)
    use(asked({ codes: [504], on: ['reset'] }), { timeouts: { requestMs: 20_000, tryMs: 100 } })
    assert.equal((await ask('POST', 'y')).text, 'well')
    assert.deepEqual(second.seen, ['GET', 'POST y'])
  })

  test('the time of the whole request holds for all tries together', async () => {
    behave = also = silent
    use(asked({ attempts: 100 }), { timeouts: { requestMs: 400, tryMs: 100 } })
    const { status, tookMs } = await ask()
    assert.equal(status, 504)
    assert.ok(tookMs >= 250 && tookMs < 5000, `${tookMs} ms`)
    const tries = first.seen.length + second.seen.length
    assert.ok(tries >= 2 && tries <= 4, `${tries} tries`)
  })

  test('Retry-After is kept where there is time for it, else the answer is passed on', async () => {
    use(asked(), {}, false)
    let calls = 0
    behave = (request, response, body) => (calls++ === 0 ? status(503, { 'retry-after': '1' }) : ok)(request, response, body)
    const { text, tookMs } = await ask()
    assert.equal(text, 'well')
    assert.ok(tookMs >= 990, `${tookMs} ms`)
    use(asked(), { timeouts: { requestMs: 500 } }, false)
    behave = status(503, { 'retry-after': '1' })
    assert.equal((await ask()).text, 'this is 503')
    use(asked(), {}, false)
    behave = status(503, { 'retry-after': '3600' })
    assert.equal((await ask()).text, 'this is 503')
    assert.equal(counted()['503 time'], 2)
  })

  test('a body that is too long to be remembered is sent once only', async () => {
    use(asked())
    behave = status(503)
    assert.equal((await ask('POST', 'x'.repeat(60_000))).text, 'well')
    assert.equal((await ask('POST', 'x'.repeat(70_000))).status, 503)
    assert.deepEqual(second.seen, ['POST 60000'])
    assert.ok(counted()['503 body']! >= 1)
  })

  test('a body of which half came when the answer was held back is sent as a whole to the other endpoint', async () => {
    use(asked())
    behave = status(503)
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const request = http.request({ port: outside.port, host: '127.0.0.1', method: 'POST', path: '/early' }, answer => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => (text += part))
      answer.on('end', () => resolve(text))
    })
    request.on('error', reject)
    request.write('half of ')
    // The first endpoint has answered without the rest: now that comes.
    const waited = setInterval(() => {
      if (first.seen.length === 0) return
      clearInterval(waited)
      request.end('it')
    }, 5)
    let got = ''
    also = (asking, response) => {
      asking.on('data', (part: string) => (got += part)).on('end', () => response.end('well'))
    }
    assert.equal(await promise, 'well')
    assert.equal(got, 'half of it')
  })

  test('long answers that are held back and given up do not use up the connection that they came on', async () => {
    use(asked())
    behave = (_request, response) => void response.writeHead(503).end(Buffer.alloc(200_000, 'x'))
    for (let count = 0; count < 100; count++) assert.equal((await ask()).text, 'well')
    assert.equal(first.seen.length, 100)
    behave = (_request, response) => void response.end(Buffer.alloc(2_000_000, 'y'))
    for (let count = 0; count < 5; count++) assert.equal((await ask()).text.length, 2_000_000)
    assert.equal(first.seen.length, 105)
  })

  test('where the budget is used up the answer is passed on as it is, and that is counted', async () => {
    use(asked(), {}, false, { percent: 0, intervalMs: 1000, least: { count: 1, intervalMs: 60_000 } })
    behave = status(503, { 'x-own': 'kept' })
    assert.equal((await ask()).text, 'this is 503')
    const tries = first.seen.length
    assert.equal((await ask()).text, 'this is 503')
    assert.deepEqual([tries, first.seen.length], [2, 3])
    assert.ok(counted()['503 budget']! >= 2)
  })

  test('a caller that goes away during the pause ends the tries', async () => {
    use(asked({ backoff: { baseMs: 300, maxMs: 301 } }), {}, false)
    behave = status(503)
    const session = http2.connect(`http://127.0.0.1:${outside.port}`)
    const request = session.request({ ':path': '/' })
    request.on('error', () => {})
    setTimeout(() => request.close(http2.constants.NGHTTP2_CANCEL), 100)
    await new Promise(resolve => setTimeout(resolve, 600))
    session.close()
    assert.equal(first.seen.length, 1)
  })
})

test('Retry-After is read as seconds or as a date, and anything else says nothing', () => {
  const now = Date.parse('Sat, 21 Nov 2026 08:00:00 GMT')
  const of = (value: string) => retryAfterMs({ status: 503, reason: '', minor: 1, fields: ['Retry-After', value] }, now)
  assert.deepEqual(
    ['3', '0', 'Sat, 21 Nov 2026 08:00:05 GMT', 'Sat, 21 Nov 2026 07:00:00 GMT', 'soon', '-1', '99999999999999999999'].map(of),
    [3000, 0, 5000, 0, 0, 0, 1e12],
  )
})

test('grpc-retry-pushback-ms is kept before Retry-After, and what is no number in it means never', () => {
  const of = (...fields: readonly string[]) => pauseBeforeAgain({ status: 200, reason: '', minor: 1, fields: [...fields] }, 0)
  assert.equal(of('retry-after', '3'), 3000)
  assert.equal(of('retry-after', '3', 'grpc-retry-pushback-ms', '20'), 20)
  for (const never of ['-1', 'soon', '']) assert.equal(of('grpc-retry-pushback-ms', never), Number.POSITIVE_INFINITY)
})

test('a gRPC call that is answered UNAVAILABLE without a message is asked again, one that began to answer is not', async () => {
  const certificates = await materials('calls', 'shop')
  const seen: string[] = []
  const type = { ':status': 200, 'content-type': 'application/grpc' }
  const server = http2.createServer()
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    const path = headers[':path']!
    const isFirst = !seen.includes(path)
    seen.push(path)
    if (path === '/begun') {
      stream.respond(type, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '14' }))
      return stream.end('message')
    }
    if (isFirst || path === '/always')
      return stream.respond({ ...type, 'grpc-status': path === '/other' ? '5' : '14' }, { endStream: true })
    stream.respond(type, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end('message')
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const inside = await inboundSide('calls', (server.address() as AddressInfo).port, 'grpc', certificates.calls!, undefined, 'http2')
  const parts = remote('calls', [inside.port], { protocol: 'http2' })
  const route = { ...forwardTo(Object.keys(parts.backends)[0]!), retry: asked({ on: ['unavailable'], attempts: 1 }) }
  const outside = await outboundSide('shop', certificates.shop!, 'grpc', { ...parts, routes: { out: table('out', [route]) } })
  const session = http2.connect(`http://127.0.0.1:${outside.port}`)
  const call = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' })
      let said: unknown
      stream.on('response', headers => (said = headers['grpc-status'])).on('trailers', headers => (said = headers['grpc-status']))
      stream.on('error', reject).on('end', () => resolve(`${path} ${String(said)} after ${seen.filter(each => each === path).length}`))
      stream.resume().end('question')
    })
  assert.deepEqual(
    [await call('/twice'), await call('/always'), await call('/other'), await call('/begun')],
    ['/twice 0 after 2', '/always 14 after 2', '/other 5 after 1', '/begun 14 after 1'],
  )
  session.close()
  await outside[Symbol.asyncDispose]()
  await inside.core[Symbol.asyncDispose]()
  server.close()
})

test('an endpoint that is spoken to in HTTP/1 without a proxy of its own is tried again alike, with connections that are kept', async () => {
  const certificates = await materials('shop')
  const servers = [503, 200].map(code =>
    http.createServer((request, response) => void request.resume().on('end', () => response.writeHead(code).end(`${code}`))),
  )
  for (const server of servers) await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const ports = servers.map(server => (server.address() as AddressInfo).port)
  const parts = remote('web', ports, { mtls: false, protocol: 'http1' })
  const [[name, backend] = []] = Object.entries(parts.backends)
  const route = { ...forwardTo(name!), retry: asked({ attempts: 1 }) }
  const outside = await outboundSide('shop', certificates.shop!, 'http', {
    ...parts,
    backends: { [name!]: { ...backend!, retryConstraint: generous } },
    routes: { out: table('out', [route]) },
  })
  for (const body of [undefined, 'short', 'x'.repeat(50_000)])
    for (let count = 0; count < 4; count++) {
      const answer = await fetch(`http://127.0.0.1:${outside.port}/`, body === undefined ? {} : { method: 'POST', body })
      assert.deepEqual([answer.status, await answer.text()], [200, '200'])
    }
  await outside[Symbol.asyncDispose]()
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})
