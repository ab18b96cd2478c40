import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Workload } from '#model/workload'
import type { Resource } from '#resources/kind'
import { admit, validate } from '#resources/validate'
import { compile, viewFor } from '../../compiler.ts'

const options = { trustDomain: 'weft.local', roots: ['ROOT'] }
const workload = (name: string, more: Partial<Workload> = {}): Workload => ({
  name,
  namespace: 'shop',
  service: 'web',
  labels: { app: 'web' },
  identity: `spiffe://weft.local/ns/shop/sa/${name}`,
  ports: [{ name: 'http', port: 8080, protocol: 'http', bind: { host: '10.0.0.1', port: 15_000 + name.length } }],
  health: 'healthy',
  meshAddress: `240.80.0.${name.length}`,
  ...more,
})
const service = (name: string, spec: object = {}): Resource => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'shop' },
  spec: { type: 'ClusterIP', clusterIP: '240.77.1.1', ports: [{ name: 'http', port: 80, protocol: 'TCP' }], ...spec },
})
const slice = (addresses: readonly string[], more: object = {}, of = 'manual'): Resource => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'slice', namespace: 'shop', labels: { 'kubernetes.io/service-name': of } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080 }],
  endpoints: addresses.map(address => ({ addresses: [address] })),
  ...more,
})
const modes = (mode: string): Resource => ({
  apiVersion: 'weft.dev/v1alpha1',
  kind: 'AuthenticationPolicy',
  metadata: { name: 'modes', namespace: 'shop' },
  spec: { targetRefs: [{ kind: 'Service', name: 'manual' }], mtls: { mode } },
})
const told = (resources: readonly Resource[], workloads: readonly Workload[] = []) => {
  const { mesh, statuses } = compile(resources.map(admit), { workloads }, options)
  const said = statuses.find(({ kind }) => kind === 'EndpointSlice')?.conditions ?? []
  return {
    endpoints: mesh.endpoints['shop/manual:80']?.endpoints ?? [],
    backend: mesh.backends['shop/manual:80'],
    dns: mesh.dns,
    listeners: Object.keys(mesh.outbound.listeners),
    said: said.map(({ type, status, reason, message }) => `${type}=${status} ${reason}: ${message}`),
  }
}

test('an address of a workload, its own or that of its proxy, leads to it by mutual TLS, which proves to be that workload', () => {
  for (const [address, port] of [
    ['240.80.0.1', 8080],
    ['10.0.0.1', 8080],
    ['10.0.0.1', 15_001],
  ] as const) {
    const { endpoints, backend, said } = told([service('manual'), slice([address], { ports: [{ name: 'http', port }] })], [workload('a')])
    assert.deepEqual(
      endpoints.map(({ host, port: at, mtls, workload: who }) => ({ host, at, mtls, who })),
      [{ host: '10.0.0.1', at: 15_001, mtls: true, who: 'a.shop' }],
      `${address}:${port}`,
    )
    assert.deepEqual(backend?.identities, ['spiffe://weft.local/ns/shop/sa/a'])
    assert.equal(backend?.isExternal, undefined)
    assert.deepEqual(
      said.map(text => text.split(':')[0]),
      ['Accepted=True Accepted', 'ResolvedRefs=True ResolvedRefs'],
    )
  }
})

test('an address of nobody in the mesh is left out where mutual TLS is demanded', () => {
  const strict = told([service('manual'), slice(['10.9.9.9', '240.80.0.1']), modes('Strict')], [workload('a')])
  assert.deepEqual(
    strict.endpoints.map(each => each.host),
    ['10.0.0.1'],
  )
  assert.match(strict.said[1]!, /^ResolvedRefs=False PlaintextRefused: 10\.9\.9\.9:8080 belongs to no workload of the mesh, .*; left out$/)
  const { endpoints, backend, said } = told([service('manual'), slice(['10.9.9.9', '240.80.0.1']), modes('Permissive')], [workload('a')])
  assert.deepEqual(
    endpoints.map(({ host, port, mtls }) => `${host}:${port} ${mtls ? 'mutual TLS' : 'plaintext'}`),
    ['10.0.0.1:15001 mutual TLS', '10.9.9.9:8080 plaintext'],
  )
  assert.equal(backend?.isExternal, true)
  assert.match(said[1]!, /^ResolvedRefs=True/)
})

