import assert from 'node:assert/strict'
import type { Access, AccessRule } from './access-rule.ts'
import { test } from 'node:test'
import { CallerAccess } from './access.ts'
import { plainName, wholeClaims } from './claim-headers.ts'

const user = (value: string, not = false): AccessRule['to'] => [
  [{ on: 'header', name: 'x-user', any: [{ type: 'exact', value }], ...(not ? { not: true as const } : {}) }],
]
const names = new Set(['x-user'])
const lets = (access: Access, value: string): boolean =>
  new CallerAccess(wholeClaims(access, names), { identity: undefined, address: undefined }, 0).judge({
    method: 'GET',
    host: '',
    path: '/',
    search: '',
    header: name => (name === 'x-user' ? value : undefined),
  }).isAllowed

test('nobody is let in for what stands between the commas of a claim', () => {
  const allow: Access = { deny: [], allow: [{ name: 'n/p#0', from: [], to: user('ann') }] }
  assert.deepEqual(
    ['ann', 'bob, ann', 'ann,bob', ' ann '].map(value => lets(allow, value)),
    [true, false, false, true],
  )
  const unless: Access = { deny: [{ name: 'n/p#0', from: [], to: user('ann', true) }] }
  assert.deepEqual(
    ['ann', 'bob, ann'].map(value => lets(unless, value)),
    [true, false],
  )
  const whole: Access = { deny: [], allow: [{ name: 'n/p#0', from: [], to: user('bob, ann') }] }
  assert.equal(lets(whole, 'bob, ann'), true)
})

test('what shuts out finds the whole and each value, and rules about other headers stay as they are', () => {
  const deny = (value: string): Access => ({ deny: [{ name: 'n/p#0', from: [], to: user(value) }] })
  assert.deepEqual([lets(deny('ann'), 'bob, ann'), lets(deny('bob, ann'), 'bob, ann'), lets(deny('ann'), 'bob')], [false, false, true])
  const other: Access = {
    deny: [],
    allow: [{ name: 'n/p#0', from: [], to: [[{ on: 'header', name: 'x-role', any: [{ type: 'exact', value: 'a' }] }]] }],
  }
  assert.deepEqual(wholeClaims(other, names), other)
})

test('names that servers of the kind of CGI take for one are one', () => {
  assert.deepEqual(['X-User', 'x_user', 'X.User', "X'User", 'X~User', 'xuser'].map(plainName), [
    ...Array<string>(5).fill('x-user'),
    'xuser',
  ])
})
