import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CallSeen } from '#api/mesh-api'
import type { Service } from '#resources/core'
import type { Resource } from '#resources/kind'
import { check } from '#resources/validate'
import { World } from '../world/world.ts'
import { workloadsWithout } from '../world/inventory.ts'
import { dangersOf } from '../commands/suggest.ts'
import { coverageOf, deniedBy } from './coverage.ts'
import { suggestPolicies } from './suggest.ts'

const at = '2026-01-01T00:00:00Z'
const id = (name: string, namespace = 'shop'): string => `spiffe://weft.local/ns/${namespace}/sa/${name}`
const seen = (from: string, what: string, more: Partial<CallSeen> = {}): CallSeen => {
  const [method = '', path = ''] = what.split(' ')
  return {
    service: 'cart.shop',
    identity: from,
    port: 8080,
    protocol: 'http',
    method,
    path,
    outcome: 'allowed',
    count: 1,
    firstAt: at,
    lastAt: at,
    ...more,
  }
}
const service: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'cart', namespace: 'shop' },
  spec: {
    type: 'ClusterIP',
    selector: { app: 'cart' },
    ports: [{ name: 'http', port: 80, targetPort: 8080, protocol: 'TCP', appProtocol: 'http' }],
  },
}
const options = { trustDomain: 'weft.local', services: [service], paths: true }

test('callers that need the same share a rule; identities of elsewhere are written whole; methods of alike paths stand together', () => {
  const calls = [
    seen(id('web'), 'GET /items/*'),
    seen(id('web'), 'POST /items'),
    seen(id('web'), 'GET /items'),
    seen(id('app', 'mobile'), 'GET /items'),
    seen(id('app', 'mobile'), 'POST /items'),
    seen(id('app', 'mobile'), 'GET /items/*'),
    seen('spiffe://other.example/batch', 'POST /shop.Cart/Add', { protocol: 'grpc' }),
    seen('', 'GET /items'),
  ]
  const [policy, ...others] = suggestPolicies(calls, options)
  assert.equal(others.length, 0)
  assert.deepEqual(policy?.metadata, { name: 'suggested-cart', namespace: 'shop' })
  assert.deepEqual(policy?.spec.targetRefs, [{ kind: 'Service', name: 'cart' }])
  assert.deepEqual(policy?.spec.rules, [
    {
      from: [{ identities: ['spiffe://other.example/batch'] }],
      to: [{ ports: [8080], grpc: [{ service: 'shop.Cart', method: 'Add' }] }],
    },
    {
      from: [{ serviceAccounts: ['mobile/app', 'web'] }],
      to: [
        { ports: [8080], methods: ['GET'], paths: [{ type: 'Prefix', value: '/items' }] },
        { ports: [8080], methods: ['GET', 'POST'], paths: [{ type: 'Exact', value: '/items' }] },
      ],
    },
  ])
  assert.deepEqual(check(policy).found, [])
})

test('without paths a port is all there is; a port that no Service leads to is met by the label of its workload', () => {
  const calls = [seen(id('web'), 'GET /a'), seen(id('web'), '', { port: 9000, protocol: 'tcp' })]
  const [policy] = suggestPolicies(calls, { ...options, paths: false })
  assert.deepEqual(policy?.spec.targetRefs, [{ kind: 'Workload', labels: { app: 'cart' } }])
  assert.deepEqual(policy?.spec.rules, [{ from: [{ serviceAccounts: ['web'] }], to: [{ ports: [8080, 9000] }] }])
})

test('paths of which nothing is known, bytes beside requests, and more than a policy holds make a rule wider, never one that does not apply', () => {
  const [any] = suggestPolicies([seen(id('web'), 'GET /*'), seen(id('web'), 'GET /a'), seen(id('web'), 'PUT /a')], options)
  assert.deepEqual(any?.spec.rules[0]?.to, [
    { ports: [8080], methods: ['GET'] },
    { ports: [8080], methods: ['PUT'], paths: [{ type: 'Exact', value: '/a' }] },
  ])
  const [bytes] = suggestPolicies([seen(id('web'), 'GET /a'), seen(id('web'), '', { protocol: 'tcp' })], options)
  assert.deepEqual(bytes?.spec.rules[0]?.to, [{ ports: [8080] }])
  const many = Array.from({ length: 200 }, (_, nth) => seen(id(`caller-${nth}`), `GET /a${String.fromCharCode(97 + (nth % 26))}`))
  const [whole] = suggestPolicies(many, options)
  assert.deepEqual(check(whole).found, [])
  const crowd = Array.from({ length: 200 }, (_, nth) => seen(id(`caller-${nth}`), 'GET /a'))
  assert.deepEqual(
    suggestPolicies(crowd, options)[0]?.spec.rules.map(({ from }) => from?.[0]?.serviceAccounts?.length),
    [64, 64, 64, 8],
  )
})

