import assert from 'node:assert/strict'
import { SignJWT } from 'jose'
import { test } from 'node:test'
import { BadJwtSvid, jwksOf, type NamedKey, signJwtSvid, verifyJwtSvid } from './jwt-svid.ts'
import { newKey } from './key.ts'
import { workloadId } from './spiffe.ts'

const web = workloadId('test.mesh', { namespace: 'default', serviceAccount: 'web' })
const own: NamedKey = { kid: 'one', key: await newKey() }
const other: NamedKey = { kid: 'two', key: await newKey() }
const bundles = { 'test.mesh': await jwksOf([own, other]) }
const now = 1_000_000_000_000
const signed = (by: NamedKey = own, expiresAt = now + 300_000): Promise<string> =>
  signJwtSvid(by, { identity: web, audience: ['bank', 'shop'], now, expiresAt })

test('a token is the identity for each audience that it names, by any key of its trust domain', async () => {
  for (const by of [own, other]) {
    const { identity, claims } = await verifyJwtSvid(await signed(by), 'shop', bundles, now)
    assert.equal(identity, web)
    assert.equal(claims['iss'], 'spiffe://test.mesh')
  }
  assert.doesNotMatch(bundles['test.mesh'], /"d"/)
})

test('another audience, another time, another key, another domain: each refused in its own words', async () => {
  const refused = (token: string, audience: string, says: RegExp, at = now, by: Readonly<Record<string, string>> = bundles) =>
    assert.rejects(
      () => verifyJwtSvid(token, audience, by, at),
      (thrown: Error) => thrown instanceof BadJwtSvid && says.test(thrown.message),
    )
  await refused(await signed(), 'elsewhere', /another audience/)
  await refused(await signed(), '', /another audience/)
  await refused(await signed(), 'shop', /it expired at 2001/, now + 300_000)
  await refused(await signed({ ...own, kid: 'unknown' }), 'shop', /its key \(kid\) is none/)
  await refused(await signed({ kid: 'one', key: other.key }), 'shop', /signature does not fit/)
  await refused(await signed(), 'shop', /trust domain test\.mesh is not known/, now, {})
  const raw = (claims: Record<string, unknown>, header: Record<string, string> = {}): Promise<string> =>
    new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'one', ...header }).sign(own.key.private)
  await refused(await raw({ sub: 'web', aud: 'shop', exp: 2e9 }), 'shop', /not a SPIFFE id/)
  await refused(await raw({ aud: 'shop', exp: 2e9 }), 'shop', /no subject/)
  await refused(await raw({ sub: web, aud: 'shop' }), 'shop', /no time at which it ends/)
  await refused(await raw({ sub: web, aud: 'shop', exp: 2e9 }, { typ: 'at+jwt' }), 'shop', /neither JWT nor JOSE/)
  const none = (await signed()).split('.')
  await refused([Buffer.from('{"alg":"none"}').toString('base64url'), none[1], ''].join('.'), 'shop', /./)
  const secret = await new SignJWT({ sub: web, aud: 'shop', exp: 2e9 })
    .setProtectedHeader({ alg: 'HS256', kid: 'one' })
    .sign(new TextEncoder().encode(bundles['test.mesh']))
  await refused(secret, 'shop', /algorithm/)
})
