/** What a denial names: the condition that decided, of the nearest rule, and no secret. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Access, AccessCondition, AccessRule } from '../access-rule.ts'
import { CallerAccess, tellWhy } from '../access.ts'

const web = 'spiffe://weft.local/ns/shop/sa/web'
const is = (value: string): AccessCondition => ({ on: 'identity', any: [{ type: 'exact', value }] })
const under = (path: string): AccessCondition => ({
  on: 'path',
  any: [
    { type: 'exact', value: path },
    { type: 'prefix', value: `${path}/` },
  ],
})
const method = (...values: readonly string[]): AccessCondition => ({ on: 'method', any: values.map(value => ({ type: 'exact', value })) })
const rule = (name: string, from: AccessRule['from'], to: AccessRule['to'] = []): AccessRule => ({ name, from, to })
const now = Date.parse('2026-12-24T12:00:00Z')

function why(
  access: Access,
  path: string,
  more: { readonly identity?: string; readonly method?: string; readonly headers?: Readonly<Record<string, string>> } = {},
) {
  const request = { method: more.method ?? 'GET', path, host: 'api', search: '', header: (name: string) => more.headers?.[name] }
  const caller = { identity: more.identity ?? web, address: '10.0.0.9' }
  const verdict = new CallerAccess(access, caller, now).judge(request)
  assert.equal(verdict.isAllowed, false)
  return tellWhy(access, caller, request, verdict, now)
}

test('of rules that allow, the nearest is named with its first condition that does not hold', () => {
  const access: Access = {
    deny: [],
    allow: [
      rule('shop/web#0', [[is('spiffe://weft.local/ns/shop/sa/cart')]], [[method('POST'), under('/orders')]]),
      rule('shop/web#1', [[is(web)]], [[method('GET'), under('/api')]]),
    ],
  }
  assert.equal(why(access, '/admin'), 'path /admin is not under /api, of rule 1 of AccessPolicy shop/web, the nearest')
  assert.equal(why(access, '/api', { method: 'PUT' }), 'method PUT is not GET, of rule 1 of AccessPolicy shop/web, the nearest')
  assert.equal(
    why(access, '/orders', { method: 'POST' }),
    `identity ${web} is not spiffe://weft.local/ns/shop/sa/cart, of rule 0 of AccessPolicy shop/web, the nearest`,
  )
  assert.equal(why({ deny: [], allow: [] }, '/'), undefined)
})

test('of a rule that denies, what held is named, in the spelling that it was compared in', () => {
  const access: Access = { deny: [rule('shop/no-admin#0', [], [[under('/admin')]])] }
  assert.equal(why(access, '/x/../admin/keys'), 'path /admin/keys is under /admin')
  assert.equal(why(access, '/x/..;/admin'), 'path /admin is under /admin')
  assert.equal(why({ deny: [rule('shop/shut#0', [])] }, '/'), 'it is for everybody and everything')
})

test('values of headers and claims are told neither of the call nor of the rule', () => {
  const key: AccessCondition = { on: 'header', name: 'x-key', any: [{ type: 'exact', value: 'secret-of-the-rule' }] }
  const access: Access = { deny: [], allow: [rule('shop/keyed#0', [], [[key]])] }
  const said = why(access, '/', { headers: { 'x-key': 'secret-of-the-caller' } })
  assert.equal(said, 'header x-key has none of the values that the rule names, of rule 0 of AccessPolicy shop/keyed, the nearest')
  assert.equal(why(access, '/'), 'header x-key is absent, of rule 0 of AccessPolicy shop/keyed, the nearest')
})

test('a rule of which only the time does not fit is named with its time and the one that it is', () => {
  const access: Access = {
    deny: [],
    allow: [
      { ...rule('shop/office#0', [[is(web)]]), when: [{ weekly: { days: [1, 2], from: 540, to: 1020, timeZone: 'Europe/Berlin' } }] },
    ],
  }
  assert.equal(
    why(access, '/'),
    'it is 2026-12-24T12:00:00Z, and not Mon, Tue 09:00 to 17:00 Europe/Berlin, of rule 0 of AccessPolicy shop/office, the nearest',
  )
})
