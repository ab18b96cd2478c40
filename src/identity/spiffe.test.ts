import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultIdTemplate } from '#base/id-template'
import { controlId, isSpiffeId, type SpiffeId, spiffeParts, workloadId, workloadOf } from './spiffe.ts'

const good = ['spiffe://a', 'spiffe://test.mesh/ns/default/sa/orders', 'spiffe://1_2-3.x/A.b_c-9', `spiffe://${'a'.repeat(255)}/x`]
const bad = [
  '',
  'https://a/b',
  'SPIFFE://a/b',
  'spiffe:/a',
  'spiffe://',
  'spiffe:///a',
  'spiffe://A/b',
  'spiffe://a:443/b',
  'spiffe://user@a/b',
  'spiffe://a/',
  'spiffe://a/b/',
  'spiffe://a//b',
  'spiffe://a/./b',
  'spiffe://a/b/..',
  'spiffe://a/b?c',
  'spiffe://a/b#c',
  'spiffe://a/%41',
  'spiffe://a/ü',
  'spiffe://a/b c',
  'spiffe://a/b\n',
  `spiffe://${'a'.repeat(256)}/x`,
  `spiffe://a/${'x'.repeat(2048)}`,
]

test('ids that the specification allows are taken, all others are not', () => {
  for (const id of good) assert.ok(isSpiffeId(id), id)
  for (const id of bad) assert.ok(!isSpiffeId(id), id)
})

test('a workload id is made and read back', () => {
  const id = workloadId('test.mesh', { namespace: 'shop', serviceAccount: 'orders.v2' })
  assert.equal(id, 'spiffe://test.mesh/ns/shop/sa/orders.v2')
  assert.deepEqual(spiffeParts(id), { trustDomain: 'test.mesh', path: '/ns/shop/sa/orders.v2' })
  assert.deepEqual(workloadOf(id, defaultIdTemplate), { namespace: 'shop', serviceAccount: 'orders.v2' })
  assert.equal(workloadOf(id, '/{namespace}/{serviceAccount}'), undefined)
  assert.deepEqual(spiffeParts('spiffe://a/other' as SpiffeId), { trustDomain: 'a', path: '/other' })
  assert.deepEqual(spiffeParts('spiffe://a' as SpiffeId), { trustDomain: 'a', path: '' })
})

test('a name that would change the path is refused', () => {
  for (const name of ['', '.', '..', 'b/sa/c', 'a b', 'ä']) {
    assert.throws(() => workloadId('test.mesh', { namespace: name, serviceAccount: 'x' }), RangeError)
    assert.throws(() => workloadId('test.mesh', { namespace: 'x', serviceAccount: name }), RangeError)
    assert.throws(() => workloadId('test.mesh', { namespace: 'x', serviceAccount: name }, '/{namespace}/{serviceAccount}'), RangeError)
  }
})

test('the control plane is the same whatever the template', () => {
  assert.equal(controlId('test.mesh'), 'spiffe://test.mesh/ns/weft-system/sa/control')
  assert.equal(controlId('test.mesh'), workloadId('test.mesh', { namespace: 'weft-system', serviceAccount: 'control' }))
})
