import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import { silent } from '#base/log'
import type { ProxyNode } from '#model/workload'
import type { Service } from '#resources/core'
import type { Resource } from '#resources/kind'
import type { WorkloadResource, WorkloadStatus } from '#resources/weft'
import type { KindName, Operation, ResourceName, ResourceStore } from './platform.ts'
import { Universal } from './universal.ts'

/** A store in a map: creates drop the status, updates keep it, watchers are told after all is written. */
class FakeStore implements ResourceStore {
  revision = 0
  isFull = false
  readonly objects = new Map<string, Resource>()
  readonly #watchers = new Set<(kind: string, change: { type: 'ADDED' | 'MODIFIED' | 'DELETED'; resource: Resource }) => void>()
  get(name: ResourceName): Resource | undefined {
    return this.objects.get(`${name.kind} ${name.namespace}/${name.name}`)
  }
  list({ kind }: { kind: KindName }) {
    return { items: [...this.objects.values()].filter(object => object.kind === kind.kind) }
  }
  transact(operations: readonly Operation[]): readonly Resource[] {
    if (this.isFull) throw new Error('the disk is full')
    const told: (() => void)[] = []
    for (const operation of operations) {
      const key =
        operation.type === 'delete'
          ? `${operation.name.kind} ${operation.name.namespace}/${operation.name.name}`
          : `${operation.resource.kind} ${operation.resource.metadata.namespace}/${operation.resource.metadata.name}`
      const old = this.objects.get(key)
      this.revision++
      if (operation.type === 'delete') {
        if (old === undefined) throw new Error(`${key} not found`)
        this.objects.delete(key)
        told.push(() => this.#tell('DELETED', old))
        continue
      }
      assert.equal(operation.type === 'create', old === undefined, `${operation.type} ${key}`)
      const { status: _, ...rest } = operation.resource
      const next: Resource =
        operation.type === 'update-status'
          ? { ...old!, status: operation.resource.status }
          : { ...rest, ...(old?.status === undefined ? {} : { status: old.status }) }
      this.objects.set(key, next)
      told.push(() => this.#tell(old === undefined ? 'ADDED' : 'MODIFIED', next))
    }
    for (const tell of told) tell()
    return []
  }
  watch(
    _from: number,
    { kind }: { kind: KindName },
    told: (change: { type: 'ADDED' | 'MODIFIED' | 'DELETED'; resource: Resource }) => void,
  ): () => void {
    const see = (of: string, change: { type: 'ADDED' | 'MODIFIED' | 'DELETED'; resource: Resource }) =>
      void (of === kind.kind && told(change))
    this.#watchers.add(see)
    return () => void this.#watchers.delete(see)
  }
  #tell(type: 'ADDED' | 'MODIFIED' | 'DELETED', resource: Resource): void {
    for (const see of this.#watchers) see(resource.kind, { type, resource })
  }
  service(name: string): Service | undefined {
    return this.objects.get(`Service default/${name}`) as Service | undefined
  }
  put(name: string, spec: Record<string, unknown>): void {
    this.transact([{ type: 'create', resource: { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' }, spec } }])
  }
}

const node = (workload: string, more: Partial<ProxyNode> = {}): ProxyNode => ({
  id: `${workload}.default`,
  workload,
  namespace: 'default',
  service: 'orders',
  labels: {},
  ports: [{ name: 'http', port: 8080, protocol: 'http', bind: { host: '127.0.0.1', port: 20001 } }],
  probe: { type: 'tcp' },
  version: '1',
  ...more,
})
const identity = 'spiffe://weft.test/ns/default/sa/orders'
const start = (store = new FakeStore(), clock = new TestClock(1_000_000)) => ({
  store,
  clock,
  platform: new Universal({ store, clock, log: silent }),
})
const healths = (platform: Universal) => platform.inventory.workloads.map(({ name, health }) => `${name} ${health}`)

test('a registered workload is unhealthy until its probe passes, and one without a probe is healthy at once', () => {
  const { platform } = start()
  platform.register(node('a'), identity)
  platform.register(node('b', { probe: { type: 'none' } }), identity)
  assert.deepEqual(healths(platform), ['a unhealthy', 'b healthy'])
  platform.report('a.default', 'healthy')
  assert.deepEqual(healths(platform), ['a healthy', 'b healthy'])
})

test('a workload brings a Service of its own name, and one of its version, with different virtual IPs', () => {
  const { platform, store } = start()
  platform.register(node('a', { labels: { version: 'v1' } }), identity)
  const [service, version] = [store.service('orders')!, store.service('orders-v1')!]
  assert.deepEqual(service.spec?.selector, { app: 'orders' })
  assert.deepEqual(version.spec?.selector, { app: 'orders', version: 'v1' })
  assert.deepEqual(service.spec?.ports, [{ name: 'http', protocol: 'TCP', port: 8080, targetPort: 8080, appProtocol: 'http' }])
  assert.equal(service.metadata.annotations?.['weft.dev/made-by'], 'workload')
  assert.match(service.spec?.clusterIP ?? '', /^240\.77\.\d+\.\d+$/)
  assert.notEqual(service.spec?.clusterIP, version.spec?.clusterIP)
})

test('ports of several workloads come together in their Service', () => {
  const { platform, store } = start()
  platform.register(node('a'), identity)
  platform.register(node('b', { ports: [{ name: 'http', port: 9090, protocol: 'detect' }] }), identity)
  assert.deepEqual(
    store.service('orders')?.spec?.ports?.map(({ name, port }) => `${name} ${port}`),
    ['http 8080', 'http-9090 9090'],
  )
})

test('a Service that a person wrote is left as it is, but for the virtual IP it lacks', () => {
  const { platform, store } = start()
  store.put('orders', { type: 'ClusterIP', selector: { app: 'other' } })
  platform.register(node('a'), identity)
  assert.deepEqual(store.service('orders')?.spec?.selector, { app: 'other' })
  assert.match(store.service('orders')?.spec?.clusterIP ?? '', /^240\.77\./)
})

test('headless and external services get no virtual IP', () => {
  const { store } = start()
  store.put('headless', { type: 'ClusterIP', clusterIP: 'None' })
  store.put('external', { type: 'ExternalName', externalName: 'example.org' })
  assert.equal(store.service('headless')?.spec?.clusterIP, 'None')
  assert.equal(store.service('external')?.spec?.clusterIP, undefined)
})

test('no two of a thousand services have the same virtual IP, and each gets its own again', () => {
  const { store } = start()
  for (let at = 0; at < 1000; at++) store.put(`s${at}`, { type: 'ClusterIP' })
  const addresses = store.list({ kind: { group: '', kind: 'Service' } }).items.map(service => (service as Service).spec?.clusterIP)
  assert.equal(new Set(addresses).size, 1000)
  store.transact([{ type: 'delete', name: { group: '', kind: 'Service', namespace: 'default', name: 's7' } }])
  store.put('s7', { type: 'ClusterIP' })
  assert.equal(store.service('s7')?.spec?.clusterIP, addresses[7])
})

test('a workload whose proxy is gone is degraded for its grace and then removed', () => {
  const { platform, clock } = start()
  platform.register(node('a', { probe: { type: 'none' } }), identity)
  platform.disconnect('a.default')
  assert.deepEqual(healths(platform), ['a degraded'])
  clock.advance(59_999)
  assert.deepEqual(healths(platform), ['a degraded'])
  clock.advance(1)
  assert.deepEqual(healths(platform), [])
})

test('a proxy that comes back within the grace keeps its workload, degraded until the first report', () => {
  const { platform, clock } = start()
  platform.register(node('a'), identity)
  platform.report('a.default', 'healthy')
  platform.disconnect('a.default')
  clock.advance(30_000)
  platform.register(node('a'), identity)
  assert.deepEqual(healths(platform), ['a degraded'])
  clock.advance(60_000)
  platform.report('a.default', 'healthy')
  assert.deepEqual(healths(platform), ['a healthy'])
})

test('a revoked workload whose proxy is gone stays listed, given no traffic, until its certificate ends or it is believed again', () => {
  for (const isUndone of [false, true]) {
    const { platform, store, clock } = start()
    platform.register(node('a'), identity)
    const name = { group: 'weft.dev', kind: 'Workload', namespace: 'default', name: 'a' }
    const shown = () => store.get(name) as WorkloadResource | undefined
    const mark = (conditions: NonNullable<WorkloadStatus['conditions']>): void => {
      const certificate = { serial: 'aa', notAfter: new Date(clock.now() + 600_000).toISOString(), lateFrom: '' }
      const resource = { ...shown()!, status: { ...shown()!.status, conditions, certificate } }
      store.transact([{ type: 'update-status', resource }])
    }
    mark([{ type: 'Revoked', status: 'True', reason: 'Superseded', message: '', lastTransitionTime: '' }])
    platform.disconnect('a.default')
    clock.advance(60_000)
    const { health, conditions, proxy } = shown()!.status!
    assert.deepEqual([health, conditions?.map(({ type }) => type), proxy?.connected], ['unhealthy', ['Ready', 'Revoked'], false])
    if (isUndone) mark([])
    clock.advance(isUndone ? 60_000 : 600_000)
    assert.equal(shown(), undefined)
  }
})

test('a workload that takes its leave is removed at once', () => {
  const { platform } = start()
  platform.register(node('a'), identity)
  platform.leave('a.default')
  assert.deepEqual(healths(platform), [])
  platform.leave('a.default')
  platform.report('a.default', 'healthy')
})

test('after a restart workloads are degraded and have their grace from the restart on', () => {
  const { platform, store, clock } = start()
  platform.register(node('a', { probe: { type: 'none' } }), identity)
  platform.register(node('b', { probe: { type: 'none' } }), identity)
  platform.close()
  clock.advance(3_600_000)
  const again = start(store, clock).platform
  assert.deepEqual(healths(again), ['a degraded', 'b degraded'])
  again.register(node('b', { probe: { type: 'none' } }), identity)
  clock.advance(60_000)
  assert.deepEqual(healths(again), ['b healthy'])
})

test('each workload that takes callers in has an address of its own, which it keeps as long as it is there', () => {
  const { platform, store, clock } = start()
  const names = Array.from({ length: 1000 }, (_, at) => `w${at}`)
  for (const name of names) platform.register(node(name, { probe: { type: 'none' } }), identity)
  platform.register(node('caller', { ports: [] }), identity)
  const addresses = (of: Universal) => new Map(of.inventory.workloads.map(({ name, meshAddress }) => [name, meshAddress]))
  const before = addresses(platform)
  assert.equal(before.get('caller'), undefined)
  before.delete('caller')
  assert.equal(new Set(before.values()).size, 1000)
  for (const address of before.values()) assert.match(address!, /^240\.80\.\d+\.\d+$/)
  platform.disconnect('w1.default')
  platform.register(node('w1', { probe: { type: 'none' } }), identity)
  platform.report('w2.default', 'unhealthy')
  platform.leave('w3.default')
  platform.close()
  const again = start(store, clock).platform
  const after = addresses(again)
  assert.equal(after.has('w3'), false)
  for (const name of ['w0', 'w1', 'w2', 'w999']) assert.equal(after.get(name), before.get(name), name)
})

test('a name that another identity has registered is refused', () => {
  const { platform } = start()
  platform.register(node('a'), identity)
  assert.throws(
    () => platform.register(node('a'), 'spiffe://weft.test/ns/default/sa/thief'),
    /is registered by spiffe:\/\/weft\.test\/ns\/default\/sa\/orders/,
  )
})

test('the inventory is the same object until something changes, and a workload that did not change is the same object after', () => {
  const { platform } = start()
  platform.register(node('a'), identity)
  platform.register(node('b'), identity)
  const before = platform.inventory
  assert.equal(platform.inventory, before)
  let told = 0
  platform.onChange(() => told++)
  platform.report('b.default', 'healthy')
  assert.equal(told, 1)
  assert.notEqual(platform.inventory, before)
  assert.equal(platform.inventory.workloads[0], before.workloads[0])
})

test('a workload that cannot be removed because the disk is full is removed later', () => {
  const { platform, store, clock } = start()
  platform.register(node('a'), identity)
  store.isFull = true
  platform.leave('a.default')
  assert.equal(platform.inventory.workloads.length, 1)
  store.isFull = false
  clock.advance(5000)
  assert.deepEqual(healths(platform), [])
})

test('a Service is given its address when it is written, keeps it when it is written again without, and cannot have that of another', () => {
  const { platform, store } = start()
  const service = (name: string, spec: Record<string, unknown>): Resource => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { ports: [{ port: 80 }], ...spec },
  })
  const completed = platform.complete(service('a', {}), undefined) as Service
  assert.match(completed.spec?.clusterIP ?? '', /^240\.77\./)
  assert.deepEqual(platform.complete(service('a', {}), undefined), completed, 'a dry run takes nothing')
  store.transact([{ type: 'create', resource: completed }])
  assert.deepEqual(platform.complete(service('a', { type: 'ClusterIP' }), completed), {
    ...service('a', { type: 'ClusterIP', clusterIP: completed.spec?.clusterIP }),
  })
  assert.deepEqual(platform.admit(completed), [])
  assert.deepEqual(platform.admit(service('b', { clusterIP: completed.spec?.clusterIP })), [
    { path: 'spec.clusterIP', says: 'is the address of Service default/a: leave it out, and one that is free is given' },
  ])
  assert.deepEqual(platform.admit(service('b', { clusterIP: 'None' })), [])
  assert.deepEqual(platform.admit(service('b', { clusterIP: '240.77.200.7' })), [])
  for (const clusterIP of ['203.0.113.5', '240.77.0.1', '240.77.0.300', '240.80.1.1', '240.77.01.7', '::1', 'here'])
    assert.match(
      platform.admit(service('b', { clusterIP }))[0]?.says ?? '',
      /none of the addresses that the mesh gives to Services/,
      clusterIP,
    )
  const before = service('b', { clusterIP: '10.0.0.1' })
  assert.deepEqual(platform.admit(before, before), [], 'what is stored already')
})
