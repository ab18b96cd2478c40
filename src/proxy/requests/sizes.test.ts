import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forwarded } from './forwarding.ts'
import type { Exchange } from './exchange.ts'
import { bound } from './sizes.ts'

const asked = ['host', 'web', 'accept', '*/*', 'x-shop', '1']
const atCaller = { listener: { direction: 'outbound', service: 'web.default' } } as Exchange['entry']
const atCalled = {
  listener: { direction: 'inbound', service: 'web.default' },
  peer: 'spiffe://weft.test/ns/default/sa/shop',
} as Exchange['entry']
const from = (fields: readonly string[], entry: Exchange['entry']) => ({ head: { fields }, entry, length: 0 }) as Exchange

test('a request with just as many and as long headers as are taken passes the proxy of the caller and that of the called, which sees more', () => {
  const onItsWay = forwarded(asked, atCaller)
  assert.ok(onItsWay.length > asked.length)
  const sizes = { headerCount: asked.length / 2, headerBytes: asked.join('').length }
  bound(from(asked, atCaller), sizes)
  bound(from(onItsWay, atCalled), sizes)
  for (const entry of [atCaller, atCalled])
    assert.throws(() => bound(from([...asked, 'x-one', 'more'], entry), sizes), { detail: '4 fields; 3 are taken' })
})

test('who is not a proxy of the mesh does not get past the limit by the names that those use', () => {
  const flood = Array.from({ length: 10 }, (_, at) => [`x-forwarded-${at}`, '1']).flat()
  assert.throws(() => bound(from(flood, { ...atCalled, peer: undefined }), { headerCount: 5 }), { detail: '10 fields; 5 are taken' })
})
