import assert from 'node:assert/strict'
import type { Access, AccessCondition } from './access-rule.ts'
import { test } from 'node:test'
import { CallerAccess } from './access.ts'
import { type Claims, claimPath, headerOf, textsAt } from './claims.ts'
import { pinnedKeys } from './jwks.ts'

test('a dot leads into a claim, and one that is escaped is part of its name', () => {
  assert.deepEqual(claimPath('realm.roles'), ['realm', 'roles'])
  assert.deepEqual(claimPath('https://shop\\.example/roles'), ['https://shop.example/roles'])
})

test('of a list each element is looked at, of scope each word, and of other things nothing', () => {
  const claims = { groups: ['admin', 7], scope: 'read  write', ok: true, n: 1, realm: { roles: ['a'] } }
  assert.deepEqual(
    ['groups', 'scope', 'ok', 'n', 'realm', 'realm.roles', 'toString', 'none'].map(name => textsAt(claims, claimPath(name))),
    [['admin'], ['read', 'write'], ['true'], [], [], ['a'], [], []],
  )
})

test('a value that cannot stand in a header is in none', () => {
  const claims = { sub: 'me', bad: 'a\r\nx-role: root', list: ['a'], wide: 'ä' }
  assert.deepEqual(
    ['sub', 'bad', 'wide', 'list', 'none'].map(name => headerOf(claims, [name])),
    ['me', undefined, undefined, Buffer.from('["a"]').toString('base64url'), undefined],
  )
})

const admins: AccessCondition = { on: 'claim', path: ['groups'], any: [{ type: 'exact', value: 'admin' }] }
const web: AccessCondition = { on: 'identity', any: [{ type: 'exact', value: 'spiffe://d/ns/shop/sa/web' }] }
const judged = (access: Access, identity: string | undefined, claims?: Claims, method = 'GET') => {
  const caller = new CallerAccess(access, { identity, address: undefined }, 0)
  const { isAllowed } = caller.judge({ method, host: '', path: '/', search: '', header: () => undefined, claims })
  return isAllowed
}

test('a condition on claims holds for a verified token only, with all else that stands beside it', () => {
  const access: Access = {
    deny: [],
    allow: [{ name: 'n/p#0', from: [[web, admins]], to: [[{ on: 'method', any: [{ type: 'exact', value: 'GET' }] }]] }],
  }
  const id = 'spiffe://d/ns/shop/sa/web'
  assert.equal(judged(access, id, { groups: ['admin'] }), true)
  assert.equal(judged(access, id, { groups: ['admin'] }, 'PUT'), false)
  assert.equal(judged(access, id, { groups: ['other'] }), false)
  assert.equal(judged(access, id), false)
  assert.equal(judged(access, undefined, { groups: ['admin'] }), false)
})

test('who is let in by another alternative needs no claim', () => {
  const access: Access = { deny: [], allow: [{ name: 'n/p#0', from: [[admins], [web]], to: [] }] }
  assert.equal(judged(access, 'spiffe://d/ns/shop/sa/web'), true)
  assert.equal(judged(access, 'spiffe://d/ns/shop/sa/other'), false)
  assert.equal(judged(access, 'spiffe://d/ns/shop/sa/other', { groups: ['admin'] }), true)
})

const rsa = { kty: 'RSA', n: 'a'.repeat(342), e: 'AQAB' }
test('each key stands for algorithms of its own kind only, and never for one with a shared secret', () => {
  const keys = [
    rsa,
    { ...rsa, alg: 'PS256', kid: 'p' },
    { ...rsa, use: 'enc' },
    { ...rsa, n: 'short' },
    { kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' },
    { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', key_ops: ['sign'] },
    { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', alg: 'RS256' },
    { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', x5c: ['ignored'] },
    { kty: 'OKP', crv: 'Ed25519', x: 'x' },
    null,
  ]
  const pinned = pinnedKeys(JSON.stringify({ keys }), ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256', 'none'])
  assert.deepEqual(
    pinned.map(({ kty, alg, kid }) => [kty, alg, kid]),
    [
      ['RSA', 'RS256', undefined],
      ['RSA', 'PS256', undefined],
      ['RSA', 'PS256', 'p'],
      ['EC', 'ES256', undefined],
      ['OKP', 'EdDSA', undefined],
    ],
  )
  assert.ok(!JSON.stringify(pinned).includes('x5c'))
})

test('a key set with a private key in it is refused, and so is what is none', () => {
  assert.throws(() => pinnedKeys(JSON.stringify({ keys: [{ ...rsa, d: 'x' }] }), ['RS256']), /private key/)
  for (const text of ['', '{}', '[]', 'null', '{"keys":{}}']) assert.throws(() => pinnedKeys(text, ['RS256']), /no key set/)
})
