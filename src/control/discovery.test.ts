import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, TestClock } from '#base/clock'
import { silent } from '#base/log'
import { makeCsr } from '#identity/csr'
import { newKey } from '#identity/key'
import { workloadId } from '#identity/spiffe'
import { temporaryFolder } from '#io/files'
import { connectGrpc, type GrpcChannel, type GrpcStream, serveGrpc } from '#io/grpc'
import type { View } from '#model/view'
import type { ProxyNode } from '#model/workload'
import { Traffic } from '#observe/traffic'
import { Universal } from '#platforms/universal'
import { admit } from '#resources/validate'
import { AdsClient, type ClientEvent } from '#xds/client'
import type { DeltaRequest } from '#xds/messages'
import { nodeOf } from '#xds/node'
import { callDelta, streamHealthCheck, streamMetrics } from '#xds/rpcs'
import { openAuthority } from './authority.ts'
import { CompileLoop } from './compile-loop.ts'
import { Discovery } from './discovery.ts'
import { healthService } from './health.ts'
import { metricsService } from './metrics.ts'
import { openStore } from './store.ts'

const node = (workload: string, service: string, more: Partial<ProxyNode> = {}): ProxyNode => ({
  id: `${workload}.default`,
  workload,
  namespace: 'default',
  service,
  labels: { version: 'v1' },
  ports: [{ name: 'http', port: 8080, protocol: 'http', bind: { host: '127.0.0.1', port: 20_001 } }],
  probe: { type: 'none' },
  version: '0.1.0',
  ...more,
})

