import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import { type Log, silent } from '#base/log'
import type { ProxyNode } from '#model/workload'
import { Universal } from '#platforms/universal'
import { admit } from '#resources/validate'
import { type Compilation, CompileLoop } from './compile-loop.ts'
import { openStore } from './store.ts'

const node: ProxyNode = {
  id: 'a-1.default',
  workload: 'a-1',
  namespace: 'default',
  service: 'a',
  labels: {},
  ports: [{ name: 'http', port: 80, protocol: 'http', bind: { host: '127.0.0.1', port: 20_001 } }],
  probe: { type: 'tcp' },
  version: '1',
}

function start(log: Log = silent) {
  const clock = new TestClock(1_700_000_000_000)
  const store = openStore({ path: ':memory:', now: () => clock.now() })
  const platform = new Universal({ store, clock, log })
  const trust = { trustDomain: 'test.mesh', roots: ['-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n'] }
  const loop = new CompileLoop({ store, platform, trust: () => trust, clock, log })
  const compilations: Compilation[] = []
  loop.onCompiled(each => compilations.push(each))
  const put = (name: string) =>
    store.create(
      admit({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace: 'default' },
        spec: { selector: { app: name }, ports: [{ port: 80 }] },
      }),
    )
  return { clock, store, platform, loop, compilations, put, [Symbol.dispose]: () => (loop.close(), platform.close(), store.close()) }
}

test('changes that come together are compiled together', () => {
  using plane = start()
  for (let at = 0; at < 100; at++) plane.put(`s${at}`)
  assert.equal(plane.compilations.length, 0)
  plane.clock.advance(10)
  assert.equal(plane.compilations.length, 1)
  assert.equal(Object.keys(plane.compilations[0]!.mesh.outbound.listeners).length, 100)
  assert.equal(plane.compilations[0]!.revision, plane.store.revision)
})

test('changes that never end are compiled after fifty milliseconds all the same', () => {
  using plane = start()
  for (let at = 0; at < 12; at++) {
    plane.put(`s${at}`)
    plane.clock.advance(5)
  }
  assert.equal(plane.compilations.length, 1)
})

test('a view keeps every object that still says the same', () => {
  using plane = start()
  plane.platform.register(node, 'spiffe://test.mesh/ns/default/sa/a')
  plane.put('other')
  plane.clock.advance(50)
  const first = plane.loop.cut(node)!
  plane.platform.report(node.id, 'healthy')
  plane.clock.advance(50)
  const second = plane.loop.cut(node, first)!
  assert.notEqual(second.view.endpoints, first.view.endpoints)
  assert.equal(second.view.endpoints['default/other:80'], first.view.endpoints['default/other:80'])
  for (const part of ['listeners', 'routes', 'backends', 'dns', 'trust'] as const) assert.equal(second.view[part], first.view[part])
  plane.put('third')
  plane.clock.advance(50)
  const third = plane.loop.cut(node, second)!
  assert.ok(third.view.listeners['outbound/default/third:80'])
  for (const name of ['inbound/80', 'outbound/default/other:80'])
    assert.equal(third.view.listeners[name], second.view.listeners[name], name)
  assert.equal(third.view.backends['local/80'], second.view.backends['local/80'])
  assert.equal(plane.loop.cut(node, third), third)
})

