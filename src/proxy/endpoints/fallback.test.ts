import assert from 'node:assert/strict'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { forwardTo, inboundSide, materials, type OutboundSide, outboundSide, remote, type Side, table } from '../../../test/harness/pair.ts'
import type { Backend, Endpoint } from '../../model/backend.ts'
import type { OutlierDetection } from '../../model/endpoint-health.ts'
import type { View } from '../../model/view.ts'

const outlierDetection: OutlierDetection = {
  consecutive5xx: 2,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 0,
  splitsLocalOrigin: false,
  intervalMs: 10_000,
  baseEjectionMs: 400,
  maxEjectionMs: 400,
  maxEjectionPercent: 100,
}

/** `web` with two endpoints, and `spare` and `last` with one each, behind proxies of their own. */
describe('a Service that helps another out', () => {
  const sides = new Map<string, Side>()
  const servers: http.Server[] = []
  const behave: Record<string, (response: http.ServerResponse) => void> = {}
  let outside: OutboundSide & AsyncDisposable
  let raw: OutboundSide & AsyncDisposable
  const names = ['web-1', 'web-2', 'spare', 'last'] as const

  before(async () => {
    const certificates = await materials('web', 'spare', 'last', 'shop')
    for (const name of names) {
      const service = name.replace(/-\d$/, '')
      const server = http.createServer((_request, response) => behave[name]!(response))
      await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
      servers.push(server)
      const { port } = server.address() as AddressInfo
      sides.set(name, await inboundSide(service, port, 'http', certificates[service]!))
    }
    outside = await outboundSide('shop', certificates.shop!, 'http', {})
    raw = await outboundSide('shop', certificates.shop!, 'tcp', {})
  })
  after(async () => {
    for (const server of servers) {
      server.closeAllConnections()
      server.close()
    }
    for (const { core } of sides.values()) await core[Symbol.asyncDispose]()
    await outside[Symbol.asyncDispose]()
    await raw[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    for (const name of names) behave[name] = response => void response.end(name)
  })

  const portsOf = (...which: readonly string[]) => which.map(name => sides.get(name)!.port)
  const parts = (web: Partial<Backend>, spare: Partial<Backend> = {}, health: Endpoint['health'] = 'healthy'): Partial<View> => {
    const all = [remote('web', portsOf('web-1', 'web-2')), remote('spare', portsOf('spare')), remote('last', portsOf('last'))]
    const backends = Object.assign({}, ...all.map(each => each.backends)) as View['backends']
    const endpoints = Object.assign({}, ...all.map(each => each.endpoints)) as View['endpoints']
    const [own, first] = ['default/web:80', 'default/spare:80'] as const
    const set = endpoints[own]!
    return {
      backends: { ...backends, [own]: { ...backends[own]!, fallback: first, ...web }, [first]: { ...backends[first]!, ...spare } },
      endpoints: { ...endpoints, [own]: { ...set, endpoints: set.endpoints.map(each => ({ ...each, health })) } },
      routes: { out: table('out', [forwardTo(own)]) },
    }
  }
  const ask = async (): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${outside.port}/`)
    return answer.status === 200 ? answer.text() : `${answer.status} ${answer.headers.get('x-weft-error') ?? (await answer.text())}`
  }
  const counted = (): Record<string, number> => {
    const found: Record<string, number> = {}
    for (const { name, samples } of outside.core.meter.registry.families)
      if (name === 'weft_fallbacks_total') for (const { labels, value } of samples.values()) found[labels.join(' ')] = value
    return found
  }

  test('requests go to it while no endpoint may serve, and come back at once when one may', async () => {
    outside.swap(parts({}, {}, 'unhealthy'))
    assert.deepEqual(await Promise.all([ask(), ask()]), ['spare', 'spare'])
    assert.equal(counted()['web.default spare.default no-endpoint'], 2)
    outside.swap(parts({}))
    assert.match(await ask(), /^web-/)
    outside.swap({ ...parts({}), endpoints: { ...parts({}).endpoints, 'default/web:80': { backend: 'default/web:80', endpoints: [] } } })
    assert.equal(await ask(), 'spare')
  })

  test('a fallback may have one of its own, and where nobody can serve the failure is that of the Service itself', async () => {
    outside.swap(parts({ limits: { requests: 0 } }, { limits: { requests: 0 }, fallback: 'default/last:80' }))
    assert.equal(await ask(), 'last')
    outside.swap(parts({ limits: { requests: 0 } }, { limits: { requests: 0 } }))
    assert.equal(await ask(), '503 backend-limit')
  })

  test('requests beyond a limit go to it, and only those', async () => {
    outside.swap(parts({ limits: { requests: 1 } }))
    behave['web-1'] = behave['web-2'] = response => void setTimeout(() => response.end('web'), 300)
    const answers = await Promise.all([ask(), ask(), ask()])
    assert.deepEqual(answers.sort(), ['spare', 'spare', 'web'])
    assert.equal(counted()['web.default spare.default backend-limit'], 2)
  })

  test('once all endpoints are left out for their failures it takes over, until they come back', async () => {
    outside.swap(parts({ outlierDetection }))
    behave['web-1'] = behave['web-2'] = response => void response.writeHead(500).end()
    const answers: string[] = []
    for (let count = 0; count < 8; count++) answers.push(await ask())
    assert.deepEqual(answers.filter(each => each === 'spare').length, 4, answers.join())
    assert.equal(outside.core.leftOut[0]?.absent.length, 2)
    behave['web-1'] = behave['web-2'] = response => void response.end('web')
    for (let left = 100; (await ask()) !== 'web'; left--) {
      assert.ok(left > 0, 'not back')
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  })

  test('a fallback comes before a panic; without one, in a panic those that were left out are asked too', async () => {
    const judged: Partial<Backend> = {
      outlierDetection: { ...outlierDetection, baseEjectionMs: 60_000, maxEjectionMs: 60_000 },
      balancing: { panicPercent: 60 },
    }
    behave['web-1'] = response => void response.writeHead(500).end('bad')
    behave['web-2'] = behave['web-1']
    outside.swap(parts(judged))
    for (let count = 0; count < 4; count++) await ask()
    assert.equal(await ask(), 'spare')
    const { backends, ...rest } = parts(judged)
    const { fallback: _, ...alone } = backends!['default/web:80']!
    outside.swap({ ...rest, backends: { ...backends, 'default/web:80': alone } })
    assert.equal(outside.core.leftOut[0]?.absent.length, 2, 'they are out nevertheless')
    assert.equal(await ask(), '500 bad')
    behave['web-1'] = behave['web-2'] = response => void response.end('web')
    assert.equal(await ask(), 'web')
  })

  test('half of the endpoints left out is a panic where the threshold is above it, and none where it is below', async () => {
    const judged = (panicPercent: number): Partial<Backend> => ({
      outlierDetection: {
        ...outlierDetection,
        baseEjectionMs: 60_000,
        maxEjectionMs: 60_000,
        intervalMs: 10_000 + panicPercent,
        maxEjectionPercent: 50,
      },
      balancing: { panicPercent },
    })
    for (const [panicPercent, isAsked] of [
      [40, false],
      [60, true],
    ] as const) {
      behave['web-1'] = response => void response.writeHead(500).end('bad')
      outside.swap(parts(judged(panicPercent)))
      await ask()
      for (let count = 0; outside.core.leftOut.length === 0; count++) {
        assert.ok(count < 20, 'never left out')
        await ask()
      }
      const answers = await Promise.all(Array.from({ length: 20 }, ask))
      assert.equal(answers.includes('500 bad'), isAsked, `${panicPercent}: ${answers.join()}`)
    }
  })

  test('connections of opaque bytes go to it too, and those beyond the limit of connections', async () => {
    const servers = ['web', 'spare'].map(name =>
      net.createServer(socket => void socket.on('error', () => {}).write(name)).listen(0, '127.0.0.1'),
    )
    await Promise.all(servers.map(server => new Promise(done => server.once('listening', done))))
    const at = (name: string, server: net.Server): Partial<View> =>
      remote(name, [(server.address() as AddressInfo).port], { protocol: 'tcp', mtls: false, identities: [] })
    const [web, spare] = [at('web', servers[0]!), at('spare', servers[1]!)]
    const own = { ...web.backends!['default/web:80']!, fallback: 'default/spare:80', limits: { connections: 1 } }
    raw.swap({
      backends: { 'default/web:80': own, ...spare.backends },
      endpoints: { ...web.endpoints, ...spare.endpoints },
      listeners: {
        out: {
          name: 'out',
          direction: 'outbound',
          host: '240.0.0.1',
          port: 80,
          protocol: 'tcp',
          service: 'web.default',
          backends: [{ backend: own.name, weight: 1 }],
        },
      },
    })
    const sockets: net.Socket[] = []
    const greeting = () =>
      new Promise<string>(resolve => {
        const socket = net.connect(raw.port, '127.0.0.1')
        sockets.push(socket)
        socket
          .on('error', () => {})
          .once('data', bytes => resolve(String(bytes)))
          .once('close', () => resolve('closed'))
      })
    assert.deepEqual([await greeting(), await greeting()], ['web', 'spare'])
    for (const socket of sockets) socket.destroy()
    for (const server of servers) server.close()
  })
})
