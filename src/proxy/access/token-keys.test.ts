import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { Failure } from '#base/failure'
import { silent } from '#base/log'
import type { Unverified } from '#identity/jwt'
import type { TokenIssuer } from '#model/token'
import { TokenKeys } from './token-keys.ts'

const jwk = { ...createPublicKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey).export({ format: 'jwk' }) }
const setOf = (...kids: readonly string[]): string => JSON.stringify({ keys: kids.map(kid => ({ ...jwk, kid })) })
const token = (kid: string): Unverified => ({ text: '', alg: 'ES256', kid, issuer: 'i' })
const issuer: TokenIssuer = {
  name: 'staff',
  issuer: 'i',
  audiences: [],
  keys: { type: 'url', url: 'https://keys.example/', backend: 'keys', refreshMs: 100_000, timeoutMs: 1000, algorithms: ['ES256'] },
  from: [],
  forward: false,
  claimsToHeaders: [],
  skewMs: 0,
}

/** A source that is told what to answer, and a clock that stands still until it is moved. */
class Source {
  now = 0
  asked = 0
  body: string | undefined
  status = 200
  readonly keys = new TokenKeys(
    silent,
    async () => {
      this.asked++
      if (this.body === undefined) throw new Error('it is down')
      return { status: this.status, body: this.body }
    },
    () => this.now,
  )
  /** Whether a key for the token is there; a failure's code where there are no keys. */
  async has(kid: string): Promise<boolean | string> {
    try {
      return (await this.keys.for(issuer, token(kid))).mayKnow(token(kid))
    } catch (thrown) {
      if (thrown instanceof Failure) return thrown.code
      throw thrown
    }
  }
  async settled(): Promise<void> {
    for (let turn = 0; turn < 50; turn++) await new Promise(resolve => setImmediate(resolve))
  }
}

test('requests that come at once ask once', async () => {
  const source = new Source()
  source.body = setOf('a')
  assert.deepEqual(await Promise.all([source.has('a'), source.has('a'), source.has('a')]), [true, true, true])
  assert.equal(source.asked, 1)
})

test('without keys requests fail, and ask again a second later', async () => {
  const source = new Source()
  assert.equal(await source.has('a'), 'keys-unavailable')
  source.now = 999
  assert.equal(await source.has('a'), 'keys-unavailable')
  assert.equal(source.asked, 1)
  source.now = 1000
  source.body = setOf('a')
  assert.equal(await source.has('a'), true)
})

test('an answer that is no key set, or has no key that may be used, or another status, is none', async () => {
  for (const [body, status] of [
    ['<html>', 200],
    [setOf(), 200],
    [setOf('a'), 500],
    ['{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', 200],
  ] as const) {
    const source = new Source()
    source.body = body
    source.status = status
    assert.equal(await source.has('a'), 'keys-unavailable', body)
  }
})

test('a kid that is not known is asked for, at most every five seconds', async () => {
  const source = new Source()
  source.body = setOf('a')
  await source.has('a')
  source.body = setOf('a', 'b')
  assert.equal(await source.has('b'), false)
  source.now = 5_000
  assert.equal(await source.has('b'), true)
  for (let at = 0; at < 100; at++) assert.equal(await source.has(`made-up-${at}`), false)
  assert.equal(source.asked, 2)
})

test('older keys are used while new ones are asked for; much older ones not', async () => {
  const source = new Source()
  source.body = setOf('a')
  await source.has('a')
  source.body = setOf('b')
  source.now = 100_001
  assert.equal(await source.has('a'), true, 'those of before, for they were asked for beside it')
  await source.settled()
  source.now += 1
  assert.equal(await source.has('a'), false)
  source.body = setOf('c')
  source.now += 200_001
  assert.equal(await source.has('b'), false, 'waited for')
  assert.equal(await source.has('c'), true)
})

test('the last good keys are used for as long as there are no others', async () => {
  const source = new Source()
  source.body = setOf('a')
  await source.has('a')
  source.body = undefined
  source.now = 150_000
  assert.equal(await source.has('a'), true)
  await source.settled()
  source.now = 10_000_000
  assert.equal(await source.has('a'), true)
  await source.settled()
  source.body = setOf('b')
  source.now += 2_000
  await source.has('a')
  await source.settled()
  assert.deepEqual([await source.has('a'), await source.has('b')], [false, true])
})

test('tokens that were verified belong to the keys that are there now', async () => {
  const source = new Source()
  source.body = setOf('a')
  const ring = await source.keys.for(issuer, token('a'))
  assert.equal(source.keys.now(issuer), ring)
  source.body = setOf('b')
  source.now = 5_000
  await source.has('b')
  assert.notEqual(source.keys.now(issuer), ring)
  source.now = 300_000
  assert.equal(source.keys.now(issuer), undefined, 'too old: they are asked for first')
})

test('keys in place that are none fail closed', async () => {
  const source = new Source()
  const empty: TokenIssuer = { ...issuer, keys: { type: 'inline', jwks: '{"keys":[]}' } }
  await assert.rejects(source.keys.for(empty, token('a')), (thrown: Failure) => thrown.code === 'keys-unavailable')
})
