import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Route } from '../route.ts'
import { emptyView, type View } from '../view.ts'
import { spellings, withoutLookAlikes } from './look-alikes.ts'

test('a name is spelt with underscores in each mixture, and one of many words in the likely ones', () => {
  assert.deepEqual(spellings('x'), [])
  assert.deepEqual(spellings('x-user'), ['x_user'])
  assert.deepEqual(spellings('x-real-ip').toSorted(), ['x-real_ip', 'x_real-ip', 'x_real_ip'])
  assert.equal(new Set(spellings('a-b-c-d-e-f')).size, 31)
  assert.deepEqual(spellings('a-b-c-d-e-f-g').length, 7)
  assert.ok(spellings('a-b-c-d-e-f-g').includes('a_b_c_d_e_f_g'))
})

test('where requests come in, routes take look-alikes of what is told out; where they go out nothing is changed', () => {
  const route = (name: string, more: Partial<Route> = {}): Route => ({
    name,
    origin: name,
    match: { path: { type: 'prefix', value: '/' } },
    filters: [
      {
        type: 'request-headers',
        change: { set: [{ name: 'x-tenant', value: 'own' }], add: [{ name: 'x-more', value: 'a' }], remove: ['x-debug'] },
      },
    ],
    action: { type: 'forward', backends: [{ backend: 'app', weight: 1 }] },
    ...more,
  })
  const listener = (name: string, direction: 'inbound' | 'outbound' | 'gateway') => ({
    name,
    direction,
    host: '127.0.0.1',
    port: 80,
    protocol: 'http' as const,
    service: 'shop/app',
    routes: name,
    logins: [],
    tokens: [
      {
        name: 'shop/staff',
        isRequired: true,
        issuers: [
          {
            name: 'staff',
            issuer: 'https://staff.test',
            audiences: [],
            keys: { type: 'inline' as const, jwks: '{"keys":[]}' },
            from: [],
            forward: false,
            claimsToHeaders: [{ claim: 'sub', header: 'x-user' }],
            skewMs: 0,
          },
        ],
      },
    ],
  })
  const table = (name: string) => ({
    name,
    hosts: [{ name: 'all', domains: ['*'], routes: [route('a'), route('b', { action: { type: 'respond', status: 404, detail: '' } })] }],
  })
  const names = { in: 'inbound', out: 'outbound', edge: 'gateway' } as const
  const view: View = {
    ...emptyView,
    listeners: Object.fromEntries(Object.entries(names).map(([name, direction]) => [name, listener(name, direction)])),
    routes: Object.fromEntries(Object.keys(names).map(name => [name, table(name)])),
  } as View
  const made = withoutLookAlikes(view)
  assert.equal(made.routes['out'], view.routes['out'])
  for (const name of ['in', 'edge']) {
    const [first, second] = made.routes[name]!.hosts[0]!.routes
    const last = first!.filters.at(-1)!
    assert.ok(last.type === 'request-headers')
    for (const each of ['x_user', 'x_tenant', 'x_debug', 'x_forwarded_client_cert', 'x-forwarded-client_cert'])
      assert.ok(last.change.remove.includes(each), each)
    for (const each of ['x-user', 'x-tenant', 'x_more', 'x-forwarded-for']) assert.ok(!last.change.remove.includes(each), each)
    assert.deepEqual(first!.filters.slice(0, -1), route('a').filters)
    assert.deepEqual(second!.filters, route('b').filters)
  }
})