test('what a Gateway reaches by TLS, and what an Envoy may reach, is cut anew when only endpoints change', () => {
  using plane = start()
  const gatewayApi = (kind: string, name: string, spec: object) =>
    plane.store.create(admit({ apiVersion: 'gateway.networking.k8s.io/v1', kind, metadata: { name, namespace: 'default' }, spec }))
  plane.put('a')
  gatewayApi('Gateway', 'edge', { gatewayClassName: 'weft', listeners: [{ name: 'web', port: 80, protocol: 'HTTP' }] })
  gatewayApi('HTTPRoute', 'r', { parentRefs: [{ name: 'edge' }], rules: [{ backendRefs: [{ name: 'a', port: 80 }] }] })
  gatewayApi('BackendTLSPolicy', 'tls', {
    targetRefs: [{ group: '', kind: 'Service', name: 'a' }],
    validation: { hostname: 'a.example', wellKnownCACertificates: 'System' },
  })
  plane.platform.register({ ...node, labels: { app: 'a' } }, 'spiffe://test.mesh/ns/default/sa/a')
  plane.clock.advance(50)
  const edge: ProxyNode = {
    ...node,
    id: 'edge-1.default',
    workload: 'edge-1',
    service: 'edge-weft',
    ports: [],
    gateway: { name: 'edge', address: '127.0.0.1' },
  }
  const inTls = 'default/a:80~tls'
  const healthOf = (cut: ReturnType<CompileLoop['cut']>): string | undefined => cut!.view.endpoints[inTls]?.endpoints[0]?.health
  const [weft, envoy] = [edge, { ...edge, isEnvoy: true as const }].map(each => [each, plane.loop.cut(each)] as const)
  plane.platform.report(node.id, 'healthy')
  plane.clock.advance(50)
  assert.equal(healthOf(plane.loop.cut(...weft!)), 'healthy')
  // It has no TLS inside that of the mesh.
  assert.deepEqual(plane.loop.cut(...envoy!)!.view.endpoints[inTls]?.endpoints, [])
})

test('a status is written once and says when it changed', () => {
  using plane = start()
  const name = { group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'default', name: 'r' }
  plane.put('a')
  plane.store.create(
    admit({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'r', namespace: 'default' },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'a', port: 80 }],
        rules: [{ backendRefs: [{ name: 'missing', port: 80 }] }],
      },
    }),
  )
  plane.clock.advance(50)
  const written = JSON.stringify(plane.store.get(name)?.status)
  assert.match(written, /"type":"ResolvedRefs","status":"False"/)
  const { revision } = plane.store
  plane.clock.advance(1000)
  assert.equal(plane.store.revision, revision)
  const mesh = plane.loop.current!.mesh
  plane.put('missing')
  plane.clock.advance(1000)
  assert.match(JSON.stringify(plane.store.get(name)?.status), /"type":"ResolvedRefs","status":"True"/)
  assert.notEqual(plane.loop.current!.mesh, mesh)
  assert.equal(plane.loop.current!.revision, plane.store.revision, 'also a commit of statuses moves the revision on')
})

test('when statuses cannot be written the mesh is compiled all the same, and it is said', () => {
  const said: string[] = []
  using plane = start({ ...silent, error: says => said.push(says) })
  plane.put('a')
  plane.store.create(
    admit({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'r', namespace: 'default' },
      spec: { parentRefs: [{ group: '', kind: 'Service', name: 'a', port: 80 }] },
    }),
  )
  const transact = plane.store.transact.bind(plane.store)
  plane.store.transact = () => {
    throw new Error('the disk is full')
  }
  plane.clock.advance(50)
  plane.store.transact = transact
  assert.equal(plane.compilations.length, 1)
  assert.deepEqual(said, ['statuses could not be written'])
})

test('a fault ends at its time although nobody changed anything, and its status says so', () => {
  using plane = start()
  plane.put('web')
  plane.store.create(
    admit({
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'FaultPolicy',
      metadata: { name: 'late', namespace: 'default' },
      spec: { targetRefs: [{ name: 'web' }], delay: { fixed: '1s' }, expires: new Date(plane.clock.now() + 60_000).toISOString() },
    }),
  )
  const reason = () => {
    const found = plane.store.get({ group: 'weft.dev', kind: 'FaultPolicy', namespace: 'default', name: 'late' })
    const status = found?.status as { ancestors: [{ conditions: [{ reason: string }] }] } | undefined
    return status?.ancestors[0].conditions[0].reason
  }
  const fault = () => plane.loop.cut(node)!.view.routes['default/web:80']!.hosts[0]!.routes[0]!.fault
  plane.clock.advance(100)
  assert.equal(fault()?.policy, 'default/late')
  assert.equal(reason(), 'Accepted')
  plane.clock.advance(59_000)
  assert.equal(fault()?.policy, 'default/late')
  plane.clock.advance(2000)
  assert.equal(fault(), undefined)
  assert.equal(reason(), 'Expired')
})
