import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { test, type TestContext } from 'node:test'
import { TestClock } from '../../base/clock.ts'
import type { Backend, Endpoint } from '../../model/backend.ts'
import type { HealthCheck, HealthQuestion } from '../../model/endpoint-health.ts'
import { emptyView } from '../../model/view.ts'
import { asking, Checks } from './checks.ts'
import type { Reach } from '../upstreams/reach.ts'
import type { Ask } from './checks/ask.ts'
import type { Verdict } from './checks/verdict.ts'
import { Pools } from '../upstreams/pool.ts'
import { Registry } from '../registry.ts'

const check: HealthCheck = {
  ask: { type: 'http', method: 'GET', path: '/healthz', headers: [], statuses: [{ first: 200, last: 299 }] },
  intervalMs: 10_000,
  timeoutMs: 1_000,
  unhealthyAfter: 3,
  healthyAfter: 2,
  jitterPercent: 0,
}
const backend = (more: Partial<Backend> = {}): Backend => ({
  name: 'default/web:80',
  service: 'web.default',
  type: 'endpoints',
  port: 80,
  protocol: 'http1',
  balance: 'round-robin',
  connectTimeoutMs: 1_000,
  identities: [],
  healthCheck: check,
  ...more,
})
const endpoint = (port: number, more: Partial<Endpoint> = {}): Endpoint => ({
  host: '127.0.0.1',
  port,
  weight: 1,
  health: 'healthy',
  mtls: false,
  workload: `w-${port}.default`,
  ...more,
})
const setOf = (...endpoints: Endpoint[]) => ({ backend: 'default/web:80', endpoints })

