import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearest } from '#base/near'
import type { ProxyStatus } from '#api/mesh-api'
import { doubtsOf, whyInVain } from './doubts.ts'

const id = (service: string): string => `spiffe://weft.local/ns/default/sa/${service}`
const proxy = (workload: string, service: string): ProxyStatus => ({
  id: `${workload}.default`,
  workload,
  namespace: 'default',
  service,
  version: '1',
  state: 'synced',
  lastSeen: '',
  wanted: 1,
  active: 1,
  rejected: [],
  health: 'healthy',
  identity: id(service),
  certificate: { notAfter: '2026-06-01T00:00:00Z', serial: '4f2a' },
})
const mesh = {
  trustDomain: 'weft.local',
  proxies: [proxy('hello-v1', 'hello'), proxy('orders-1', 'orders')],
  trust: { domains: [{ trustDomain: 'partner.example' }] },
}
const doubts = (subject: Parameters<typeof doubtsOf>[0]) => doubtsOf(subject, mesh, nearest)

test('the control plane and the mesh itself are refused', () => {
  assert.match(whyInVain({ identities: ['spiffe://weft.local/ns/weft-system/sa/control'] }, 'weft.local')!, /is the control plane itself/)
  assert.match(whyInVain({ trustDomains: ['weft.local'] }, 'weft.local')!, /is the mesh itself/)
  assert.equal(whyInVain({ identities: ['spiffe://partner.example/ns/weft-system/sa/control'] }, 'weft.local'), undefined)
})

test('who is known is not doubted, nor who is of a mesh that is believed', () => {
  assert.deepEqual(doubts({ identities: [id('hello'), 'spiffe://weft.local/ns/default/*', 'spiffe://partner.example/x'] }), [])
  assert.deepEqual(doubts({ serials: ['4f2a'], trustDomains: ['partner.example'] }), [])
})

test('an identity that no workload has is told with the one that was meant', () => {
  assert.deepEqual(doubts({ identities: [id('hello-v1')] }), [
    `no known workload has the identity ${id('hello-v1')}; hello-v1 is a workload whose identity is ${id('hello')}`,
  ])
  assert.deepEqual(doubts({ identities: [id('ordres')] }), [
    `no known workload has the identity ${id('ordres')}; the nearest is ${id('orders')}`,
  ])
  assert.match(doubts({ identities: [id('orders-canary')] })[0]!, /orders-canary; the nearest is \S+sa\/orders$/)
})

test('a serial that nobody shows, and a trust domain that nobody believes, are told', () => {
  assert.match(doubts({ serials: ['aa'] })[0]!, /^no known workload shows a certificate with the serial aa: weft cert doctor -o json/)
  assert.deepEqual(doubts({ trustDomains: ['x.example'] }), ['the trust domain x.example is not believed anyway'])
})
