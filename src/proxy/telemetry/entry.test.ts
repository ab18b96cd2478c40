import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nobody, partyOf } from './entry.ts'

test('a caller is named by the template of its own trust domain', () => {
  const trust = { idTemplates: { 'weft.test': '/{namespace}/{serviceAccount}' } }
  const told = (identity: string | undefined, by: Parameters<typeof partyOf>[1]): readonly string[] => {
    const { namespace, service } = partyOf(identity, by)
    return [namespace, service]
  }
  assert.deepEqual(told('spiffe://weft.test/shop/web', trust), ['shop', 'web'])
  assert.deepEqual(told('spiffe://other.test/shop/web', trust), ['', ''])
  assert.deepEqual(told('spiffe://other.test/ns/shop/sa/web', trust), ['shop', 'web'])
  assert.deepEqual(told('spiffe://weft.test/ns/shop/sa/web', {}), ['shop', 'web'])
  assert.deepEqual(partyOf(undefined, trust), nobody)
})