test('what cannot be an endpoint is named, and the others serve', () => {
  const other = workload('other', { namespace: 'bank' })
  const edge = workload('edge', { ports: [], gateway: { name: 'edge', address: '10.0.0.8' } })
  const gateway: Resource = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'edge', namespace: 'shop' },
    spec: { gatewayClassName: 'weft', listeners: [{ name: 'http', port: 8080, protocol: 'HTTP' }] },
  }
  const twins = [workload('twin-1', { ports: [bound(16_001)] }), workload('twin-two', { ports: [bound(16_002)] })]
  const all = [workload('a'), other, edge, ...twins]
  const { endpoints, said } = told(
    [service('manual'), gateway, modes('Permissive'), slice(['240.80.0.1', '240.80.0.5', '240.80.9.9', '10.0.0.8', '10.0.0.3'])],
    all,
  )
  assert.deepEqual(
    endpoints.map(each => each.workload),
    ['a.shop'],
  )
  const [, resolved = ''] = said
  assert.match(
    resolved,
    /^ResolvedRefs=False RefNotPermitted: endpoints\[1\]\.addresses\[0\]: 240\.80\.0\.5:8080 is a workload of namespace bank, which has no/,
  )
  assert.match(resolved, /endpoints\[2\]\.addresses\[0\]: 240\.80\.9\.9 is an address of the mesh that no workload has now/)
  assert.match(resolved, /endpoints\[3\]\.addresses\[0\]: 10\.0\.0\.8:8080 is where Gateway shop\/edge takes callers in/)
  assert.match(resolved, /endpoints\[4\]\.addresses\[0\]: 10\.0\.0\.3:8080 may be any of the workloads shop\/twin-1, shop\/twin-two/)
})

const bound = (port: number): Workload['ports'][number] => ({
  name: 'http',
  port: 8080,
  protocol: 'http',
  bind: { host: '10.0.0.3', port },
})

test('a ReferenceGrant lets a slice name workloads of another namespace', () => {
  const grant: Resource = {
    apiVersion: 'gateway.networking.k8s.io/v1beta1',
    kind: 'ReferenceGrant',
    metadata: { name: 'grant', namespace: 'bank' },
    spec: {
      from: [{ group: 'discovery.k8s.io', kind: 'EndpointSlice', namespace: 'shop' }],
      to: [{ group: 'weft.dev', kind: 'Workload' }],
    },
  }
  const { endpoints } = told([service('manual'), grant, slice(['240.80.0.5'])], [workload('other', { namespace: 'bank' })])
  assert.deepEqual(
    endpoints.map(each => each.workload),
    ['other.bank'],
  )
})

test('a slice of no Service, of one with a selector, of names or of other ports says so', () => {
  const cases: readonly (readonly [Resource, RegExp])[] = [
    [slice([], {}, 'nobody'), /^Accepted=False TargetNotFound: .*Service shop\/nobody does not exist$/],
    [{ ...slice([]), metadata: { name: 'slice', namespace: 'shop' } }, /^Accepted=False NoServiceName: metadata\.labels/],
    [slice([], {}, 'web'), /^Accepted=False ServiceHasSelector: /],
    [slice(['db.example'], { addressType: 'FQDN' }), /^Accepted=False UnsupportedValue: addressType: FQDN/],
    [
      slice([], { ports: [{ name: 'grpc', port: 1 }] }),
      /ResolvedRefs=False PortNotFound: ports\[0\]\.name: Service shop\/manual has no port "grpc" of TCP/,
    ],
    [slice([], { ports: [{ name: 'http' }] }), /ResolvedRefs=False UnsupportedValue: ports\[0\]\.port: is needed/],
    [
      slice(['240.80.0.1'], { ports: [{ name: 'http', port: 81 }] }),
      /ResolvedRefs=False PortNotFound: endpoints\[0\]\.addresses\[0\]: workload shop\/a has no port 81/,
    ],
  ]
  for (const [written, expected] of cases) {
    const { said } = told(
      [service('manual'), service('web', { selector: { app: 'web' }, clusterIP: '240.77.1.2' }), written],
      [workload('a')],
    )
    assert.match(said.join('\n'), expected)
  }
})