/** A whole control plane on loopback, with its store in memory. */
async function start() {
  const folder = await temporaryFolder()
  const authority = await openAuthority({ folder: folder.path, trustDomain: 'test.mesh', clock: systemClock, log: silent })
  const store = openStore({ path: ':memory:' })
  const platform = new Universal({ store, clock: systemClock, log: silent })
  const loop = new CompileLoop({
    store,
    platform,
    trust: () => ({ trustDomain: 'test.mesh', roots: authority.roots() }),
    clock: systemClock,
    log: silent,
  })
  const discovery = new Discovery({ loop, platform, clock: systemClock, log: silent })
  const server = await serveGrpc({
    host: '127.0.0.1',
    port: 0,
    certificate: () => authority.serverCertificate(),
    clientRoots: () => authority.roots(),
    identify: certificates => authority.identify(certificates),
    services: [
      ...discovery.services,
      healthService({ platform, log: silent }),
      metricsService(new Traffic({ since: 0 }), platform, systemClock, authority.idTemplate, () => {}),
    ],
    log: silent,
  })
  const opened: { close(): void }[] = []
  const proxy = async (of: ProxyNode, serviceAccount = of.service) => {
    const identity = workloadId('test.mesh', { namespace: of.namespace, serviceAccount })
    const key = await newKey()
    const { chain } = await authority.issue(makeCsr(key, identity), identity)
    const channel = connectGrpc({
      host: 'localhost',
      port: server.port,
      certificate: () => ({ key: key.pem, cert: chain.join('') }),
      trust: () => ({ roots: authority.roots() }),
    })
    opened.push(channel)
    return new Proxy(of, channel)
  }
  return {
    store,
    platform,
    loop,
    discovery,
    proxy,
    async [Symbol.asyncDispose]() {
      for (const each of opened) each.close()
      discovery.close()
      await server.close()
      loop.close()
      platform.close()
      store.close()
      authority.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** The client machine on a real stream. */
class Proxy {
  readonly client: AdsClient
  readonly events: ClientEvent[] = []
  readonly channel: GrpcChannel
  stream: GrpcStream<DeltaRequest> | undefined
  ended: { code: number; details: string } | undefined
  received: string[] = []
  constructor(node: ProxyNode, channel: GrpcChannel) {
    this.client = new AdsClient({ node: nodeOf(node) })
    this.channel = channel
  }
  open(): this {
    this.ended = undefined
    this.stream = this.channel.stream(callDelta, {
      message: reply => {
        this.received.push(...reply.resources.map(({ name }) => name))
        this.events.push(...this.client.receive(reply, Date.now()))
        this.flush()
      },
      end: status => {
        this.ended = status
        this.client.close()
      },
    })
    this.client.open(Date.now())
    this.flush()
    return this
  }
  flush(): void {
    for (const request of this.client.drain()) this.stream!.send(request)
  }
  get view(): View {
    return this.client.view
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!holds()) {
    if (Date.now() > deadline) assert.fail(`never came about: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

const split = (v1: number, v2: number) =>
  admit({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'split', namespace: 'default' },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'orders', port: 8080 }],
      rules: [
        {
          backendRefs: [
            { name: 'orders-v1', port: 8080, weight: v1 },
            { name: 'orders-v2', port: 8080, weight: v2 },
          ],
        },
      ],
    },
  })

test('a proxy that connects gets the view that the control plane compiled for it, and its workload is an endpoint for others', async () => {
  await using plane = await start()
  const orders = (await plane.proxy(node('orders-1', 'orders'))).open()
  const shop = (await plane.proxy(node('shop-1', 'shop'))).open()
  await until('shop sees orders', () => shop.view.endpoints['default/orders:8080']?.endpoints.length === 1)
  await until('both have the newest revision', () => plane.discovery.convergence(plane.store.revision).active === 2)
  for (const proxy of [orders, shop]) assert.equal(proxy.client.ready, true)
  assert.deepEqual(shop.view, plane.discovery.configOf('shop-1.default')!.view)
  assert.equal(shop.view.endpoints['default/orders:8080']!.endpoints[0]!.workload, 'orders-1.default')
  assert.deepEqual(shop.view.backends['default/orders:8080']!.identities, ['spiffe://test.mesh/ns/default/sa/orders'])
  assert.deepEqual(
    plane.discovery.proxies.map(({ id, state, identity }) => [id, state, identity]),
    [
      ['orders-1.default', 'synced', 'spiffe://test.mesh/ns/default/sa/orders'],
      ['shop-1.default', 'synced', 'spiffe://test.mesh/ns/default/sa/shop'],
    ],
  )
})

test('an applied route is active on every proxy within a second, changes nothing else, and says so in its status', async () => {
  await using plane = await start()
  const proxies = [
    (await plane.proxy(node('orders-1', 'orders'))).open(),
    (await plane.proxy(node('orders-2', 'orders', { labels: { version: 'v2' } }))).open(),
    (await plane.proxy(node('shop-1', 'shop'))).open(),
  ]
  await until('all are synced', () => plane.discovery.convergence(plane.store.revision).active === 3)
  const before = proxies[2]!.view
  for (const proxy of proxies) proxy.received = []
  const began = Date.now()
  const { metadata } = plane.store.create(split(9, 1))
  const revision = Number(metadata.resourceVersion)
  await until('the route is active', () => plane.discovery.convergence(revision).active === 3)
  assert.ok(Date.now() - began < 1000, `${Date.now() - began} ms`)
  const action = proxies[2]!.view.routes['default/orders:8080']?.hosts[0]?.routes[0]?.action
  assert.deepEqual(action?.type === 'forward' && action.backends.map(({ backend, weight }) => [backend, weight]), [
    ['default/orders-v1:8080', 9],
    ['default/orders-v2:8080', 1],
  ])
  assert.deepEqual(proxies[2]!.received, ['default/orders:8080'])
  assert.equal(proxies[2]!.view.endpoints, before.endpoints)
  await until('the status is written', () => {
    const found = plane.store.get({ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'default', name: 'split' })
    return JSON.stringify(found?.status ?? '').includes('"ResolvedRefs","status":"True"')
  })
  const settled = plane.store.revision
  await new Promise(resolve => setTimeout(resolve, 150))
  assert.equal(plane.store.revision, settled, 'statuses are not written again and again')
})

test('a proxy for which nothing can be made keeps what it has, the others go on, and it goes on with what is made next', async () => {
  await using plane = await start()
  const orders = (await plane.proxy(node('orders-1', 'orders'))).open()
  const shop = (await plane.proxy(node('shop-1', 'shop'))).open()
  await until('both are synced', () => plane.discovery.convergence(plane.store.revision).active === 2)
  const weightsOf = ({ view }: Proxy) => {
    const action = view.routes['default/orders:8080']?.hosts[0]?.routes[0]?.action
    return action?.type === 'forward' ? action.backends.map(({ weight }) => weight) : undefined
  }
  const before = weightsOf(orders)
  const { cut } = plane.loop
  plane.loop.cut = (of, known) => {
    if (of.workload === 'orders-1') throw new Error('a bug')
    return cut.call(plane.loop, of, known)
  }
  const { metadata } = plane.store.create(split(9, 1))
  await until('the other has it', () => weightsOf(shop)?.join() === '9,1')
  assert.deepEqual(weightsOf(orders), before)
  await until(
    'the first alone is waited for',
    () => plane.discovery.convergence(Number(metadata.resourceVersion)).pending.join() === 'orders-1.default',
  )
  const late = (await plane.proxy(node('orders-2', 'orders'))).open()
  await until('a third is connected', () =>
    plane.discovery.proxies.some(({ id, state }) => id === 'orders-2.default' && state === 'synced'),
  )
  plane.loop.cut = cut
  const { metadata: newer } = plane.store.update({
    ...split(5, 5),
    metadata: { ...split(5, 5).metadata, resourceVersion: metadata.resourceVersion },
  })
  await until('all have the next', () => plane.discovery.convergence(Number(newer.resourceVersion)).active === 3)
  assert.deepEqual([orders, shop, late].map(weightsOf), [
    [5, 5],
    [5, 5],
    [5, 5],
  ])
})

test('a proxy may speak only for the service that its certificate names', async () => {
  await using plane = await start()
  const thief = (await plane.proxy(node('orders-1', 'orders'), 'shop')).open()
  await until('the stream is refused', () => thief.ended !== undefined)
  assert.equal(thief.ended!.code, 7)
  assert.match(thief.ended!.details, /sa\/shop may not speak for service "orders"/)
  assert.deepEqual(plane.platform.inventory.workloads, [])
})

test('a node that makes no sense is refused with every reason', async () => {
  await using plane = await start()
  const proxy = (
    await plane.proxy({ ...node('orders-1', 'orders'), id: 'other', ports: [{ name: 'http', port: 0, protocol: 'http' }] })
  ).open()
  await until('the stream is refused', () => proxy.ended !== undefined)
  assert.equal(proxy.ended!.code, 3)
  assert.match(proxy.ended!.details, /id: must be "orders-1\.default"[\s\S]*ports\[0\]\.port: must be a port/)
})

test('a proxy that ends its stream in order is out of traffic at once; one that breaks off is degraded until it is back', async () => {
  await using plane = await start()
  const shop = (await plane.proxy(node('shop-1', 'shop'))).open()
  const [one, two] = [(await plane.proxy(node('orders-1', 'orders'))).open(), (await plane.proxy(node('orders-2', 'orders'))).open()]
  const seen = () =>
    (shop.view.endpoints['default/orders:8080']?.endpoints ?? []).map(({ workload, health }) => `${workload} ${health}`).join(', ')
  await until('both are there', () => seen() === 'orders-1.default healthy, orders-2.default healthy')
  one!.stream!.end()
  await until('the first is gone', () => seen() === 'orders-2.default healthy')
  two!.stream!.cancel()
  await until('the second is degraded', () => seen() === 'orders-2.default degraded')
  const states = () => plane.discovery.proxies.map(({ id, state }) => `${id} ${state}`).join(', ')
  await until('the states say so', () => states() === 'orders-2.default disconnected, shop-1.default synced')
  two!.received = []
  two!.open()
  await until('it is healthy again', () => seen() === 'orders-2.default healthy')
  await until('it is synced again', () => plane.discovery.proxies.every(({ state }) => state === 'synced'))
  const changed = ['default/orders:8080', 'default/orders-v1:8080']
  assert.deepEqual(
    two!.received.filter(name => !changed.includes(name)),
    [],
    'nothing unchanged is sent to one that reconnects',
  )
})

test('what a proxy says of its probes decides whether its workload gets traffic', async () => {
  await using plane = await start()
  const of = node('orders-1', 'orders', { probe: { type: 'http', port: 8080, path: '/ready' } })
  const proxy = (await plane.proxy(of)).open()
  await until('it is registered', () => plane.platform.inventory.workloads.length === 1)
  const orders: unknown[] = []
  const stream = proxy.channel.stream(streamHealthCheck, { message: each => orders.push(each), end: () => {} })
  stream.send({ type: 'hello', node: nodeOf(of) })
  await until('it is told what to probe', () => orders.length === 1)
  assert.deepEqual(orders[0], {
    reportMs: 200,
    probes: [
      {
        name: 'probe/8080',
        host: '127.0.0.1',
        port: 8080,
        check: { type: 'http', path: '/ready' },
        failures: 1,
        timeoutMs: 1000,
        intervalMs: 200,
      },
    ],
  })
  const health = () => plane.platform.inventory.workloads[0]?.health
  assert.equal(health(), 'unhealthy')
  const say = (status: 'healthy' | 'timeout') =>
    stream.send({ type: 'results', results: [{ name: 'probe/8080', host: '127.0.0.1', port: 8080, status }] })
  say('healthy')
  await until('it is healthy', () => health() === 'healthy')
  say('timeout')
  await until('it is unhealthy', () => health() === 'unhealthy')
  stream.cancel()
})

test('what another identity says of a workload, by its probes or its counters, counts for nothing and ends its stream', async () => {
  await using plane = await start()
  const of = node('orders-1', 'orders', { probe: { type: 'none' } })
  const proxy = (await plane.proxy(of)).open()
  await until('it is registered', () => plane.platform.inventory.workloads.length === 1)
  const own = proxy.channel.stream(streamHealthCheck, { message: () => {}, end: () => {} })
  own.send({ type: 'hello', node: nodeOf(of) })
  own.send({ type: 'results', results: [] })
  const health = () => plane.platform.inventory.workloads[0]?.health
  await until('it is healthy', () => health() === 'healthy')

  const claimed = nodeOf(node('orders-1', 'shop', { probe: { type: 'tcp' } }))
  const { channel } = await plane.proxy(node('shop-1', 'shop'))
  let ended: { readonly code: number; readonly details: string } | undefined
  const end = (status: typeof ended): void => void (ended = status)
  const probes = channel.stream(streamHealthCheck, { message: () => {}, end })
  probes.send({ type: 'hello', node: claimed })
  probes.send({ type: 'results', results: [{ name: 'probe/8080', host: '127.0.0.1', port: 8080, status: 'timeout' }] })
  await until('the probes are refused', () => ended !== undefined)
  assert.deepEqual([ended!.code, /registered by .*sa\/orders, not by .*sa\/shop/.test(ended!.details)], [7, true])
  assert.equal(health(), 'healthy')

  ended = undefined
  channel.stream(streamMetrics, { message: () => {}, end }).send({ node: claimed, families: [] })
  await until('the counters are refused', () => ended !== undefined)
  assert.equal(ended!.code, 7)
})

test('a control plane that was started again tells of the proxies it waits for what it knew of them', async () => {
  await using plane = await start()
  const shop = (await plane.proxy(node('shop-1', 'shop', { admin: 'http://127.0.0.1:15000' }))).open()
  await until('the proxy has its view', () => shop.events.some(event => event.type === 'view'))
  const { store } = plane
  const later = new TestClock(Date.now() + 3_600_000)
  const platform = new Universal({ store, clock: later, log: silent })
  const loop = new CompileLoop({ store, platform, trust: () => ({ trustDomain: 'test.mesh', roots: [] }), clock: later, log: silent })
  const again = new Discovery({ loop, platform, clock: later, log: silent })
  const [known] = again.proxies
  assert.equal(known?.version, '0.1.0')
  assert.equal(known.state, 'disconnected')
  assert.equal(known.admin, 'http://127.0.0.1:15000')
  assert.ok(Date.parse(known.lastSeen) < later.now() - 3_000_000, `when it was heard of, not now: ${known.lastSeen}`)
  again.close()
  loop.close()
  platform.close()
})

test('a workload that a person wrote has no proxy, so none is missed', async () => {
  await using plane = await start()
  const written = admit({
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'Workload',
    metadata: { name: 'legacy', namespace: 'default' },
    spec: { service: 'legacy', identity: 'spiffe://test.mesh/ns/default/sa/legacy', ports: [{ name: 'http', port: 80, protocol: 'http' }] },
  })
  plane.store.transact([{ type: 'create', resource: written }])
  assert.equal(plane.platform.inventory.workloads.length, 1)
  assert.deepEqual(plane.discovery.proxies, [])
})
