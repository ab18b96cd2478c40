import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { Client } from '#api/client'
import type { ProxyStatus } from '#api/mesh-api'
import { emptyView, type View } from '#model/view'
import { chooseProxy } from '../commands/proxy.ts'
import { endpointRows, routeRows, tellMatch } from './rows.ts'

test('a match is told in one line', () => {
  assert.equal(tellMatch({}), '*')
  assert.equal(
    tellMatch({
      method: 'GET',
      path: { type: 'prefix', value: '/a/' },
      headers: [{ name: 'x-v', type: 'exact', value: '2' }],
      query: [{ name: 'q', type: 'regex', value: '.+' }],
    }),
    'GET /a/* x-v=2 ?q~.+',
  )
})

const route = (backends: readonly { readonly backend: string | undefined; readonly weight: number }[]): View => ({
  ...emptyView,
  routes: {
    t: {
      name: 't',
      hosts: [
        {
          name: 'h',
          domains: ['*'],
          routes: [{ name: 'r', origin: 'HTTPRoute default/split rule 0', match: {}, filters: [], action: { type: 'forward', backends } }],
        },
      ],
    },
  },
})

test('weights are told as shares, and a share that is answered 500 as such', () => {
  const [row] = routeRows(
    route([
      { backend: 'a', weight: 90 },
      { backend: undefined, weight: 10 },
    ]),
  )
  assert.deepEqual(row, ['t', '*', 'a 90%, an invalid backend (500) 10%', 'HTTPRoute default/split rule 0'])
})

test('weights that are all zero are told as none', () => {
  assert.equal(
    routeRows(
      route([
        { backend: 'a', weight: 0 },
        { backend: 'b', weight: 0 },
      ]),
    )[0]![2],
    'a 0%, b 0%',
  )
})

test('a backend without endpoints is told', () => {
  const backend = {
    name: 'default/a:80',
    service: 'a.default',
    type: 'endpoints',
    port: 80,
    protocol: 'http1',
    balance: 'round-robin',
    connectTimeoutMs: 1000,
    identities: [],
  } as const
  assert.deepEqual(endpointRows({ ...emptyView, backends: { a: backend } })[0]!.slice(0, 2), ['default/a:80', 'none'])
})

const proxy = (workload: string, service: string, state: ProxyStatus['state'], namespace = 'default'): ProxyStatus => ({
  id: `${workload}.${namespace}`,
  workload,
  namespace,
  service,
  version: '1',
  state,
  lastSeen: '',
  wanted: 1,
  active: 1,
  rejected: [],
  health: 'healthy',
  identity: '',
})
const mesh: Pick<Client, 'proxies'> = {
  proxies: async () => [proxy('a-1', 'a', 'disconnected'), proxy('a-2', 'a', 'synced'), proxy('b-1', 'b', 'synced', 'shop')],
}

test('a proxy is found by its id, its workload, or its service, of which a connected one is taken', async () => {
  const found = await Promise.all(
    [
      ['a-1.default', 'x'],
      ['a-1', 'default'],
      ['a', 'default'],
      ['b.shop', 'default'],
    ].map(([name, namespace]) => chooseProxy(mesh, name!, namespace!)),
  )
  assert.deepEqual(
    found.map(({ id }) => id),
    ['a-1.default', 'a-1.default', 'a-2.default', 'b-1.shop'],
  )
})

test('a proxy that is not there is told with those that are', async () => {
  await assert.rejects(chooseProxy(mesh, 'b', 'default'), /there is one in shop: -n shop/)
  await assert.rejects(chooseProxy(mesh, 'c', 'default'), /services with proxies: a, b/)
})
