import assert from 'node:assert/strict'
import http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { forwardTo, inboundSide, materials, type OutboundSide, outboundSide, remote, type Side, table } from '../../../test/harness/pair.ts'
import type { Backend } from '../../model/backend.ts'
import type { Hedge } from '../../model/retry.ts'
import type { Route } from '../../model/route.ts'

type Answering = (stream: http2.ServerHttp2Stream, body: string) => void
type App = { readonly server: http2.Http2Server; readonly seen: string[]; readonly reset: string[]; answering: Answering }

const says =
  (text: string, afterMs = 0, status = 200): Answering =>
  stream =>
    void setTimeout(() => {
      if (stream.destroyed) return
      stream.respond({ ':status': status, 'content-type': 'text/plain' })
      stream.end(text)
    }, afterMs)
const silent: Answering = () => {}
const grpc =
  (status: number, afterMs = 0): Answering =>
  stream =>
    void setTimeout(() => {
      if (stream.destroyed) return
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': String(status) }))
      stream.end(Buffer.from([0, 0, 0, 0, 1, 120]))
    }, afterMs)

/** Two workloads behind proxies of their own, in turn: the one that is asked first is told by what was seen. */
describe('a second try beside the first', () => {
  const apps: App[] = []
  const sides: Side[] = []
  let outside: OutboundSide & AsyncDisposable
  const connections = new Set<http2.ServerHttp2Session>()

  before(async () => {
    const certificates = await materials('web', 'shop')
    for (const _ of [1, 2]) {
      const app: App = { server: http2.createServer(), seen: [], reset: [], answering: silent }
      app.server.on('session', session => connections.add(session))
      app.server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
        let body = ''
        stream.setEncoding('utf8').on('data', (text: string) => (body += text))
        stream.on('error', () => {})
        stream.on('close', () => stream.rstCode !== 0 && app.reset.push(String(headers[':method'])))
        stream.on('end', () => {
          app.seen.push(`${headers[':method']} ${body}`.trim())
          app.answering(stream, body)
        })
      })
      await new Promise<void>(done => app.server.listen(0, '127.0.0.1', done))
      apps.push(app)
      sides.push(await inboundSide('web', (app.server.address() as AddressInfo).port, 'http', certificates.web!, undefined, 'http2'))
    }
    outside = await outboundSide('shop', certificates.shop!, 'http', {})
  })
  after(async () => {
    for (const session of connections) session.destroy()
    for (const { server } of apps) server.close()
    await outside[Symbol.asyncDispose]()
    for (const { core } of sides) await core[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    for (const app of apps) app.seen.length = app.reset.length = 0
  })

  /** The first of the two is always tried first. */
  const use = (hedge: Hedge | undefined, route: Partial<Route> = {}, backend: Partial<Backend> = {}) => {
    const parts = remote(
      'web',
      sides.map(side => side.port),
      { protocol: 'downstream' },
    )
    const [[name, own] = [], ..._] = Object.entries(parts.backends)
    const set = parts.endpoints[name!]!
    const endpoints = set.endpoints.map((endpoint, at) => ({ ...endpoint, weight: at === 0 ? 1_000_000 : 1 }))
    outside.swap({
      backends: { [name!]: { ...own!, balance: 'least-request', ...backend } },
      endpoints: { [name!]: { ...set, endpoints } },
      routes: { out: table('out', [{ ...forwardTo(name!), ...(hedge === undefined ? {} : { hedge }), ...route }]) },
    })
  }
  const first: Hedge = { afterMs: 40, attempts: 1 }
  const ask = async (method = 'GET', body?: string) => {
    const answer = await fetch(`http://127.0.0.1:${outside.port}/`, { method, ...(body === undefined ? {} : { body }) })
    return { status: answer.status, text: await answer.text(), error: answer.headers.get('x-weft-error') }
  }
  const call = (type: string, body: Buffer) =>
    new Promise<{ status: number; grpc: string | undefined; text: string }>((resolve, reject) => {
      const session = http2.connect(`http://127.0.0.1:${outside.port}`)
      const stream = session.request({ ':method': 'POST', ':path': '/a.B/C', 'content-type': type })
      let [text, status, grpcStatus] = ['', 0, undefined as string | undefined]
      stream.on('response', headers => {
        status = Number(headers[':status'])
        grpcStatus = headers['grpc-status'] as string | undefined
      })
      stream.on('trailers', headers => (grpcStatus = headers['grpc-status'] as string | undefined))
      stream.setEncoding('latin1').on('data', (part: string) => (text += part))
      stream.on('error', reject).on('close', () => {
        session.close()
        resolve({ status, grpc: grpcStatus, text })
      })
      stream.end(body)
    })
  const counted = (): Record<string, number> => {
    const found: Record<string, number> = {}
    for (const { name, samples } of outside.core.meter.registry.families)
      if (name === 'weft_hedges_total') for (const { labels, value } of samples.values()) found[labels[2]!] = value
    return found
  }
  const grown = async (work: () => Promise<unknown>): Promise<Record<string, number>> => {
    const before = counted()
    await work()
    return Object.fromEntries(
      Object.entries(counted()).flatMap(([name, value]) => (value === (before[name] ?? 0) ? [] : [[name, value - (before[name] ?? 0)]])),
    )
  }
  const until = async (what: string, holds: () => boolean) => {
    for (let left = 300; !holds(); left--) {
      assert.ok(left > 0, what)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }
  const [one, two] = [0, 1] as const
  const behave = (slow: Answering, quick: Answering) => {
    apps[one]!.answering = slow
    apps[two]!.answering = quick
  }

  test('the answer of the second endpoint is passed on when the first stays silent, and the first try is reset', async () => {
    use(first)
    behave(silent, says('two'))
    const told = await grown(async () => assert.deepEqual(await ask(), { status: 200, text: 'two', error: null }))
    assert.deepEqual(told, { won: 1 })
    await until('the first was not reset', () => apps[one]!.reset.length === 1)
    assert.deepEqual(
      apps.map(({ seen }) => seen),
      [['GET'], ['GET']],
    )
  })

  test('a first endpoint that answers in time is asked alone', async () => {
    use({ afterMs: 2000, attempts: 1 })
    behave(says('one'), says('two'))
    const told = await grown(async () => assert.equal((await ask()).text, 'one'))
    assert.deepEqual(told, {})
    assert.deepEqual(apps[two]!.seen, [])
  })

  test('the body of what may be repeated is sent to both; a POST is not sent twice, unless the route says that it may be', async () => {
    use(first)
    behave(silent, says('two'))
    assert.equal((await ask('PUT', 'a thing')).text, 'two')
    assert.deepEqual(
      apps.map(({ seen }) => seen),
      [['PUT a thing'], ['PUT a thing']],
    )
    behave(says('one', 200), says('two'))
    assert.equal((await ask('POST', 'a thing')).text, 'one')
    use({ ...first, allMethods: true })
    behave(silent, says('two'))
    assert.equal((await ask('POST', 'a thing')).text, 'two')
    const large = 'x'.repeat(100_000)
    behave(says('one', 200), says('two'))
    const told = await grown(async () => assert.equal((await ask('PUT', large)).text, 'one'))
    assert.deepEqual(told, { body: 1 })
  })

  test('a failure is not passed on while the other may still answer well; the last one is', async () => {
    use(first)
    behave(says('one', 150), says('it broke', 0, 500))
    let told = await grown(async () => assert.deepEqual(await ask(), { status: 200, text: 'one', error: null }))
    assert.deepEqual(told, { lost: 1 })
    behave(says('one broke', 120, 503), says('two broke', 0, 500))
    told = await grown(async () => assert.deepEqual(await ask(), { status: 503, text: 'one broke', error: null }))
    assert.deepEqual(told, { failed: 1 })
    use(first, { timeouts: { tryMs: 150 } })
    behave(silent, silent)
    assert.equal((await ask()).error, 'upstream-timeout')
  })

  test('gRPC calls are sent beside each other too where the route says so, and a call that fails at once does not win', async () => {
    use({ ...first, allMethods: true })
    const body = Buffer.from([0, 0, 0, 0, 1, 97])
    behave(silent, grpc(0))
    const answer = await call('application/grpc', body)
    assert.deepEqual([answer.status, answer.grpc, answer.text.at(-1)], [200, '0', 'x'])
    const unavailable: Answering = stream =>
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '14' }, { endStream: true })
    behave(grpc(0, 150), unavailable)
    assert.equal((await call('application/grpc', body)).grpc, '0')
    const { families } = outside.core.meter.registry
    const requests = [...families.find(({ name }) => name === 'weft_requests_total')!.samples.values()].filter(({ labels }) =>
      labels.includes('grpc'),
    )
    assert.equal(
      requests.reduce((sum, { value }) => sum + value, 0),
      2,
      'each call counts once',
    )
  })

  test('further tries count against the budget, and there are no more than it allows', async () => {
    use(first, {}, { retryConstraint: { percent: 0, intervalMs: 10_000, least: { count: 1, intervalMs: 60_000 } } })
    behave(says('one', 150), says('two'))
    const told = await grown(async () => {
      assert.equal((await ask()).text, 'two')
      assert.equal((await ask()).text, 'one')
    })
    assert.deepEqual(told, { won: 1, budget: 1 })
    use(
      first,
      {},
      { retryConstraint: { percent: 100, intervalMs: 10_000, least: { count: 100, intervalMs: 1000 } }, limits: { retries: 1 } },
    )
    behave(says('one', 300), says('two', 200))
    const limited = await grown(async () => Promise.all([ask(), ask(), ask()]))
    assert.equal(limited['limit'], 2, JSON.stringify(limited))
  })

  test('a caller that goes away takes both tries with it', async () => {
    use(first)
    behave(silent, silent)
    const request = http.get(`http://127.0.0.1:${outside.port}/`).on('error', () => {})
    await until('not both were asked', () => apps.every(({ seen }) => seen.length === 1))
    request.destroy()
    await until('not both were reset', () => apps.every(({ reset }) => reset.length === 1))
  })

  test('one after longer than a timer takes is none', async () => {
    use({ afterMs: 2 ** 31, attempts: 1 })
    behave(says('one', 100), says('two'))
    assert.deepEqual(await ask(), { status: 200, text: 'one', error: null })
    assert.deepEqual(apps[two]!.seen, [])
  })

  test('the slow tenth of the answers is nearly gone, and the load grows by no more than that', async () => {
    use({ afterMs: 60, attempts: 1 }, {}, { retryConstraint: { percent: 50, intervalMs: 10_000, least: { count: 100, intervalMs: 1000 } } })
    let count = 0
    const often: Answering = (stream, body) => says('one', ++count % 10 === 0 ? 700 : 1)(stream, body)
    behave(often, says('two', 1))
    const took: number[] = []
    for (let round = 0; round < 10; round++)
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          const began = performance.now()
          assert.equal((await ask()).status, 200)
          took.push(performance.now() - began)
        }),
      )
    const slow = took.filter(ms => ms > 600).length
    assert.ok(slow <= 2, `${slow} of 100 were slow`)
    assert.ok(apps[two]!.seen.length <= 30, `${apps[two]!.seen.length} further tries`)
  })
})
