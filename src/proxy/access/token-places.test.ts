import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TokenPlace } from '#model/token'
import type { Exchange } from '../requests/exchange.ts'
import { findTokens, withoutToken } from './token-places.ts'

const asked = (...fields: readonly string[]): Exchange => ({ head: { fields }, search: '' }) as unknown as Exchange
const found = (place: TokenPlace, ...fields: readonly string[]): readonly string[] =>
  findTokens(asked(...fields), [place]).map(({ text }) => text)
const bearer: TokenPlace = { type: 'header', name: 'authorization', prefix: 'Bearer ' }
const own: TokenPlace = { type: 'header', name: 'x-id-token', prefix: '' }

test('what stands behind the scheme is a token, whatever its case and however it is parted from it', () => {
  assert.deepEqual(found(bearer, 'Authorization', 'bearer   a.b.c'), ['a.b.c'])
  assert.deepEqual(found(bearer, 'Authorization', 'Bearer\ta.b.c'), ['a.b.c'])
  assert.deepEqual(found(bearer, 'Authorization', 'Basic a.b.c'), [])
})

test('a name that servers of CGI\u2019s kind take for the same is the same: two of it are refused, and none goes on', () => {
  assert.deepEqual(found(own, 'X_Id-Token', 'a.b.c'), ['a.b.c'])
  assert.throws(() => found(own, 'x-id-token', 'a.b.c', 'X_ID_TOKEN', 'd.e.f'), { message: 'there is more than one' })
  assert.deepEqual(found(own, 'x-id-tokens', 'a.b.c', 'xxid-token', 'a'), [])
  const exchange = asked('X_Id-Token', 'a.b.c', 'accept', '*/*')
  withoutToken(exchange, own)
  assert.deepEqual(exchange.requestChange?.remove, ['x_id-token'])
})
