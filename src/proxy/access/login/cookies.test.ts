import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LoginPolicy } from '#model/login'
import { clearSession, cookiesIn, isOwn, pendingIn, sessionIn, writePending, writeSession } from './cookies.ts'

const policy = { cookie: { name: 'weft-login-a', sameSite: 'Lax' } } as unknown as LoginPolicy
const other = { cookie: { name: 'weft-login-ab', sameSite: 'Lax' } } as unknown as LoginPolicy
/** What a browser sends after these were set. */
const kept = (lines: readonly string[]): readonly string[] =>
  lines.filter(each => !each.includes('Max-Age=0')).flatMap(each => ['cookie', each.slice(0, each.indexOf(';'))])

test('a session of any length comes back as it was, each cookie within what browsers take, in one field or in several', () => {
  for (const length of [1, 3799, 3800, 3801, 7600, 15_200]) {
    const text = Array.from({ length }, (_, at) => 'abcdefghij'[at % 10]).join('')
    const written = writeSession(policy, text, 60_000, new Map())
    assert.equal(written.length, Math.ceil(length / 3800))
    for (const each of written) assert.ok(each.length < 4096 && each.startsWith('__Host-weft-login-a'), `${length}: ${each.length}`)
    assert.equal(sessionIn(policy, cookiesIn(kept(written))), text)
    const joined = kept(written)
      .filter((_, at) => at % 2 === 1)
      .join('; ')
    assert.equal(sessionIn(policy, cookiesIn(['Cookie', `a=b; ${joined}; c=d`])), text)
  }
})

test('parts that are missing, or of an older session that was longer, make no other session', () => {
  const long = cookiesIn(kept(writeSession(policy, 'x'.repeat(9000), 60_000, new Map())))
  const missing = new Map([...long].filter(([name]) => !name.endsWith('~2')))
  assert.equal(sessionIn(policy, missing), undefined)
  const shorter = writeSession(policy, 'y'.repeat(10), 60_000, long)
  assert.equal(shorter.filter(each => each.includes('Max-Age=0')).length, 2, 'the parts go')
  assert.equal(clearSession(policy, long).length, 3)
  for (const bad of ['', '1', '1.', '0.x', '9.x', 'x', '1.ü', '12.x'])
    assert.equal(sessionIn(policy, new Map([['__Host-weft-login-a', bad]])), undefined, bad)
})

test('the first of a name counts, and policies with a longer name have cookies of their own', () => {
  assert.equal(cookiesIn(['cookie', 'a=1; a=2', 'cookie', 'a=3']).get('a'), '1')
  assert.ok(isOwn(policy, '__Host-weft-login-a') && isOwn(policy, '__Host-weft-login-a~2') && isOwn(policy, '__Host-weft-login-a.x'))
  for (const name of ['__Host-weft-login-ab', '__Host-weft-login-a-2', '__Host-weft-login-ab.x', 'weft-login-a', 'theme'])
    assert.ok(!isOwn(policy, name), name)
  assert.ok(isOwn(other, '__Host-weft-login-ab.x'))
})

test('each login under way has a cookie, and of too many all of before go', () => {
  const cookies = new Map<string, string>()
  for (let at = 0; at < 8; at++)
    for (const [name, value] of cookiesIn(kept(writePending(policy, `${at}`.repeat(43), `sealed${at}`, cookies)))) cookies.set(name, value)
  assert.equal(cookies.size, 8)
  assert.equal(pendingIn(policy, cookies, '3'.repeat(43)), 'sealed3')
  assert.equal(writePending(policy, 'n'.repeat(43), 'sealed', cookies).filter(each => each.includes('Max-Age=0')).length, 8)
})
