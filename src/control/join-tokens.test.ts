import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import { BadToken } from '#identity/token'
import { temporaryFolder } from '#io/files'
import { openJoinTokens } from './join-tokens.ts'

const made = { id: 'one', identity: 'spiffe://test.mesh/ns/default/sa/orders', expiresAt: 600_000, createdBy: 'somebody' }
const open = (path = ':memory:', clock = new TestClock()) => ({ clock, tokens: openJoinTokens({ path, clock }) })

test('a token for one use is used by one key; the same key may ask again, another is told when and where it was used', () => {
  const { tokens } = open()
  tokens.add('secret', { ...made, uses: 1 })
  assert.equal(tokens.use('secret', 'key-1', '10.0.0.1:1').isAgain, false)
  assert.equal(tokens.use('secret', 'key-1', '10.0.0.1:2').isAgain, true)
  assert.throws(
    () => tokens.use('secret', 'key-2', '10.0.0.2:1'),
    (thrown: Error) =>
      thrown instanceof BadToken && /used already \(at 1970.*, from 10\.0\.0\.1:1\), and it is good for one use/.test(thrown.message),
  )
  const [kept] = tokens.list()
  assert.deepEqual([kept?.state, kept?.used, kept?.uses], ['used', 1, 1])
})

test('a use of which no certificate came does not count', () => {
  const { tokens } = open()
  tokens.add('secret', { ...made, uses: 1 })
  tokens.use('secret', 'key-1', 'here').takeBack()
  assert.equal(tokens.use('secret', 'key-2', 'here').isAgain, false)
  // An earlier use by the same key stands, though a later request by it fails.
  tokens.use('secret', 'key-2', 'here').takeBack()
  assert.throws(() => tokens.use('secret', 'key-3', 'here'), /used already/)
})

test('a token without a number of uses brings in as many as come, and each is counted', () => {
  const { tokens } = open()
  tokens.add('secret', made)
  for (const key of ['a', 'b', 'c']) tokens.use(` secret\n`, key, 'here')
  assert.deepEqual(
    tokens.list().map(({ state, used }) => [state, used]),
    [['usable', 3]],
  )
})

test('unknown and revoked tokens are refused, each in its own words', () => {
  const { tokens } = open()
  tokens.add('secret', made)
  assert.throws(() => tokens.use('other', 'key', 'here'), /does not know it.*weft token create/)
  assert.equal(tokens.revoke('nobody'), undefined)
  assert.equal(tokens.revoke('one')?.state, 'revoked')
  assert.throws(() => tokens.use('secret', 'key', 'here'), /was revoked at 1970/)
})

test('uses and labels outlive a restart, the file holds no token, and what expired is forgotten after a day', async () => {
  await using place = await temporaryFolder()
  const path = `${place.path}/join-tokens.db`
  const first = open(path)
  first.tokens.add('the-secret-text', { ...made, uses: 1, selector: 'app=web' })
  first.tokens.use('the-secret-text', 'key', 'here')
  first.tokens.bind('0a', 'app=web', 1_000_000)
  first.tokens[Symbol.dispose]()
  assert.doesNotMatch(readFileSync(path, 'latin1'), /the-secret-text/)

  const second = open(path)
  assert.equal(second.tokens.boundTo('0a'), 'app=web')
  assert.equal(second.tokens.boundTo('0b'), undefined)
  assert.throws(() => second.tokens.use('the-secret-text', 'other', 'here'), /used already/)
  second.clock.advance(600_001)
  assert.equal(second.tokens.list()[0]?.state, 'used')
  second.clock.advance(25 * 3_600_000)
  second.tokens.add('next', { ...made, id: 'two' })
  assert.deepEqual(
    second.tokens.list().map(({ id }) => id),
    ['two'],
  )
  assert.equal(second.tokens.boundTo('0a'), undefined)
  second.tokens[Symbol.dispose]()
})
