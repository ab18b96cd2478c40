import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { type JWK, SignJWT } from 'jose'
import { KeyRing, longestToken, readJwt, TokenRefused } from './jwt.ts'

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwk = (more: object = {}) => ({ ...(createPublicKey(pair.privateKey).export({ format: 'jwk' }) as JWK), alg: 'ES256', ...more })
const now = 1_800_000_000_000
const expected = { issuer: 'i', audiences: ['a'], skewMs: 10_000 }
const sign = (claims: object = {}, header: object = {}): Promise<string> =>
  new SignJWT({ iss: 'i', aud: 'a', exp: now / 1000 + 60, ...claims }).setProtectedHeader({ alg: 'ES256', ...header }).sign(pair.privateKey)
const refused = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
  } catch (thrown) {
    if (thrown instanceof TokenRefused) return `${thrown.code}: ${thrown.message}`
    throw thrown
  }
  return 'taken'
}
const verdict = async (claims: object = {}, header: object = {}): Promise<string> => {
  const ring = await KeyRing.of([jwk({ kid: 'k' })])
  return refused(sign(claims, header).then(text => ring.verify(readJwt(text), expected, now)))
}

test('a token holds until its end, and a little longer for clocks that differ', async () => {
  const ring = await KeyRing.of([jwk()])
  const verified = await ring.verify(readJwt(await sign()), expected, now)
  assert.deepEqual([verified.claims['iss'], verified.until], ['i', now + 70_000])
  assert.equal(await verdict({ exp: now / 1000 - 9 }), 'taken')
  assert.match(await verdict({ exp: now / 1000 - 10 }), /^token-expired/)
  assert.equal(await verdict({ nbf: now / 1000 + 10 }), 'taken')
  assert.match(await verdict({ nbf: now / 1000 + 11 }), /nbf/)
  assert.match(await verdict({ iat: now / 1000 + 11 }), /iat/)
  assert.match(await verdict({ nbf: 'soon' }), /its nbf is no number/)
})

test('a key is for its kid, where both have one', async () => {
  assert.equal(await verdict({}, { kid: 'k' }), 'taken')
  assert.equal(await verdict(), 'taken')
  assert.match(await verdict({}, { kid: 'other' }), /no key/)
  const unnamed = await KeyRing.of([jwk()])
  assert.equal(unnamed.mayKnow(readJwt(await sign({}, { kid: 'other' }))), true)
})

test('a key is for its algorithm, whatever the token says', async () => {
  const ring = await KeyRing.of([jwk({ alg: 'ES384' })])
  assert.equal(ring.mayKnow(readJwt(await sign())), false)
})

test('keys that cannot be read are left out of a ring', async () => {
  assert.equal((await KeyRing.of([jwk(), jwk({ x: '!' }), { kty: 'RSA', n: 'x', alg: 'RS256' }])).size, 1)
})

test('a token has one text: no other last character, and nothing in front of its JSON', async () => {
  const ring = await KeyRing.of([jwk()])
  const text = await sign()
  const taken: string[] = []
  for (const last of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
    const other = text.slice(0, -1) + last
    if ((await refused((async () => ring.verify(readJwt(other), expected, now))())) === 'taken') taken.push(other)
  }
  assert.deepEqual(taken, [text])
  const part = (json: string) => Buffer.from(json).toString('base64url')
  const [header, claims] = ['{"alg":"ES256"}', '{"iss":"i"}']
  for (const [first, second, says] of [
    [`\ufeff${header}`, claims, /its header is no JSON/],
    [header, `\ufeff${claims}`, /its payload is no JSON/],
  ] as const)
    assert.match(await refused((async () => readJwt(`${part(first)}.${part(second)}.c2ln`))()), says)
  assert.match(await refused((async () => readJwt(`${part(header)}.${part(claims)}.c2lnZh`))()), /three parts/)
})

test('what is wrong is said without a word of the token', async () => {
  const part = (text: string) => Buffer.from(text).toString('base64url')
  const says = (header: string, payload = '{"iss":"i"}', rest = '.c2ln') =>
    refused((async () => readJwt(`${part(header)}.${part(payload)}${rest}`))())
  assert.match(await says('{"alg":"none"}'), /not signed by an algorithm/)
  assert.match(await says('{"alg":"HS256"}'), /not signed by an algorithm/)
  assert.match(await says('{"alg":"ES256","crit":["exp"]}'), /crit/)
  assert.match(await says('{"alg":"ES256","b64":false}'), /b64/)
  assert.match(await says('{"alg":"ES256","typ":"dpop+jwt"}'), /typ/)
  assert.match(await says('{"alg":"ES256","kid":7}'), /kid/)
  assert.match(await says('{"alg":"ES256","alg":"ES256"}'), /header says something twice/)
  assert.match(await says('{"alg":"ES256"}', '{"iss":"i","a":{"b":1,"\\u0062":2}}'), /payload says something twice/)
  assert.equal(await says('{"alg":"ES256"}', '{"iss":"i","a":[{"b":1},{"b":2}],"c":"\\"b\\":"}'), 'taken')
  assert.match(await says('{"alg":"ES256"}', '[]'), /no object/)
  assert.match(await says('{"alg":"ES256"}', '{"iss":7}'), /no issuer/)
  assert.match(await says('{"alg":"ES256"}', '{"iss":"i"}', ''), /three parts/)
  assert.match(await says('{"alg":"ES256"}', '{"iss":"i"}', '.'), /three parts/)
  assert.match(await says('{"alg":"ES256"}', '{"iss":"i"}', '.a b'), /three parts/)
  assert.match(await refused((async () => readJwt('a'.repeat(longestToken + 1)))()), /longer than/)
})
