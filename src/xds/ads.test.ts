import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import type { Backend, EndpointSet } from '#model/backend'
import type { Listener } from '#model/listener'
import type { RouteTable } from '#model/route'
import { emptyView, type View } from '#model/view'
import { AdsClient, type ClientEvent } from './client.ts'
import { ClusterSchema } from './gen/envoy/config/cluster/v3/cluster_pb.ts'
import type { DeltaReply, DeltaRequest } from './messages.ts'
import { nodeOf } from './node.ts'
import { callDelta, serveDelta, serveState } from './rpcs.ts'
import { AdsServer, type ServerEvent, snapshotOf } from './server.ts'
import { typeUrls } from './types.ts'

const node = nodeOf({
  id: 'a.default',
  workload: 'a',
  namespace: 'default',
  service: 'a',
  labels: {},
  ports: [],
  probe: { type: 'none' },
  version: '0',
})
const trust = { domain: 'weft.test', roots: ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'] }

const backend = (name: string, connectTimeoutMs = 1000): Backend => ({
  name,
  service: 'x',
  type: 'endpoints',
  port: 80,
  protocol: 'http1',
  balance: 'round-robin',
  connectTimeoutMs,
  identities: [],
})
const endpoints = (name: string, ...ports: number[]): EndpointSet => ({
  backend: name,
  endpoints: ports.map(port => ({ host: '10.0.0.1', port, weight: 1, health: 'healthy', mtls: false, workload: 'w' })),
})
const table = (name: string, ...backends: string[]): RouteTable => ({
  name,
  hosts: [
    {
      name: 'all',
      domains: ['*'],
      routes: [
        {
          name: 'r',
          origin: 'r',
          match: {},
          filters: [],
          action: { type: 'forward', backends: backends.map(backend => ({ backend, weight: 1 })) },
        },
      ],
    },
  ],
})
const listener = (name: string, routes: string): Listener => ({
  name,
  direction: 'outbound',
  host: '240.77.0.1',
  port: 80,
  protocol: 'http',
  routes,
  service: 'x',
})

function viewOf(parts: { listeners?: Listener[]; routes?: RouteTable[]; backends?: Backend[]; endpoints?: EndpointSet[] }): View {
  const byName = <Part extends { name: string }>(list: Part[] = []) => Object.fromEntries(list.map(part => [part.name, part]))
  return {
    ...emptyView,
    listeners: byName(parts.listeners),
    routes: byName(parts.routes),
    backends: byName(parts.backends),
    endpoints: Object.fromEntries((parts.endpoints ?? []).map(set => [set.backend, set])),
    trust,
  }
}
const simple = viewOf({
  listeners: [listener('l', 't')],
  routes: [table('t', 'b')],
  backends: [backend('b')],
  endpoints: [endpoints('b', 1)],
})

/** Both machines and the bytes between them. What each sent is kept; `hold` keeps what goes to the client. */
class Pair {
  readonly client = new AdsClient({ node })
  server = new AdsServer('delta')
  readonly events: ClientEvent[] = []
  readonly serverEvents: ServerEvent[] = []
  sent: DeltaReply[] = []
  requests: DeltaRequest[] = []
  now = 0
  spoil: (reply: DeltaReply) => DeltaReply = reply => reply
  connect(): this {
    this.server = new AdsServer('delta')
    this.sent = []
    this.requests = []
    this.client.open(this.now)
    this.run()
    return this
  }
  set(view: View, revision: number): this {
    this.server.setSnapshot(snapshotOf(view, revision))
    this.run()
    return this
  }
  run(): void {
    for (;;) {
      const up = this.client.drain()
      for (const request of up) {
        this.requests.push(request)
        this.serverEvents.push(...this.server.receive(serveDelta.request.decode(callDelta.request.encode(request))))
      }
      const down = this.server.drain()
      for (const reply of down.map(this.spoil)) {
        this.sent.push(reply)
        this.events.push(...this.client.receive(callDelta.reply.decode(serveDelta.reply.encode(reply)), this.now))
      }
      if (up.length === 0 && down.length === 0) return
    }
  }
  get names(): string[] {
    return this.sent.flatMap(({ resources, removed }) => [...resources.map(({ name }) => name), ...removed.map(name => `-${name}`)])
  }
}

test('a client that connects gets the whole view at once and says it is ready', () => {
  const pair = new Pair().connect().set(simple, 7)
  assert.equal(pair.client.ready, true)
  assert.deepEqual(pair.client.view, simple)
  assert.deepEqual(
    pair.events.map(event => event.type),
    ['view'],
  )
  assert.equal(pair.server.progress.active, 7)
  assert.deepEqual(
    pair.serverEvents.map(event => event.type),
    ['node'],
  )
})

test('an empty mesh is a view too', () => {
  const pair = new Pair().connect().set(viewOf({}), 1)
  assert.equal(pair.client.ready, true)
  assert.equal(pair.server.progress.active, 1)
})

test('a client without roots is not ready, however long it waits', () => {
  const pair = new Pair().connect().set({ ...simple, trust: emptyView.trust }, 1)
  assert.equal(pair.client.ready, false)
  pair.now = 60_000
  pair.client.expire(pair.now)
  assert.equal(pair.client.ready, false)
})

test('one endpoint that changes is all that is sent, and every other part stays the same object', () => {
  const pair = new Pair().connect().set(simple, 1)
  const before = pair.client.view
  pair.sent = []
  pair.set({ ...simple, endpoints: { b: endpoints('b', 1, 2) } }, 2)
  assert.deepEqual(pair.names, ['b'])
  assert.equal(pair.sent[0]!.typeUrl, typeUrls.endpoints)
  const after = pair.client.view
  assert.notEqual(after.endpoints, before.endpoints)
  for (const part of ['listeners', 'routes', 'backends', 'dns', 'trust'] as const) assert.equal(after[part], before[part])
  assert.equal(pair.server.progress.active, 2)
})

test('a revision that changes nothing for this proxy is active without a message', () => {
  const pair = new Pair().connect().set(simple, 1)
  pair.sent = []
  pair.set({ ...simple }, 9)
  assert.deepEqual(pair.sent, [])
  assert.equal(pair.server.progress.active, 9)
})

test('a route is never in a view before the endpoints it leads to', () => {
  const pair = new Pair().connect().set(simple, 1)
  const views: View[] = []
  const more = viewOf({
    listeners: [listener('l', 't')],
    routes: [table('t', 'c')],
    backends: [backend('c')],
    endpoints: [endpoints('c', 9)],
  })
  pair.events.length = 0
  pair.set(more, 2)
  for (const event of pair.events) if (event.type === 'view') views.push(event.view)
  assert.ok(views.length > 0)
  for (const view of views) {
    const action = view.routes['t']!.hosts[0]!.routes[0]!.action
    const [to] = action.type === 'forward' ? action.backends : []
    assert.ok(view.backends[to!.backend!], `routes lead to ${to!.backend}, which is not there`)
    assert.ok(view.endpoints[to!.backend!])
  }
  assert.deepEqual(pair.client.view, more)
})

test('a reconnecting client is sent only what changed in between, and told what is gone', () => {
  const two = viewOf({
    listeners: [listener('l', 't')],
    routes: [table('t', 'b')],
    backends: [backend('b'), backend('c')],
    endpoints: [endpoints('b', 1), endpoints('c', 1)],
  })
  const pair = new Pair().connect().set(two, 1)
  pair.client.close()
  pair.connect().set({ ...simple, endpoints: { b: endpoints('b', 5) } }, 2)
  assert.deepEqual(pair.names.sort(), ['-c', '-c', 'b'])
  assert.deepEqual(pair.client.view, { ...simple, endpoints: { b: endpoints('b', 5) } })
  assert.equal(pair.server.progress.active, 2)
})

test('while the control plane is away the view stays and so does readiness', () => {
  const pair = new Pair().connect().set(simple, 1)
  pair.client.close()
  assert.equal(pair.client.ready, true)
  assert.deepEqual(pair.client.view, simple)
  assert.equal(pair.client.deadline, undefined)
})

const body = (timeout: boolean) =>
  toBinary(ClusterSchema, create(ClusterSchema, { name: 'b', ...(timeout ? { maxRequestsPerConnection: 1 } : {}) }))

test('a resource that cannot be carried out is refused by name, the last good one stays, and a mended one is taken', () => {
  const pair = new Pair().connect().set(simple, 1)
  const strange = backend('b', 2000)
  pair.spoil = reply => ({
    ...reply,
    resources: reply.resources.map(resource =>
      resource.typeUrl === typeUrls.cluster ? { ...resource, deltaField: spoiled(resource.name, resource.version) } : resource,
    ),
  })
  pair.set({ ...simple, backends: { b: strange }, endpoints: { b: endpoints('b', 3) } }, 2)
  assert.deepEqual(
    pair.events.filter(event => event.type === 'rejected').map(({ resource }) => resource),
    ['b'],
  )
  assert.equal(pair.client.view.backends['b']!.connectTimeoutMs, 1000)
  assert.deepEqual(
    pair.client.view.endpoints['b']!.endpoints.map(({ port }) => port),
    [3],
    'what is good is taken',
  )
  assert.equal(pair.server.progress.active, 1)
  assert.match(pair.server.progress.rejected[0]!.reason, /max_requests_per_connection: not carried out/)
  pair.spoil = reply => reply
  pair.set({ ...simple, backends: { b: backend('b', 3000) } }, 3)
  assert.equal(pair.client.view.backends['b']!.connectTimeoutMs, 3000)
  assert.deepEqual(pair.server.progress, { active: 3, wanted: 3, rejected: [] })
})

function spoiled(name: string, version: string): Uint8Array {
  const bytes = (field: number, value: Uint8Array) => Uint8Array.from([(field << 3) | 2, value.length, ...value])
  const text = (value: string) => new TextEncoder().encode(value)
  const long = (field: number, value: Uint8Array) =>
    Uint8Array.from([(field << 3) | 2, (value.length & 127) | 128, value.length >> 7, ...value])
  const any = Uint8Array.from([...bytes(1, text(typeUrls.cluster)), ...bytes(2, body(true))])
  return long(2, Uint8Array.from([...bytes(1, text(version)), ...bytes(2, any), ...bytes(3, text(name))]))
}

test('a value waits for what it needs, and no longer than patience', () => {
  const client = new AdsClient({ node, patienceMs: 1000 })
  const server = new AdsServer('delta')
  client.open(0)
  server.setSnapshot(snapshotOf(simple, 1))
  for (const request of client.drain()) server.receive(request)
  const pass = (now: number, but: string): ClientEvent[] => {
    const events: ClientEvent[] = []
    for (const reply of server.drain())
      if (reply.typeUrl !== but) events.push(...client.receive(callDelta.reply.decode(serveDelta.reply.encode(reply)), now))
    for (const request of client.drain()) server.receive(request)
    return events
  }
  assert.deepEqual(pass(10, ''), [])
  assert.deepEqual(pass(20, typeUrls.endpoints), [], 'the endpoints are lost on the way')
  assert.equal(client.deadline, 1000)
  assert.deepEqual(client.expire(999), [])
  const [event] = client.expire(1000)
  assert.equal(event?.type, 'view')
  assert.deepEqual(client.view.listeners, simple.listeners)
  assert.equal(client.ready, false)
})

test('newer snapshots wait for the answers to the last, and overtake each other', () => {
  const server = new AdsServer('delta')
  const ask = (typeUrl: string, subscribe: string[], nonce = '') =>
    server.receive({ typeUrl, subscribe, unsubscribe: [], initialVersions: {}, nonce })
  ask(typeUrls.cluster, ['*'])
  ask(typeUrls.listener, ['*'])
  server.setSnapshot(snapshotOf(simple, 1))
  const first = server.drain()
  assert.deepEqual(
    first.map(({ typeUrl }) => typeUrl),
    [typeUrls.cluster, typeUrls.listener],
  )
  for (const revision of [2, 3, 4]) server.setSnapshot(snapshotOf({ ...simple, backends: { b: backend('b', revision) } }, revision))
  assert.deepEqual(server.drain(), [])
  ask(typeUrls.cluster, [], first[0]!.nonce)
  assert.deepEqual(server.drain(), [], 'the listeners are not answered yet')
  ask(typeUrls.cluster, [], 'a nonce of another stream')
  ask(typeUrls.listener, [], first[1]!.nonce)
  const second = server.drain()
  assert.deepEqual(
    second.map(({ version }) => version),
    ['4'],
  )
  assert.equal(server.progress.active, 1)
  ask(typeUrls.cluster, [], second[0]!.nonce)
  assert.equal(server.progress.active, 4)
})

test('a name that does not exist is answered as gone, and sent when it appears', () => {
  const server = new AdsServer('delta')
  server.setSnapshot(snapshotOf(simple, 1))
  const ask = (subscribe: string[], nonce = '') =>
    server.receive({ typeUrl: typeUrls.endpoints, subscribe, unsubscribe: [], initialVersions: {}, nonce })
  ask(['later'])
  const [reply] = server.drain()
  assert.deepEqual(reply!.removed, ['later'])
  ask([], reply!.nonce)
  server.setSnapshot(snapshotOf({ ...simple, endpoints: { ...simple.endpoints, later: endpoints('later', 1) } }, 2))
  assert.deepEqual(
    server.drain().map(({ resources }) => resources.map(({ name }) => name)),
    [['later']],
  )
})

test('an unsubscribed name is not sent any more; one subscribed again is sent again', () => {
  const server = new AdsServer('delta')
  server.setSnapshot(snapshotOf(simple, 1))
  const say = (subscribe: string[], unsubscribe: string[], nonce = '') =>
    server.receive({ typeUrl: typeUrls.endpoints, subscribe, unsubscribe, initialVersions: {}, nonce })
  say(['b'], [])
  say([], ['b'], server.drain()[0]!.nonce)
  server.setSnapshot(snapshotOf({ ...simple, endpoints: { b: endpoints('b', 8) } }, 2))
  assert.deepEqual(server.drain(), [])
  say(['b'], [])
  assert.deepEqual(
    server.drain().map(({ resources }) => resources.length),
    [1],
  )
})

test('state of the world: a reply about clusters is complete, one about endpoints is what changed, and an old nonce is passed over', () => {
  const two = viewOf({ backends: [backend('b'), backend('c')], endpoints: [endpoints('b', 1), endpoints('c', 1)] })
  const server = new AdsServer('state')
  server.setSnapshot(snapshotOf(two, 1))
  const ask = (typeUrl: string, names: string[], nonce = '', error?: { code: number; message: string }) =>
    server.receiveState({ typeUrl, names, version: '', nonce, error })
  ask(typeUrls.cluster, [])
  ask(typeUrls.endpoints, ['b', 'c'])
  const [clusters, sets] = server.drain()
  assert.deepEqual([clusters!.resources.length, sets!.resources.length], [2, 2])
  assert.ok(serveState.reply.encode(clusters!).length > 0)
  ask(typeUrls.cluster, [], clusters!.nonce)
  ask(typeUrls.endpoints, ['b', 'c'], sets!.nonce)
  server.setSnapshot(
    snapshotOf({ ...two, backends: { ...two.backends, b: backend('b', 9) }, endpoints: { ...two.endpoints, c: endpoints('c', 2) } }, 2),
  )
  const [both, changed] = server.drain()
  assert.deepEqual(both!.resources.map(({ name }) => name).sort(), ['b', 'c'])
  assert.deepEqual(changed!.resources.map(({ name }) => name).sort(), ['b', 'c'], 'those of an updated cluster come again')
  assert.deepEqual(ask(typeUrls.cluster, [], clusters!.nonce, { code: 3, message: 'late' }), [])
  const [event] = ask(typeUrls.cluster, [], both!.nonce, { code: 3, message: 'Error adding/updating cluster(s) b: no' })
  assert.deepEqual(event?.type === 'rejected' && event.resources.map(({ resource }) => resource), ['b'])
})

test('a refusal that names nothing is found out: each resource is sent again by itself', () => {
  const server = new AdsServer('delta')
  const ask = (subscribe: string[], nonce = '', message?: string) =>
    server.receive({
      typeUrl: typeUrls.cluster,
      subscribe,
      unsubscribe: [],
      initialVersions: {},
      nonce,
      ...(message === undefined ? {} : { error: { code: 13, message } }),
    })
  server.setSnapshot(snapshotOf({ ...simple, backends: { good: backend('good', 1), bad: backend('bad', 1) } }, 1))
  ask(['*'])
  const [whole] = server.drain()
  assert.deepEqual(ask([], whole!.nonce, 'something is not implemented here'), [])
  const alone = server.drain()
  assert.deepEqual(
    alone.map(({ resources }) => resources.map(({ name }) => name)),
    [['good'], ['bad']],
  )
  ask([], alone[0]!.nonce)
  ask([], alone[1]!.nonce, 'something is not implemented here')
  assert.deepEqual(
    server.progress.rejected.map(({ resource }) => resource),
    ['bad'],
  )
})