test('conditions of an endpoint and health of its workload both count', () => {
  const health = (conditions: object, of: Workload['health'] = 'healthy', more: object = {}) =>
    told([service('manual', more), slice([], { endpoints: [{ addresses: ['240.80.0.1'], conditions }] })], [workload('a', { health: of })])
      .endpoints[0]?.health
  assert.equal(health({}), 'healthy')
  assert.equal(health({ ready: false }), 'unhealthy')
  assert.equal(health({ ready: false, serving: true, terminating: true }), 'degraded')
  assert.equal(health({ ready: false }, 'healthy', { publishNotReadyAddresses: true }), 'healthy')
  assert.equal(health({ ready: true }, 'unhealthy'), 'unhealthy')
})

test('a headless Service is called by its names at the addresses of its workloads, and each workload by its own', () => {
  const workloads = [workload('a'), workload('bb', { health: 'unhealthy' })]
  const headless = service('web', { clusterIP: 'None', selector: { app: 'web' } })
  const { dns, listeners } = told([headless], workloads)
  const named = Object.fromEntries(dns.qualified.map(({ name, addresses }) => [name, addresses.join()]))
  assert.equal(named['web.shop.svc.cluster.local'], '240.80.0.1')
  assert.equal(named['bb.web.shop'], '240.80.0.2')
  assert.equal(named['a.shop.workload'], '240.80.0.1')
  assert.deepEqual(
    dns.short['shop']?.map(each => each.name),
    ['a.web', 'bb.web', 'web'],
  )
  assert.deepEqual(listeners, ['outbound/shop/@a:8080', 'outbound/shop/@bb:8080'])
  const { listeners: others } = told([service('web', { selector: { app: 'web' } })], workloads)
  assert.deepEqual(others, ['outbound/shop/web:80'])
})

test('addresses that mean another place to each caller, or nobody, are refused by their fields', () => {
  const refused = (addresses: readonly string[], more: object = {}): string =>
    validate(slice(addresses, more))
      .map(({ path, says }) => `${path}: ${says}`)
      .join('\n')
  for (const address of [
    '127.0.0.1',
    '0.0.0.0',
    '169.254.169.254',
    '224.0.0.1',
    '255.255.255.255',
    '240.77.1.1',
    '240.79.3.4',
    '256.1.1.1',
    '010.0.0.1',
    'db',
    '::1',
  ])
    assert.match(refused(['10.0.0.1', address]), /^endpoints\[1\]\.addresses\[0\]: /, address)
  for (const address of ['::1', '0:0:0:0:0:0:0:1', '::', 'fe80::1', 'ff02::1', '::ffff:127.0.0.1', '1::2::3', '10.0.0.1'])
    assert.match(refused([address], { addressType: 'IPv6' }), /^endpoints\[0\]\.addresses\[0\]: /, address)
  assert.equal(refused(['10.0.0.1', '240.80.1.2']), '')
  assert.equal(refused(['2001:db8::1'], { addressType: 'IPv6' }), '')
  for (const port of [0, 65_536, -1]) assert.match(refused([], { ports: [{ name: 'http', port }] }), /^ports\[0\]\.port: /)
  assert.match(refused([], { ports: [{ port: 1 }, { name: '', port: 2 }] }), /^ports\[1\]\.name: "" is taken by ports\[0\]/)
})

