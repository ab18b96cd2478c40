import assert from 'node:assert/strict'
import { test } from 'node:test'
import { network } from './fields.ts'

test('addresses and networks are told from what only looks like one', () => {
  const good = ['10.0.0.1', '10.0.0.0/8', '0.0.0.0/0', '255.255.255.255/32', '::1', '::/0', 'fd00::/8', '2001:db8::8:800:200c:417a/128']
  const bad = ['300.0.0.1', '10.0.0.0/33', '10.0.0', '10.0.0.0.0', '1:2', 'fd00::/129', ':::', '10.0.0.0/', 'a', '::g', '']
  assert.deepEqual(
    good.filter(text => !network().safeParse(text).success),
    [],
  )
  assert.deepEqual(
    bad.filter(text => network().safeParse(text).success),
    [],
  )
})
