import assert from 'node:assert/strict'
import type { Authorizer } from './authorizer.ts'
import type { Backend, Endpoint } from './backend.ts'
import { describe, test } from 'node:test'
import { explain, type Known, type Question } from './explain.ts'
import type { Listener } from './listener.ts'
import type { Route } from './route.ts'
import type { View } from './view.ts'

const callerId = 'spiffe://weft.local/ns/default/sa/web'
const cartId = 'spiffe://weft.local/ns/default/sa/cart'

const endpoint = (more: Partial<Endpoint> = {}): Endpoint => ({
  host: '10.0.0.9',
  port: 41_001,
  weight: 1,
  health: 'healthy',
  mtls: true,
  workload: 'cart-1.default',
  ...more,
})
const backend = (name: string, more: Partial<Backend> = {}): Backend => ({
  name,
  service: 'cart.default',
  type: 'endpoints',
  port: 8080,
  protocol: 'http1',
  balance: 'least-request',
  connectTimeoutMs: 5000,
  identities: [cartId],
  ...more,
})
const listener = (more: Partial<Listener> = {}): Listener => ({
  name: 'outbound/default/cart:8080',
  direction: 'outbound',
  host: '240.77.0.1',
  port: 8080,
  protocol: 'http',
  service: 'cart.default',
  routes: 'default/cart:8080',
  ...more,
})
const rule = (more: Partial<Route> = {}): Route => ({
  name: 'HTTPRoute/default/r/0',
  origin: 'HTTPRoute default/r rule 0',
  match: {},
  filters: [],
  action: { type: 'forward', backends: [{ backend: 'cart', weight: 1 }] },
  ...more,
})

function seen({
  listeners = [listener()],
  routes = [rule()],
  endpoints = [endpoint()],
}: {
  listeners?: readonly Listener[]
  routes?: readonly Route[]
  endpoints?: readonly Endpoint[]
} = {}): Known {
  const view: View = {
    listeners: Object.fromEntries(listeners.map(each => [each.name, each])),
    routes: { 'default/cart:8080': { name: 'default/cart:8080', hosts: [{ name: '*', domains: ['*'], routes }] } },
    backends: { cart: backend('cart'), other: backend('other') },
    endpoints: { cart: { backend: 'cart', endpoints }, other: { backend: 'other', endpoints: [] } },
    dns: [{ name: 'cart', addresses: ['240.77.0.1'] }],
    trust: { domain: 'weft.local', roots: [] },
  }
  return { view, identity: callerId }
}
const called: Known = {
  identity: cartId,
  view: {
    listeners: {
      'inbound/80': {
        name: 'inbound/80',
        direction: 'inbound',
        host: '10.0.0.9',
        port: 41_001,
        protocol: 'http',
        tls: { mode: 'strict' },
        routes: 'inbound/80',
        service: 'cart.default',
      },
    },
    routes: {
      'inbound/80': {
        name: 'inbound/80',
        hosts: [
          { name: '*', domains: ['*'], routes: [rule({ action: { type: 'forward', backends: [{ backend: 'local/80', weight: 1 }] } })] },
        ],
      },
    },
    backends: { 'local/80': backend('local/80', { type: 'local', port: 80 }) },
    endpoints: {},
    dns: [],
    trust: { domain: 'weft.local', roots: [] },
  },
}
const ask = (path = '/', headers: Readonly<Record<string, string>> = {}, more: Partial<Question> = {}): Question => ({
  name: 'cart',
  request: { method: 'GET', host: 'cart', path, search: '', header: name => headers[name] },
  ...more,
})
const told = (caller: Known, question = ask(), of: Known | 'away' = called) => explain(question, caller, () => of)

const opa: Authorizer = {
  name: 'shop/opa',
  backend: 'opa',
  timeoutMs: 1000,
  failsOpen: false,
  ask: { type: 'grpc' },
}

