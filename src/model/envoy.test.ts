import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Backend } from './backend.ts'
import { forEnvoy, type Lack, lacks, tellLack } from './envoy.ts'
import type { Listener } from './listener.ts'
import type { Route } from './route.ts'
import { emptyView, type View } from './view.ts'

const route = (name: string, more: Partial<Route> = {}): Route => ({
  name: `HTTPRoute/shop/${name}/0`,
  origin: `HTTPRoute shop/${name} rule 0`,
  match: { path: { type: 'prefix', value: `/${name}` } },
  filters: [],
  action: { type: 'forward', backends: [{ backend: 'shop/app:80', weight: 1 }] },
  ...more,
})
const listener = (name: string, more: Partial<Listener> = {}): Listener => ({
  name,
  direction: 'inbound',
  host: '127.0.0.1',
  port: 1,
  protocol: 'http',
  service: 'app.shop',
  ...more,
})
const viewOf = (listeners: readonly Listener[], routes: readonly Route[] = [], more: Partial<View> = {}): View => ({
  ...emptyView,
  listeners: Object.fromEntries(listeners.map(each => [each.name, each])),
  routes: { table: { name: 'table', hosts: [{ name: '*', domains: ['*'], routes }] } },
  ...more,
})
const said = (lacking: readonly Lack[]) => lacking.map(({ what, kind, name }) => `${what}: ${kind} ${name}`)
const first = (view: View): Route => view.routes['table']!.hosts[0]!.routes[0]!
const rate = { requests: 1, intervalMs: 1000, burst: 1 }
const grpc = { type: 'grpc' } as const
const authorizer = { name: 'shop/opa', backend: 'shop/opa:80', timeoutMs: 1, failsOpen: true, ask: grpc }

test('what Envoy carries out is the same view, object by object', () => {
  const view = viewOf(
    [listener('inbound/80', { authorizers: [{ ...authorizer, body: { maxBytes: 10, isCut: true } }] })],
    [
      route('plain', { authorize: ['shop/opa'], tokens: 'shop/tokens', rateLimit: { name: 'shop/a', ...rate } }),
      route('other', { rateLimit: { name: 'shop/b', ...rate }, sizes: { bodyBytes: 16_384 } }),
      route('fault', { fault: { policy: 'shop/f', delay: { ms: 5, share: 1 }, abort: { type: 'http', status: 503, share: 1 } } }),
    ],
  )
  const made = forEnvoy(view)
  assert.equal(made.view, view)
  assert.deepEqual(made.lacking, [])
})

const closing: Readonly<Record<string, { readonly of: Partial<Route>; readonly by: string; readonly listener?: Partial<Listener> }>> = {
  'a login': { of: { login: 'shop/people' }, by: 'login: LoginPolicy shop/people' },
  'a whole body for a service that is asked, also where that fails open': {
    of: { authorize: ['shop/opa'] },
    by: 'wholeBodies: ExternalAuthorizationPolicy shop/opa',
    listener: { authorizers: [{ ...authorizer, body: { maxBytes: 10, isCut: false } }] },
  },
  'a rate limit for each caller': {
    of: { rateLimit: { name: 'shop/each', ...rate, by: [{ type: 'identity' }] } },
    by: 'limitByCaller: RateLimitPolicy shop/each',
  },
  'a quota by a value of the query': {
    of: { quota: { name: 'shop/all', failsOpen: false, descriptors: [[{ key: 'q', type: 'query', name: 'q' }]] } },
    by: 'countByQuery: RateLimitPolicy shop/all',
  },
  'a limit of bodies that a frame of HTTP/2 is above': { of: { sizes: { bodyBytes: 16_383 } }, by: 'sizes: HTTPRoute shop/asked' },
  'a number of header fields': { of: { sizes: { headerCount: 5 } }, by: 'sizes: HTTPRoute shop/asked' },
}
for (const [name, { of, by, listener: more = {} }] of Object.entries(closing))
  test(`${name} closes its route and no other, and the document is named`, () => {
    const open = route('open')
    const { view, lacking } = forEnvoy(viewOf([listener('inbound/80', more)], [route('asked', { ...of, tokens: 'shop/tokens' }), open]))
    const { action, match, ...rest } = first(view)
    assert.equal(action.type === 'respond' && action.status, 503)
    assert.deepEqual(match, { path: { type: 'prefix', value: '/asked' } })
    assert.deepEqual(Object.keys(rest), ['name', 'origin', 'filters'])
    assert.equal(view.routes['table']!.hosts[0]!.routes[1], open)
    assert.equal(view.listeners['inbound/80']!.authorizers, undefined)
    assert.deepEqual(said(lacking), [by])
    assert.equal(lacks[lacking[0]!.what].fate, 'closed')
    assert.match(tellLack(lacking[0]!), /HTTPRoute shop\/asked rule 0/)
  })

test('one limit of two routes closes both', () => {
  const limited = ['a', 'b'].map(name => route(name, { rateLimit: { name: 'shop/both', ...rate } }))
  const { view, lacking } = forEnvoy(viewOf([listener('inbound/80')], [...limited, route('c')]))
  assert.deepEqual(
    view.routes['table']!.hosts[0]!.routes.map(({ action }) => action.type),
    ['respond', 'respond', 'forward'],
  )
  assert.deepEqual(said(lacking), Array(2).fill('limitByCaller: RateLimitPolicy shop/both'))
})