test('what callers make up makes no policy that is refused, nor one for two services', () => {
  const long = 'a'.repeat(60)
  const odd = [
    seen(id('web'), 'POST /a;b', { protocol: 'grpc' }),
    seen(id('web'), `POST /x/${'%E4'.repeat(400)}`, { protocol: 'grpc' }),
    seen(id('web'), 'OPTIONS *'),
    seen(id('web'), 'GET /a', { service: `${long}b.shop` }),
    seen(id('web'), 'GET /a', { service: `${long}c.shop` }),
  ]
  const made = suggestPolicies(odd, options)
  assert.equal(new Set(made.map(({ metadata }) => metadata.name)).size, 3)
  for (const each of made) assert.deepEqual(check(each).found, [])
  const resources = [service, ...made]
  const world = new World(resources, {
    trustDomain: 'weft.local',
    workloads: workloadsWithout(resources, [], 'weft.local', 'shop'),
    now: 0,
  })
  assert.deepEqual(deniedBy(world, odd.slice(2, 3)), [])
  assert.match(deniedBy(world, [seen('', 'GET /zzz')])[0]!.says, /the caller proves no identity/)
})

test('what is suggested allows every call that it was made of and no other, by the code of the proxies', () => {
  const calls = [
    seen(id('web'), 'GET /items/*'),
    seen(id('web'), 'POST /items'),
    seen(id('app', 'mobile'), 'POST /shop.Cart/Add', { protocol: 'grpc' }),
    seen('', 'GET /items'),
  ]
  const worldOf = (more: readonly Resource[]) => {
    const resources = [service, ...more]
    return new World(resources, { trustDomain: 'weft.local', workloads: workloadsWithout(resources, [], 'weft.local', 'shop'), now: 0 })
  }
  const open = worldOf([])
  const told = { since: at, at, calls, decisions: [], dropped: 0 }
  assert.deepEqual(coverageOf(open, told).uncovered.length, 3)
  const closed = worldOf(suggestPolicies(calls, options))
  assert.deepEqual(
    deniedBy(closed, calls).map(({ call }) => call),
    [calls[3]],
  )
  assert.deepEqual(coverageOf(closed, told).uncovered, [])
  assert.deepEqual(
    coverageOf(closed, told).unused.map(({ rule }) => rule),
    [0, 1],
  )
  const others = [seen(id('web'), 'DELETE /items'), seen(id('app', 'mobile'), 'GET /items'), seen(id('job'), 'GET /items/*')]
  assert.equal(deniedBy(closed, others).length, 3)
})

test('a lockdown is safe when calls were watched for long enough by every proxy and none of them would be denied', () => {
  const world = new World([], { trustDomain: 'weft.local', workloads: [], now: 0 })
  const live = { world, seen: { since: at, at, calls: [], decisions: [], dropped: 0 } }
  const proxy = { id: 'cart-1.shop', state: 'synced', version: '0.1.0' } as const
  const well = { live, watchedMs: 60_000, minWatchMs: 60_000, denied: [], proxies: [proxy] }
  assert.deepEqual(dangersOf(well), [])
  const told = (more: Partial<Parameters<typeof dangersOf>[0]>): string => dangersOf({ ...well, ...more }).join()
  assert.match(told({ watchedMs: 59_000 }), /^watching for 59s only, less than 60s/)
  assert.match(told({ denied: [{ call: seen(id('web'), 'GET /'), says: '' }] }), /^1 kind of calls that are let in now would be denied$/)
  assert.match(told({ live: { world, seen: { ...live.seen, dropped: 2 } } }), /^there was no room for 2 calls/)
  assert.match(told({ proxies: [{ ...proxy, state: 'disconnected' }] }), /not known now.*: cart-1\.shop$/)
  assert.match(told({ proxies: [{ ...proxy, version: 'envoy 1.38.0' }] }), /do not tell who calls them: cart-1\.shop$/)
})

test('callers are named by service account where the template of the mesh has one, and by their id elsewhere', () => {
  const calls = [
    'spiffe://weft.local/shop/web',
    'spiffe://weft.local/far/job',
    'spiffe://partner.test/shop/web',
    'spiffe://weft.local/ns/shop/sa/web',
  ]
  const [policy] = suggestPolicies(
    calls.map(from => seen(from, 'GET /a')),
    { ...options, idTemplate: '/{namespace}/{serviceAccount}' },
  )
  assert.deepEqual(policy?.spec.rules?.[0]?.from, [
    { serviceAccounts: ['far/job', 'web'] },
    { identities: ['spiffe://partner.test/shop/web', 'spiffe://weft.local/ns/shop/sa/web'] },
  ])
})