describe('an explanation', () => {
  test('tells who stands in for a backend that cannot serve', () => {
    const known = seen({ endpoints: [endpoint({ health: 'unhealthy' })] })
    const { backends, endpoints } = known.view
    const view: View = {
      ...known.view,
      backends: { ...backends, cart: { ...backends['cart']!, fallback: 'other' } },
      endpoints: { ...endpoints, other: { backend: 'other', endpoints: [endpoint({ workload: 'spare-1.default' })] } },
    }
    const [share] = told({ ...known, view }).shares
    assert.deepEqual([share?.backend?.name, share?.insteadOf, share?.endpoints[0]?.workload], ['other', 'cart', 'spare-1.default'])
    const [own] = told({ ...known, view: { ...view, endpoints } }).shares
    assert.deepEqual([own?.backend?.name, own?.failure?.code], ['cart', 'no-endpoint'])
  })

  test('goes from the name to the port of the workload', () => {
    const { address, arrives, rules, shares } = told(seen())
    assert.deepEqual([address, arrives, rules?.map(each => each.outcome)], ['240.77.0.1', 'always', ['taken']])
    assert.deepEqual(shares[0]!.endpoints[0]!.way, {
      proxy: 'connected',
      mtls: { mode: 'strict', caller: callerId, identity: cartId, expected: [cartId] },
      listener: 'inbound/80',
      protocol: 'http',
      route: 'HTTPRoute default/r rule 0',
      to: '127.0.0.1:80',
    })
  })

  test('says of CONNECT what the proxies do: denied where anything is judged, and at a Gateway only by a route that names it', () => {
    const asked = ask('/', {}, { request: { ...ask().request, method: 'CONNECT', host: 'cart:80' } })
    const { view } = called
    const judging: Known = { ...called, view: { ...view, listeners: { in: { ...Object.values(view.listeners)[0]!, authorizers: [opa] } } } }
    assert.equal(told(seen(), asked).arrives, 'always')
    const { code, says } = told(seen(), asked, judging).failure!
    assert.equal(code, 'access-denied')
    assert.match(says, /names the method CONNECT/)
    assert.equal(told(seen(), ask(), judging).arrives, 'always')
    const gateway = (routes: readonly Route[]) =>
      told(seen({ listeners: [listener({ direction: 'gateway' })], routes }), { ...asked, port: 8080 })
    assert.equal(gateway([rule()]).failure?.code, 'tunnel-refused')
    assert.deepEqual(
      gateway([rule(), rule({ match: { method: 'CONNECT' } })]).rules?.map(each => [each.outcome, 'at' in each ? each.at : '']),
      [
        ['failed', 'method'],
        ['taken', ''],
      ],
    )
  })

  test('names of each rule the first condition that fails, and what the request has there', () => {
    const routes = [
      rule({ match: { path: { type: 'exact', value: '/a' } } }),
      rule({ match: { headers: [{ name: 'x-a', type: 'exact', value: '1' }] } }),
      rule({ match: { query: [{ name: 'q', type: 'exact', value: '1' }] } }),
      rule({ match: { grpc: true } }),
      rule(),
      rule(),
    ]
    const { rules } = told(seen({ routes }), ask('/b', { 'x-a': '2' }))
    assert.deepEqual(
      rules?.map(each => (each.outcome === 'failed' ? [each.at, each.has] : each.outcome)),
      [['path', '/b'], ['headers x-a', '2'], ['query q', undefined], ['grpc', undefined], 'taken', 'later'],
    )
  })

  test('leaves out endpoints as the balancer does, with the reason', () => {
    const endpoints = (['healthy', 'unhealthy', 'draining', 'degraded'] as const).map((health, at) =>
      endpoint({ health, port: 41_001 + at }),
    )
    const all = told(seen({ endpoints: [...endpoints, endpoint({ weight: 0 })] })).shares[0]!.endpoints
    assert.deepEqual(
      all.map(each => each.isUsed),
      [true, false, false, false, false],
    )
    assert.deepEqual(
      all.slice(1).map(each => each.why),
      ['it is not ready', 'it is ending', 'its proxy is away: it is used only when nothing is healthy', 'its weight is 0'],
    )
    const alone = told(seen({ endpoints: [endpoints[1]!, endpoints[3]!] }), ask(), 'away')
    assert.deepEqual([alone.arrives, alone.shares[0]!.endpoints.map(each => each.isUsed)], ['always', [false, true]])
  })

  test('of a split tells which share fails', () => {
    const backends = [
      { backend: 'cart', weight: 3 },
      { backend: undefined, weight: 1 },
      { backend: 'other', weight: 0 },
    ]
    const { arrives, shares, failure } = told(seen({ routes: [rule({ action: { type: 'forward', backends } })] }))
    assert.deepEqual([arrives, failure?.code, failure?.grpc], ['partly', 'backend-invalid', 14])
    assert.deepEqual(
      shares.map(({ part, failure: each }) => [part, each?.code]),
      [
        [0.75, undefined],
        [0.25, 'backend-invalid'],
        [0, 'no-endpoint'],
      ],
    )
  })

  test('tells what the mesh answers itself', () => {
    const redirect = rule({ action: { type: 'redirect', redirect: { scheme: 'https', status: 302 } } })
    assert.deepEqual(told(seen({ routes: [redirect] }), ask('/a')).answered, { status: 302, location: 'https://cart/a' })
    const refused = rule({ action: { type: 'respond', status: 500, reason: 'rule-invalid', detail: 'spec.rules[0]' } })
    assert.deepEqual(told(seen({ routes: [refused] })).failure?.code, 'rule-invalid')
  })

  test('tells an endpoint that proves another identity, or takes nothing in there', () => {
    const stranger = told(seen(), ask(), { ...called, identity: callerId })
    assert.deepEqual([stranger.arrives, stranger.failure?.code], ['never', 'identity-mismatch'])
    const moved = told(seen({ endpoints: [endpoint({ port: 1 })] }))
    assert.deepEqual([moved.arrives, moved.failure?.code], ['never', 'connect-refused'])
    const both = told(seen({ endpoints: [endpoint({ port: 1 }), endpoint()] }))
    assert.deepEqual([both.arrives, both.failure], ['partly', undefined])
  })

  test('knows ports: the only one, that of a number, of UDP, by server name, and of which it is to be found out', () => {
    const { routes: _routes, ...opaque } = listener({ protocol: 'tcp', backends: [{ backend: 'cart', weight: 1 }] })
    assert.equal(told(seen({ listeners: [opaque] })).arrives, 'always')
    const udp = { ...opaque, name: 'outbound/default/cart:53/udp', port: 53, protocol: 'udp' as const }
    assert.equal(told(seen({ listeners: [opaque, udp] }), ask('/', {}, { port: 53 })).listener?.protocol, 'udp')
    assert.match(told(seen({ listeners: [opaque, udp] })).failure!.says, /cart has no port 80; it has 53\/udp, 8080$/)
    const tls: Listener = { ...opaque, protocol: 'tls', serverNames: [{ names: ['a.b'], backends: [{ backend: 'cart', weight: 1 }] }] }
    const { backends: _backends, ...byName } = tls
    assert.equal(told(seen({ listeners: [byName] })).failure?.code, 'no-route')
    assert.equal(told(seen({ listeners: [byName] }), ask('/', {}, { serverName: 'a.b' })).arrives, 'always')
    const detected = told(seen({ listeners: [listener({ protocol: 'detect', backends: [{ backend: 'cart', weight: 1 }] })] }))
    assert.deepEqual([detected.arrives, detected.opaque?.[0]?.backend?.name], ['always', 'cart'])
    assert.equal(told(seen(), ask('/', {}, { name: 'nobody' })).failure?.code, 'no-listener')
  })
})
