import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import { SignJWT } from 'jose'
import { SignIn } from './sign-in.ts'

const issuer = 'https://login.example'

/** A provider that can change its keys, and fall silent; it counts what it is asked. */
class Provider {
  readonly keys = new Map<string, KeyObject>()
  jwks: object[] = []
  isSilent = false
  asked = 0
  addKey(kid: string, more: object = {}): void {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    this.keys.set(kid, privateKey)
    this.jwks.push({ ...publicKey.export({ format: 'jwk' }), kid, ...more })
  }
  readonly ask = async ({ url }: { readonly url: string }) => {
    this.asked++
    if (this.isSilent) throw new Error('it is silent')
    const said = url.endsWith('/jwks')
      ? { keys: this.jwks }
      : { issuer, jwks_uri: `${issuer}/jwks`, authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token` }
    return { status: 200, body: JSON.stringify(said), type: 'application/json' }
  }
  token(kid: string, now: number, audience = 'weft'): Promise<string> {
    return new SignJWT({ sub: 'ada' })
      .setProtectedHeader({ alg: 'ES256', kid })
      .setIssuer(issuer)
      .setAudience(audience)
      .setExpirationTime(now / 1000 + 3600)
      .sign(this.keys.get(kid)!)
  }
}

const start = Date.parse('2026-01-01T00:00:00Z')

function begun(provider: Provider): { readonly signIn: SignIn; readonly clock: { now: number } } {
  const clock = { now: start }
  const { ask } = provider
  const own = { issuer, clientId: 'weft', scopes: ['openid'], audiences: ['weft'], secret: async () => '' }
  return { signIn: new SignIn({ ...own, ask, now: () => clock.now }), clock }
}

test('a token is taken by the key that it names, and the provider is asked once', async () => {
  const provider = new Provider()
  provider.addKey('one')
  const { signIn } = begun(provider)
  const token = await provider.token('one', start)
  assert.equal((await signIn.verify(token)).claims['sub'], 'ada')
  await signIn.verify(token)
  assert.equal(provider.asked, 2)
  await assert.rejects(signIn.verify(await provider.token('one', start, 'others')), { message: 'it is for another audience' })
})

test('a key that is not known is asked for, though no more often than every ten seconds', async () => {
  const provider = new Provider()
  provider.addKey('one')
  const { signIn, clock } = begun(provider)
  await signIn.verify(await provider.token('one', start))
  provider.addKey('two')
  const token = await provider.token('two', start)
  await assert.rejects(signIn.verify(token), { message: 'no key of its issuer fits it' })
  assert.equal(provider.asked, 2)
  clock.now += 10_000
  await signIn.verify(token)
  assert.equal(provider.asked, 4)
})

test('keys that were taken away hold no more once they are old; while the provider is silent the last ones do', async () => {
  const provider = new Provider()
  provider.addKey('one')
  const { signIn, clock } = begun(provider)
  const token = await provider.token('one', start)
  await signIn.verify(token)
  provider.isSilent = true
  clock.now += 600_000
  await signIn.verify(token)
  provider.isSilent = false
  provider.jwks = []
  provider.addKey('two')
  clock.now += 10_000
  await assert.rejects(signIn.verify(token), { message: 'no key of its issuer fits it' })
})

test('without any keys the provider is said to be unavailable, and is asked again at the next token', async () => {
  const provider = new Provider()
  provider.addKey('one')
  provider.isSilent = true
  const { signIn } = begun(provider)
  const token = await provider.token('one', start)
  await assert.rejects(signIn.verify(token), { code: 'login-unavailable' })
  provider.isSilent = false
  await signIn.verify(token)
})

test('keys for encryption and symmetric ones are none, and of a key without algorithm those fit that its type has', async () => {
  const provider = new Provider()
  provider.addKey('encryption', { use: 'enc' })
  provider.addKey('other', { alg: 'ES384' })
  provider.jwks.push({ kty: 'oct', k: Buffer.alloc(32).toString('base64url'), kid: 'secret', alg: 'HS256' })
  const { signIn } = begun(provider)
  for (const kid of ['encryption', 'other'])
    await assert.rejects(signIn.verify(await provider.token(kid, start)), { message: 'no key of its issuer fits it' })
})
