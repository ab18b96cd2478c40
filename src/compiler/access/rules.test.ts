import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AccessPolicy } from '#resources/weft'
import { admit } from '#resources/validate'
import { lowerRules } from './rules.ts'

const lowered = (action: 'Allow' | 'Deny', rule: object) =>
  lowerRules(
    admit({
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'AccessPolicy',
      metadata: { name: 'p', namespace: 'shop' },
      spec: { targetRefs: [{ name: 'cart' }], action, rules: [rule] },
    }) as AccessPolicy,
    'weft.local',
    {},
  )

test('networks are in one form, whichever way they are written', () => {
  const ipBlocks = ['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::ffff:10.0.0.0/104', '::ffff:c000:207']
  assert.deepEqual(lowered('Deny', { from: [{ ipBlocks }] }).rules[0]?.from, [
    [{ on: 'address', networks: ['10.0.0.0/8', '192.0.2.7/32', '2001:db8::/32', '10.0.0.0/8', '192.0.2.7/32'] }],
  ])
})

test('a call of gRPC is let in as a POST, and shut out whatever its method is', () => {
  const to = [{ grpc: [{ service: 'shop.Cart', method: 'Add' }] }]
  const path = { on: 'path', any: [{ type: 'exact', value: '/shop.Cart/Add' }] }
  assert.deepEqual(lowered('Deny', { to }).rules[0]?.to[0]?.http, [path])
  assert.deepEqual(lowered('Allow', { to }).rules[0]?.to[0]?.http, [path, { on: 'method', any: [{ type: 'exact', value: 'POST' }] }])
})
