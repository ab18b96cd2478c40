import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admit } from '#resources/validate'
import type { Revocation } from '#resources/weft'
import { findRevocations, withoutRevoked } from './revocations.ts'

const now = Date.parse('2026-06-01T00:00:00Z')
const made = (name: string, spec: object): Revocation =>
  admit({ apiVersion: 'weft.dev/v1alpha1', kind: 'Revocation', metadata: { name }, spec }) as Revocation
const find = (...all: readonly Revocation[]) => findRevocations(all, 'weft.local', now)
const said = (all: ReturnType<typeof find>): readonly string[] =>
  all.statuses.flatMap(({ name, conditions = [] }) => conditions.map(({ type, status, reason }) => `${name} ${type} ${status} ${reason}`))

test('identities, patterns, serials and trust domains each become an entry, and those with identities a denial at every port', () => {
  const found = find(
    made('one', {
      identities: ['spiffe://weft.local/ns/shop/sa/web', 'spiffe://weft.local/ns/lab/*'],
      serials: ['4F:2A:90'],
      trustDomains: ['partner.example'],
      reason: 'KeyCompromise',
    }),
  )
  const by = { by: 'one', reason: 'KeyCompromise' }
  assert.deepEqual(found.revoked, [
    { ...by, identity: { type: 'exact', value: 'spiffe://weft.local/ns/shop/sa/web' } },
    { ...by, identity: { type: 'prefix', value: 'spiffe://weft.local/ns/lab/' } },
    { ...by, identity: { type: 'prefix', value: 'spiffe://partner.example/' } },
    { ...by, serial: '4f2a90' },
  ])
  assert.deepEqual(
    found.rules.map(({ name, to }) => ({ name, to })),
    [{ name: 'Revocation/one#0', to: [] }],
  )
  assert.deepEqual(said(found), ['one Accepted True Accepted'])
})

test('one that has ended says so and holds no more; the next end is told', () => {
  const found = find(
    made('past', { serials: ['aa'], until: '2026-05-31T23:59:59Z' }),
    made('soon', { serials: ['bb'], until: '2026-06-01T00:00:10Z' }),
    made('later', { serials: ['cc'], until: '2027-06-01T00:00:00Z' }),
  )
  assert.deepEqual(
    found.revoked.map(each => each.by),
    ['soon', 'later'],
  )
  assert.equal(found.endsAt, now + 10_000)
  assert.deepEqual(said(found)[0], 'past Accepted False Expired')
})

test('the mesh itself cannot be revoked, and serials that an Envoy cannot see are said to be so', () => {
  assert.deepEqual(said(find(made('own', { trustDomains: ['weft.local'] }))), ['own Accepted False Invalid'])
  const blind = findRevocations([made('one', { serials: ['aa'] })], 'weft.local', now, 'web.shop takes it')
  assert.deepEqual(said(blind), ['one Accepted True Accepted', 'one PartiallyInvalid True UnsupportedValue'])
})

test('who is revoked is no endpoint; where nobody is, the inventory is the same object', () => {
  const workload = (name: string) =>
    ({
      name,
      namespace: 'shop',
      service: name,
      labels: {},
      identity: `spiffe://weft.local/ns/shop/sa/${name}`,
      ports: [],
      health: 'healthy',
    }) as const
  const inventory = { workloads: [workload('web'), workload('cart')] }
  const { revoked } = find(made('one', { identities: ['spiffe://weft.local/ns/shop/sa/web'] }))
  assert.deepEqual(
    withoutRevoked(inventory, revoked).workloads.map(({ name }) => name),
    ['cart'],
  )
  assert.equal(withoutRevoked(inventory, find(made('two', { serials: ['aa'] })).revoked), inventory)
})

test('where it names the control plane it says that it is not carried out for it, and holds for the others', () => {
  const control = 'spiffe://weft.local/ns/weft-system/sa/control'
  const alone = find(made('one', { identities: [control] }))
  assert.deepEqual([said(alone), alone.revoked, alone.rules], [['one Accepted False Invalid'], [], []])
  const both = find(made('one', { identities: [control, 'spiffe://weft.local/ns/shop/sa/web'] }))
  assert.deepEqual(said(both), ['one Accepted True Accepted', 'one PartiallyInvalid True UnsupportedValue'])
  assert.deepEqual(both.revoked.length, 1)
  const pattern = find(made('one', { identities: ['spiffe://weft.local/ns/weft-system/*'] }))
  assert.deepEqual(said(pattern), ['one Accepted True Accepted', 'one PartiallyInvalid True UnsupportedValue'])
  assert.match(JSON.stringify(pattern.statuses), /sa\/control is the control plane, for which it is not carried out/)
})
