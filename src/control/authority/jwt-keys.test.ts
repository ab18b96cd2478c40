import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import { silent } from '#base/log'
import { signJwtSvid, verifyJwtSvid } from '#identity/jwt-svid'
import { workloadId } from '#identity/spiffe'
import { temporaryFolder } from '#io/files'
import { openJwtKeys } from './jwt-keys.ts'

const web = workloadId('test.mesh', { namespace: 'default', serviceAccount: 'web' })
const day = 24 * 3_600_000
const kids = (jwks: string): readonly string[] => (JSON.parse(jwks) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid)

/** Until what the clock started on disk is done; looks are a minute apart. */
const until = async (clock: TestClock, isTrue: () => boolean): Promise<void> => {
  for (let tries = 0; !isTrue(); tries++) {
    assert.ok(tries < 20)
    clock.advance(60_000)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

test('a key is known for an hour before it signs, and after it signed for as long as its tokens may hold; then its file is gone', async () => {
  await using place = await temporaryFolder()
  const clock = new TestClock(1_000_000_000_000)
  let changes = 0
  const keys = await openJwtKeys({ folder: place.path, log: silent }, { clock, onChange: () => changes++ })
  try {
    const first = keys.signing()
    assert.deepEqual(kids(keys.jwks()), [first.kid])
    const token = await signJwtSvid(first, { identity: web, audience: ['x'], now: clock.now(), expiresAt: clock.now() + 30 * day })
    const holds = () => verifyJwtSvid(token, 'x', { 'test.mesh': keys.jwks() }, clock.now())

    clock.advance(7 * day)
    await until(clock, () => kids(keys.jwks()).length === 2)
    assert.equal(changes, 1)
    assert.equal(keys.signing().kid, first.kid)
    clock.advance(3_600_000)
    const second = keys.signing()
    assert.notEqual(second.kid, first.kid)
    assert.deepEqual(kids(keys.jwks()), [first.kid, second.kid])
    await holds()
    clock.advance(3_500_000)
    await until(clock, () => kids(keys.jwks()).length === 1)
    await assert.rejects(holds, /its key \(kid\) is none/)
    assert.deepEqual(readdirSync(place.path).toSorted(), ['jwt-keys.json', `jwt-${second.kid}.pem`].toSorted())
  } finally {
    keys.close()
  }
})

test('a restart goes on with the same keys, which only their owner can read and a passphrase encrypts; a damaged list is told', async () => {
  await using place = await temporaryFolder()
  const clock = new TestClock(1_000_000_000_000)
  const keeping = { folder: place.path, passphrase: 'a passphrase', log: silent }
  const open = async () => {
    const keys = await openJwtKeys(keeping, { clock, onChange: () => {} })
    keys.close()
    return keys
  }
  const [first, second] = [await open(), await open()]
  assert.equal(second.jwks(), first.jwks())
  const file = `${place.path}/jwt-${first.signing().kid}.pem`
  assert.match(readFileSync(file, 'utf8'), /ENCRYPTED PRIVATE KEY/)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  writeFileSync(`${place.path}/jwt-keys.json`, '{')
  await assert.rejects(open, /cannot use .*jwt-keys\.json: it is damaged; remove it/)
})