test('what workloads are to take in is not said of a Service without a selector, for nobody would keep it', () => {
  const policy = (kind: string, spec: object): Resource => ({
    apiVersion: 'weft.dev/v1alpha1',
    kind,
    metadata: { name: 'policy', namespace: 'shop' },
    spec: { targetRefs: [{ kind: 'Service', name: 'manual' }], ...spec },
  })
  for (const each of [
    policy('AccessPolicy', { action: 'Deny', rules: [{}] }),
    policy('RateLimitPolicy', { local: { requests: 1, interval: '1s' } }),
    policy('RoutePolicy', { compression: { responses: {} } }),
    policy('BackendPolicy', { adaptiveConcurrency: {} }),
  ]) {
    const { statuses } = compile([service('manual'), slice(['240.80.0.1']), each].map(admit), { workloads: [workload('a')] }, options)
    const conditions = statuses.find(({ kind }) => kind === each.kind)?.ancestors?.[0]?.conditions ?? []
    assert.deepEqual(
      conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`),
      ['Accepted=False Invalid'],
      each.kind,
    )
    assert.match(conditions[0]!.message, /has no selector, so that no workload knows/)
  }
})

test('a route for a headless Service says that it holds nowhere, one that leads to it holds', () => {
  const route = (name: string, parent: string, backend: string): Resource => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name, namespace: 'shop' },
    spec: { parentRefs: [{ group: '', kind: 'Service', name: parent }], rules: [{ backendRefs: [{ name: backend, port: 80 }] }] },
  })
  const documents = [
    service('peers', { clusterIP: 'None', selector: { app: 'web' } }),
    service('front', { selector: { app: 'web' } }),
    route('for', 'peers', 'front'),
    route('to', 'front', 'peers'),
  ]
  const { statuses } = compile(documents.map(admit), { workloads: [workload('a')] }, options)
  const said = statuses.filter(({ kind }) => kind === 'HTTPRoute').map(({ name, parents }) => [name, parents?.[0]?.conditions[0]])
  assert.deepEqual(
    said.map(([name, condition]) => [name, (condition as { status: string }).status]),
    [
      ['for', 'False'],
      ['to', 'True'],
    ],
  )
})

test('a workload behind a headless Service goes before a Service of another namespace that is called the same, for its own namespace', () => {
  const billing = { ...service('billing', { clusterIP: 'None', selector: { app: 'web' } }) }
  const orders = { ...service('orders', { selector: { app: 'x' } }), metadata: { name: 'orders', namespace: 'billing' } }
  const { mesh } = compile([billing, orders].map(admit), { workloads: [workload('orders')] }, options)
  const namesIn = (namespace: string) => {
    const node = {
      id: `c.${namespace}`,
      workload: 'c',
      namespace,
      service: 'c',
      labels: {},
      ports: [],
      probe: { type: 'none' },
      version: '',
    } as const
    return viewFor(mesh, node)
      .dns.filter(({ name }) => name === 'orders.billing')
      .map(({ addresses }) => addresses.join())
  }
  assert.deepEqual([namesIn('shop'), namesIn('other')], [['240.80.0.6'], ['240.77.1.1']])
})

test('datagrams to endpoints outside the mesh too go only where a policy lets them', () => {
  const udp = service('manual', { ports: [{ name: 'dns', port: 53, protocol: 'UDP' }] })
  const dns = slice(['10.9.9.9'], { ports: [{ name: 'dns', port: 5353, protocol: 'UDP' }] })
  const endpoints = (...more: readonly Resource[]) =>
    compile([udp, dns, ...more].map(admit), { workloads: [] }, options).mesh.endpoints['shop/manual:53/udp']?.endpoints.length
  assert.deepEqual([endpoints(), endpoints(modes('Permissive')), endpoints(modes('Strict'))], [1, 1, 0])
})