test('who may fail open is not asked, and the request goes on', () => {
  const quota = { name: 'shop/all', failsOpen: true, descriptors: [[{ key: 'q', type: 'query' as const, name: 'q' }]] }
  const { view, lacking } = forEnvoy(viewOf([listener('inbound/80')], [route('a', { quota })]))
  assert.deepEqual([first(view).quota, first(view).action.type], [undefined, 'forward'])
  assert.deepEqual(said(lacking), ['countByQuery: RateLimitPolicy shop/all'])
})

test('faults and compression that it has no means for are left out, and the rest is done', () => {
  const answers = { codings: ['gzip' as const], minBytes: 1, types: ['a/b'] }
  const { view, lacking } = forEnvoy(
    viewOf(
      [listener('outbound/shop/db:1', { direction: 'outbound', protocol: 'tcp', fault: { policy: 'shop/slow' } })],
      [route('a', { fault: { policy: 'shop/f', delay: { ms: 5, jitterMs: 1, share: 1 } }, compression: { answers } })],
    ),
    { bodies: { table: ['shop/bodies'] } },
  )
  assert.deepEqual(
    [first(view).fault, first(view).compression, view.listeners['outbound/shop/db:1']!.fault],
    [undefined, undefined, undefined],
  )
  assert.deepEqual(said(lacking).sort(), [
    'compressionOfRequests: RoutePolicy shop/bodies',
    'faultByChance: FaultPolicy shop/f',
    'faultByChance: FaultPolicy shop/slow',
  ])
})

test('the share of a backend whose path is to be rewritten leads nowhere', () => {
  const filters = [{ type: 'rewrite' as const, path: { type: 'full' as const, value: '/x' } }]
  const backends = [
    { backend: 'shop/a:80', weight: 9 },
    { backend: 'shop/b:80', weight: 1, filters },
  ]
  const { view, lacking } = forEnvoy(viewOf([listener('outbound/shop/a:80')], [route('split', { action: { type: 'forward', backends } })]))
  const { action } = first(view)
  assert.deepEqual(action.type === 'forward' && action.backends, [backends[0], { backend: undefined, weight: 1 }])
  assert.deepEqual(said(lacking), ['rewriteOfShare: HTTPRoute shop/split'])
})

test('endpoints that TLS inside TLS leads to, and those that an EgressPolicy denies, are not sent', () => {
  const backend = (name: string, more: Partial<Backend>): Backend => ({
    name,
    service: 'a.shop',
    type: 'endpoints',
    port: 80,
    protocol: 'http1',
    balance: 'random',
    connectTimeoutMs: 1,
    identities: [],
    ...more,
  })
  const end = (host: string, mtls: boolean) => ({ host, port: 80, weight: 1, health: 'healthy' as const, mtls, workload: '' })
  const sets = {
    tls: { backend: 'tls', endpoints: [end('10.0.0.1', true), end('10.0.0.2', false)] },
    out: { backend: 'out', endpoints: [end('10.0.0.1', false), end('192.0.2.1', false), end('192.0.2.2', true)] },
  }
  const egress = {
    default: 'allow' as const,
    policy: '',
    deny: [{ name: 'shop/no#0', to: [{ networks: ['192.0.2.0/24'] }] }],
    allow: [],
  }
  const datagrams = listener('outbound/x:53/udp', { direction: 'outbound', protocol: 'udp', egress })
  const { view, lacking } = forEnvoy(
    viewOf([datagrams], [], {
      backends: { tls: backend('tls', { isTlsInside: true, tls: {} }), out: backend('out', { isExternal: true }) },
      endpoints: sets,
    }),
    { egress },
  )
  assert.deepEqual(
    Object.values(view.endpoints).map(({ endpoints }) => endpoints.map(({ host }) => host)),
    [['10.0.0.2'], ['10.0.0.1', '192.0.2.2']],
  )
  assert.deepEqual(view.listeners, {})
  assert.deepEqual(said(lacking).sort(), [
    'egressOfDatagrams: EgressPolicy shop/no',
    'egressOfEndpoints: EgressPolicy shop/no',
    'tlsInside: BackendTLSPolicy ',
  ])
})

test('where networks are denied nothing is called by a name that may lead there, but for what is declared, which is told', () => {
  const rule = (to: object) => ({ default: 'allow' as const, policy: '', deny: [{ name: 'shop/no#0', to: [to] }], allow: [] })
  const base = { service: 'a', port: 443, protocol: 'tcp', balance: 'random', connectTimeoutMs: 1, identities: [] } as const
  const backends = { named: { ...base, name: 'named', type: 'named' }, hosts: { ...base, name: 'hosts', type: 'hosts' } } as const
  const view = viewOf([], [], { backends })
  assert.equal(forEnvoy(view, { egress: rule({ hosts: ['a.example'] }) }).view, view)
  const made = forEnvoy(view, { egress: rule({ networks: ['169.254.0.0/16'] }) })
  assert.deepEqual(Object.keys(made.view.backends), ['hosts'])
  assert.deepEqual(said(made.lacking), ['egressOfNames: EgressPolicy shop/no', 'egressOfHosts: EgressPolicy shop/no'])
})
