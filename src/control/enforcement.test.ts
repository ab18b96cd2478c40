/** Who keeps a policy: by what each proxy acknowledged, refused, or never heard; and what its status says of them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProxyStatus } from '#api/mesh-api'
import type { Enforced, ResourceStatus } from '#compiler'
import { Enforcement } from './enforcement.ts'

const said: ResourceStatus = {
  apiVersion: 'weft.dev/v1alpha1',
  kind: 'AccessPolicy',
  namespace: 'shop',
  name: 'callers',
  ancestors: [
    {
      ancestorRef: { group: '', kind: 'Service', name: 'cart' },
      controllerName: 'weft.dev/mesh',
      conditions: [{ type: 'Accepted', status: 'True', reason: 'Accepted', message: 'The policy holds' }],
    },
  ],
}
const policy = (generation: number, ...workloads: readonly string[]): Enforced => ({
  kind: 'AccessPolicy',
  namespace: 'shop',
  name: 'callers',
  generation,
  workloads: workloads.map(id => ({ id, isBare: id.startsWith('bare') })),
})
const proxy = (id: string, active: number, more: Partial<ProxyStatus> = {}): ProxyStatus => ({
  id,
  workload: id,
  namespace: 'shop',
  service: 'cart',
  version: '1',
  state: 'synced',
  lastSeen: '',
  wanted: active,
  active,
  rejected: [],
  health: 'healthy',
  identity: '',
  ...more,
})
const told = (enforcement: Enforcement, of: Enforced, ...proxies: readonly ProxyStatus[]) => {
  const { more, ancestors } = enforcement.told(said, of, new Map(proxies.map(each => [each.id, each])))
  const conditions = ancestors![0]!.conditions.map(({ type, status, reason, message }) => [type, status, reason, message])
  return { enforcement: more!['enforcement'], conditions }
}

test('a proxy keeps a policy from the version on that has it as it is written, also when others follow', () => {
  const enforcement = new Enforcement()
  const one = policy(1, 'a', 'b')
  enforcement.compiled([one], 7)
  assert.deepEqual(told(enforcement, one, proxy('a', 7), proxy('b', 6)), {
    enforcement: {
      proxies: 2,
      enforcing: 1,
      by: ['a'],
      not: [{ proxy: 'b', reason: 'Pending', message: 'it has not acknowledged this version yet' }],
    },
    conditions: [
      ['Accepted', 'True', 'Accepted', 'The policy holds'],
      ['Enforced', 'False', 'Pending', '1 of 2 proxies keep it. b: it has not acknowledged this version yet'],
    ],
  })
  enforcement.compiled([one], 9)
  assert.deepEqual(told(enforcement, one, proxy('a', 7), proxy('b', 8)).conditions[1], [
    'Enforced',
    'True',
    'Enforced',
    '2 of 2 proxies keep it',
  ])
  const two = policy(2, 'a', 'b')
  enforcement.compiled([two], 10)
  assert.deepEqual(told(enforcement, two, proxy('a', 9), proxy('b', 10)).enforcement, {
    proxies: 2,
    enforcing: 1,
    by: ['b'],
    not: [{ proxy: 'a', reason: 'Pending', message: 'it has not acknowledged this version yet' }],
  })
})

test('for a proxy that refuses it the policy is not accepted, and the proxy is named with its reason', () => {
  const enforcement = new Enforcement()
  const one = policy(1, 'a', 'b')
  enforcement.compiled([one], 7)
  const rejected = [{ type: 'RouteConfiguration', resource: 'inbound/8080', reason: 'rbac: not carried out', at: '' }]
  const { conditions } = told(enforcement, one, proxy('a', 7), proxy('b', 6, { state: 'rejected', rejected }))
  assert.deepEqual(conditions, [
    ['Accepted', 'False', 'ProxyRefuses', 'not accepted for b: it refuses inbound/8080: rbac: not carried out'],
    ['Enforced', 'False', 'ProxyRefuses', '1 of 2 proxies keep it. b: it refuses inbound/8080: rbac: not carried out'],
  ])
})

test('who has no proxy, or one that is away, keeps nothing for sure; where nobody runs nothing is said', () => {
  const enforcement = new Enforcement()
  const one = policy(1, 'away', 'bare', 'gone')
  enforcement.compiled([one], 7)
  const { enforcement: list, conditions } = told(enforcement, one, proxy('away', 7, { state: 'disconnected' }))
  assert.deepEqual(
    (list as { readonly not: readonly { readonly reason: string }[] }).not.map(each => each.reason),
    ['NoProxy', 'ProxyAway', 'ProxyAway'],
  )
  assert.deepEqual(conditions[1]!.slice(0, 3), ['Enforced', 'False', 'NoProxy'])
  const none = policy(1)
  enforcement.compiled([none], 7)
  assert.deepEqual(told(enforcement, none), {
    enforcement: { proxies: 0, enforcing: 0 },
    conditions: [['Accepted', 'True', 'Accepted', 'The policy holds']],
  })
})

test('an Envoy that has no means for a policy does not keep it; what it does in another way is told and kept', () => {
  const enforcement = new Enforcement()
  const one = policy(1, 'a', 'b')
  enforcement.compiled([one], 7)
  const lack = (fate: 'closed' | 'less', name = 'shop/callers') => ({
    lacking: [{ kind: 'AccessPolicy', name, fate, says: `it is ${fate}` }],
  })
  const closed = told(enforcement, one, proxy('a', 7), proxy('b', 7, lack('closed')))
  assert.deepEqual(closed.conditions[1], ['Enforced', 'False', 'ProxyLacks', '1 of 2 proxies keep it. b: it is closed'])
  const less = told(enforcement, one, proxy('a', 7), proxy('b', 7, lack('less')))
  assert.deepEqual(less.conditions[1], ['Enforced', 'True', 'Enforced', '2 of 2 proxies keep it; b: it is less'])
  const other = told(enforcement, one, proxy('a', 7), proxy('b', 7, lack('closed', 'shop/other')))
  assert.deepEqual(other.conditions[1]!.slice(0, 2), ['Enforced', 'True'])
})