class World {
  readonly clock = new TestClock()
  readonly asked: number[] = []
  readonly out: string[][] = []
  readonly ill = new Set<number>()
  readonly registry = new Registry()
  verdict: Verdict | undefined
  readonly ask: Ask = (_backend, { port }) => {
    this.asked.push(port)
    return Promise.resolve(
      this.verdict ?? (this.ill.has(port) ? { is: 'failed', reason: 'status', detail: 'answered 503' } : { is: 'passed' }),
    )
  }
  readonly checks = new Checks({
    ask: this.ask,
    clock: this.clock,
    registry: this.registry,
    random: () => 0.5,
    leaveOut: (_backend, addresses) => this.out.push([...addresses]),
  })
  /** In steps, because each answer comes by a promise. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 500) {
      this.clock.advance(Math.min(left, 500))
      await setImmediate()
    }
  }
  get lastOut(): readonly string[] {
    return this.out.at(-1) ?? []
  }
}

test('nobody is asked before a request uses the backend, nor from a minute after the last on, and then all is forgotten', async () => {
  const world = new World()
  const view = { ...emptyView, backends: { 'default/web:80': backend() }, endpoints: { 'default/web:80': setOf(endpoint(1), endpoint(2)) } }
  world.checks.follow(view)
  await world.pass(60_000)
  assert.deepEqual(world.asked, [])
  world.ill.add(2)
  world.checks.used(backend(), setOf(endpoint(1), endpoint(2)))
  await world.pass(30_000)
  assert.deepEqual(world.asked.slice(0, 2), [1, 2])
  assert.deepEqual(world.lastOut, ['127.0.0.1:2'])
  await world.pass(70_000)
  const { length } = world.asked
  assert.deepEqual([world.checks.standings, world.lastOut], [[], []])
  await world.pass(120_000)
  assert.equal(world.asked.length, length)
})

test('with an interval for idle times the endpoints are asked from the first view on, and at once more often when a request comes', async () => {
  const world = new World()
  const idle = backend({ healthCheck: { ...check, idleMs: 60_000 } })
  world.checks.follow({ ...emptyView, backends: { 'default/web:80': idle }, endpoints: { 'default/web:80': setOf(endpoint(1)) } })
  await world.pass(125_000)
  assert.equal(world.asked.length, 3)
  world.checks.used(idle, setOf(endpoint(1)))
  await world.pass(30_000)
  assert.equal(world.asked.length, 6)
  world.checks.follow({ ...emptyView, backends: {}, endpoints: {} })
  await world.pass(120_000)
  assert.equal(world.asked.length, 6, 'what is not in the view is not asked any more')
})

test('an endpoint is left out after so many failures on end and comes back after so many successes', async () => {
  const world = new World()
  world.checks.used(backend(), setOf(endpoint(1), endpoint(2)))
  world.ill.add(1)
  await world.pass(11_000)
  assert.deepEqual(world.lastOut, [], 'two failures are not three')
  world.ill.clear()
  await world.pass(10_000)
  world.ill.add(1)
  world.checks.used(backend(), setOf(endpoint(1), endpoint(2)))
  await world.pass(20_000)
  assert.deepEqual(world.lastOut, [], 'a success between them begins anew')
  await world.pass(10_000)
  assert.deepEqual(world.lastOut, ['127.0.0.1:1'])
  assert.deepEqual(
    world.checks.standings.map(({ endpoint: at, state, reason }) => [at, state, reason]),
    [
      ['127.0.0.1:1', 'failing', 'status: answered 503'],
      ['127.0.0.1:2', 'serving', undefined],
    ],
  )
  const text = world.registry.text()
  assert.match(text, /weft_endpoints_failing_checks\{[^}]*w-1\.default[^}]*\} 1/)
  assert.match(text, /weft_health_checks_total\{[^}]*w-1\.default[^}]*outcome="failed",reason="status"\} 5/)
  world.ill.clear()
  await world.pass(10_000)
  assert.deepEqual(world.lastOut, ['127.0.0.1:1'], 'one success is not two')
  await world.pass(10_000)
  assert.deepEqual(world.lastOut, [])
})

test('what this proxy could not ask says nothing of the endpoint', async () => {
  const world = new World()
  world.verdict = { is: 'unknown' }
  world.checks.used(backend(), setOf(endpoint(1)))
  await world.pass(50_000)
  assert.deepEqual([world.asked.length, world.lastOut], [5, []])
})

test('endpoints that come are asked, those that go or that the inventory calls unhealthy are not, and another check begins anew', async () => {
  const world = new World()
  world.ill.add(1).add(2)
  world.checks.used(backend(), setOf(endpoint(1)))
  await world.pass(25_000)
  assert.deepEqual(world.lastOut, ['127.0.0.1:1'])
  const follow = (of: Backend, ...endpoints: Endpoint[]) =>
    world.checks.follow({ ...emptyView, backends: { [of.name]: of }, endpoints: { [of.name]: setOf(...endpoints) } })
  follow(backend(), endpoint(1), endpoint(2), endpoint(3, { health: 'unhealthy' }))
  world.checks.used(backend(), setOf())
  await world.pass(25_000)
  assert.deepEqual(world.lastOut, ['127.0.0.1:1', '127.0.0.1:2'])
  assert.ok(!world.asked.includes(3))
  follow(backend(), endpoint(2))
  assert.deepEqual(world.lastOut, ['127.0.0.1:2'])
  follow(backend({ healthCheck: { ...check, unhealthyAfter: 5 } }), endpoint(2))
  assert.deepEqual(world.lastOut, [])
})

test('a proxy asks the endpoints of one backend a hundred times in a second at most, however many there are', async () => {
  const world = new World()
  const fast = backend({ healthCheck: { ...check, intervalMs: 100, timeoutMs: 100 } })
  world.checks.used(fast, setOf(...Array.from({ length: 500 }, (_, at) => endpoint(at + 1))))
  await world.pass(20_500)
  assert.ok(world.asked.length <= 500 + 20 * 100, `${world.asked.length} questions`)
  assert.ok(world.asked.length >= 4 * 500)
})

const listening = async (t: TestContext, server: Server): Promise<number> => {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}
const reach: Reach = {
  credentials: () => undefined,
  dialLocal: () => Promise.reject(new Error('nothing local here')),
  dialLocalUdp: () => assert.fail('no datagrams here'),
  lookup: () => assert.fail('no names here'),
  refusal: () => undefined,
  agreed: () => {},
  believe: () => ({ code: 'unreadable', refused: 'nobody is believed here' }),
}
const ways = (t: TestContext): Ask => {
  const pools = new Pools(reach, new Registry())
  t.after(() => pools.close())
  return asking((of, at) => pools.of(of, at), reach)
}

test('HTTP: path, host, method and headers are as asked for, and the statuses decide; over plain TCP ports too', async t => {
  const seen: string[] = []
  const answer: RequestListener = ({ method, url, headers }, response) => {
    seen.push(`${method} ${headers.host}${url} ${headers['x-check']}`)
    response.writeHead(url === '/slow' ? 200 : 204)
    if (url === '/slow') response.write('half')
    else response.end()
  }
  const server = createServer(answer)
  const port = await listening(t, server)
  t.after(() => server.closeAllConnections())
  const ask = ways(t)
  const question: HealthQuestion = {
    type: 'http',
    method: 'HEAD',
    path: '/healthz',
    host: 'shop.example',
    headers: [{ name: 'x-check', value: 'yes' }],
    statuses: [{ first: 204, last: 204 }],
  }
  for (const protocol of ['http1', 'downstream', 'tcp'] as const)
    assert.deepEqual(await ask(backend({ protocol }), endpoint(port), question, 2_000), { is: 'passed' }, protocol)
  assert.deepEqual(new Set(seen), new Set(['HEAD shop.example/healthz yes']))
  const strict = { ...question, statuses: [{ first: 200, last: 203 }] }
  assert.deepEqual(await ask(backend(), endpoint(port), strict, 2_000), { is: 'failed', reason: 'status', detail: 'answered 204' })
  const slow = await ask(backend(), endpoint(port), { ...question, method: 'GET', path: '/slow' }, 100)
  assert.equal(slow.is === 'failed' && slow.reason, 'upstream-timeout')
  server.close()
  server.closeAllConnections()
  const refused = await ask(backend(), endpoint(port), question, 2_000)
  assert.equal(refused.is === 'failed' && refused.reason, 'connect-refused')
})

test('gRPC: the status of the named service decides, and a call that ends otherwise is a failure', async t => {
  const server = createHttp2Server((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (bytes: Buffer) => parts.push(bytes))
    request.on('end', () => {
      const name = Buffer.concat(parts).subarray(7).toString()
      response.writeHead(200, { 'content-type': 'application/grpc' })
      response.addTrailers({ 'grpc-status': name === 'unknown' ? '5' : '0' })
      const status = name === 'shop.Cart' ? 2 : 1
      if (name !== 'unknown') response.write(Buffer.of(0, 0, 0, 0, 2, 8, status))
      response.end()
    })
  })
  const sessions = new Set<{ destroy(): void }>()
  server.on('session', session => sessions.add(session))
  t.after(() => sessions.forEach(session => session.destroy()))
  const port = await listening(t, server)
  const ask = ways(t)
  const of = (service: string) => ask(backend({ protocol: 'http2' }), endpoint(port), { type: 'grpc', service }, 2_000)
  assert.deepEqual(await of(''), { is: 'passed' })
  assert.deepEqual(await of('shop.Cart'), { is: 'failed', reason: 'not-serving', detail: 'NOT_SERVING' })
  assert.deepEqual(await of('unknown'), { is: 'failed', reason: 'not-serving', detail: 'the call ended with gRPC status 5' })
})

test('HTTP/2 is asked where the workload speaks that, on the connections that requests use', async t => {
  const seen: string[] = []
  const sessions = new Set<{ destroy(): void }>()
  const server = createHttp2Server((request, response) => {
    seen.push(`${request.httpVersion} ${request.method} ${request.url} ${request.headers[':authority']}`)
    response.writeHead(request.url === '/ill' ? 503 : 200).end('ok')
  })
  server.on('session', session => sessions.add(session))
  t.after(() => sessions.forEach(session => session.destroy()))
  const port = await listening(t, server)
  const ask = ways(t)
  const question: HealthQuestion = { type: 'http', method: 'GET', path: '/healthz', headers: [], statuses: [{ first: 200, last: 299 }] }
  for (let turn = 0; turn < 5; turn++)
    assert.deepEqual(await ask(backend({ protocol: 'http2' }), endpoint(port), question, 2_000), { is: 'passed' })
  const ill = await ask(backend({ protocol: 'http2' }), endpoint(port), { ...question, path: '/ill' }, 2_000)
  assert.deepEqual(ill, { is: 'failed', reason: 'status', detail: 'answered 503' })
  assert.deepEqual(new Set(seen), new Set(['2.0 GET /healthz web.default', '2.0 GET /ill web.default']))
})

test('what two causes leave out is out until both have let it go', t => {
  const pools = new Pools(reach, new Registry())
  t.after(() => pools.close())
  const { healthCheck, ...of } = backend()
  assert.ok(healthCheck !== undefined)
  const set = setOf(endpoint(1), endpoint(2))
  const serving = () => pools.balancers.of(of, set).endpoints.map(({ port }) => port)
  const { balancers } = pools
  balancers.leaveOut(of.name, new Set(['127.0.0.1:1']), 'checks')
  balancers.leaveOut(of.name, new Set(['127.0.0.1:1']))
  assert.deepEqual(serving(), [2])
  balancers.leaveOut(of.name, new Set())
  assert.deepEqual(serving(), [2])
  balancers.leaveOut(of.name, new Set(['127.0.0.1:2']))
  assert.deepEqual(serving(), [])
  assert.equal(balancers.of(of, set).says, 'of 2 endpoints 1 failing the health check, 1 left out for their failures')
  balancers.leaveOut(of.name, new Set(), 'checks')
  balancers.leaveOut(of.name, new Set())
  assert.deepEqual(serving(), [1, 2])
})

test('TCP: a connection is enough, or what must come back comes in its order', async t => {
  const server = createTcpServer(socket => {
    socket.on('error', () => {})
    socket.on('data', bytes => socket.write(String(bytes) === 'PING\r\n' ? '+OK version=7 PONG\r\n' : '-ERR\r\n'))
  })
  const port = await listening(t, server)
  const ask = ways(t)
  const hex = (text: string) => Buffer.from(text).toString('hex')
  const of = (question: Omit<HealthQuestion & { type: 'tcp' }, 'type'>) =>
    ask(backend({ protocol: 'tcp' }), endpoint(port), { type: 'tcp', ...question }, 300)
  assert.deepEqual(await of({ expect: [] }), { is: 'passed' })
  assert.deepEqual(await of({ send: hex('PING\r\n'), expect: [hex('+OK'), hex('PONG')] }), { is: 'passed' })
  for (const [send, expect, reason] of [
    ['PING\r\n', ['PONG', '+OK'], 'unexpected-bytes'],
    ['HELLO\r\n', ['PONG'], 'unexpected-bytes'],
  ] as const) {
    const verdict = await of({ send: hex(send), expect: expect.map(hex) })
    assert.equal(verdict.is === 'failed' && verdict.reason, reason)
  }
  const silent = await of({ expect: [hex('+OK')] })
  assert.equal(silent.is === 'failed' && silent.reason, 'upstream-timeout')
})
