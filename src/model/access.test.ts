/** The order of rules, what is decided once for a caller, values of headers, and the ways to spell a path. */

import assert from 'node:assert/strict'
import type { Access, AccessCondition, AccessRule, TextMatch } from './access-rule.ts'
import { test } from 'node:test'
import fc from 'fast-check'
import { accessOf, CallerAccess, networkOf, readPath } from './access.ts'

const web = 'spiffe://weft.local/ns/shop/sa/web'
const rule = (name: string, from: AccessRule['from'], to: AccessRule['to'] = []): AccessRule => ({ name, from, to })
const is = (...ids: readonly string[]): AccessCondition => ({ on: 'identity', any: ids.map(value => ({ type: 'exact', value })) })
const at = (type: 'exact' | 'prefix' | 'suffix', value: string): AccessCondition => ({ on: 'path', any: [{ type, value }] })
const ask = (path: string, method = 'GET', headers: Readonly<Record<string, string>> = {}, host = 'api') => ({
  method,
  path,
  host,
  search: '',
  header: (name: string) => headers[name],
})
const judged = (access: Access, request = ask('/'), identity: string | undefined = web, address = '10.0.0.9') =>
  new CallerAccess(access, { identity, address }, 0).judge(request)

test('what a rule denies is denied though another allows it; what none allows is denied by default', () => {
  const both: Access = { deny: [rule('d', [[is(web)]], [[at('exact', '/admin')]])], allow: [rule('a', [[is(web)]])] }
  assert.deepEqual([judged(both).isAllowed, judged(both).rule?.name], [true, 'a'])
  assert.deepEqual([judged(both, ask('/admin')).isAllowed, judged(both, ask('/admin')).rule?.name], [false, 'd'])
  const other = new CallerAccess(both, { identity: undefined, address: undefined }, 0)
  assert.deepEqual([other.judge(ask('/')), other.isRefused], [{ isAllowed: false }, true])
  assert.equal(judged({ deny: [] }).isAllowed, true)
})

test('an audited policy changes nothing and says what it would do', () => {
  const audit: Access = { deny: [], audit: { deny: [rule('x', [], [[{ on: 'method', any: [{ type: 'exact', value: 'DELETE' }] }]])] } }
  assert.deepEqual(judged(audit), { isAllowed: true })
  const verdict = judged(audit, ask('/', 'DELETE'))
  assert.equal(verdict.isAllowed, true)
  assert.equal(typeof verdict.wouldDeny === 'object' && verdict.wouldDeny.name, 'x')
  assert.equal(judged({ deny: [], audit: { deny: [], allow: [rule('a', [[is('spiffe://other')]])] } }).wouldDeny, 'no-allow')
})

test('an audited policy about paths leaves every path as it came, and counts what it could not read', () => {
  const under: AccessRule = rule('x', [], [[at('prefix', '/admin/')]])
  const audit: Access = { deny: [], audit: { deny: [under] } }
  assert.deepEqual(judged(audit, ask('//public/./a')), { isAllowed: true })
  assert.deepEqual(judged(audit, ask('/x/..%2fadmin/a')), { isAllowed: true, wouldDeny: under })
  assert.deepEqual(judged(audit, ask('/%00')), { isAllowed: true, wouldDeny: 'no-allow' })
  assert.equal(judged({ deny: [under], audit: { deny: [under] } }, ask('/%00')).badPath, true)
})

test('each value of a header is compared by itself, in one line or several', () => {
  const access = (not: boolean): Access => ({
    deny: [rule('d', [], [[{ on: 'header', name: 'x-role', any: [{ type: 'exact', value: 'admin' }], ...(not ? { not: true } : {}) }]])],
  })
  const allows = (value: string | undefined, not = false) =>
    judged(access(not), ask('/', 'GET', value === undefined ? {} : { 'x-role': value })).isAllowed
  assert.deepEqual(
    ['admin', 'user,admin', 'user, admin ,x', 'administrator', undefined].map(value => allows(value)),
    [false, false, false, true, true],
  )
  assert.deepEqual(
    ['user', 'user,admin', undefined].map(value => allows(value, true)),
    [false, true, false],
  )
  const present: Access = { deny: [], allow: [rule('a', [], [[{ on: 'header', name: 'x-key', any: [] }]])] }
  assert.deepEqual([judged(present).isAllowed, judged(present, ask('/', 'GET', { 'x-key': '' })).isAllowed], [false, true])
})

test('what shuts out does so for a name of a header with underscores too, and what lets in is to the letter', () => {
  const role = (not = false): AccessRule['to'] => [
    [{ on: 'header', name: 'x-my-role', any: [{ type: 'exact', value: 'root' }], ...(not ? { not: true as const } : {}) }],
  ]
  const lets = (access: Access, name: string) => judged(access, ask('/', 'GET', { [name]: 'root' })).isAllowed
  const names = ['x-my-role', 'x_my-role', 'x-my_role', 'x_my_role', 'xmyrole']
  const each = (access: Access) => names.map(name => lets(access, name))
  assert.deepEqual(each({ deny: [rule('d', [], role())] }), [false, false, false, false, true])
  assert.deepEqual(each({ deny: [], allow: [rule('a', [], role())] }), [true, false, false, false, false])
  assert.deepEqual(each({ deny: [], allow: [rule('a', [], role(true))] }), [false, false, false, false, true])
  assert.deepEqual(each({ deny: [rule('d', [], role(true))] }), [true, false, false, false, false])
  const many = Array.from({ length: 8 }, (_, nth) => rule(`d${nth}`, [], role()))
  assert.deepEqual(each({ deny: many }), [false, false, false, false, true], 'of many rules')
})

test('what shuts out does so whichever case the method is in, and what lets in is to the letter', () => {
  const method = (not = false): AccessRule['to'] => [
    [{ on: 'method', any: [{ type: 'exact', value: 'DELETE' }], ...(not ? { not: true as const } : {}) }],
  ]
  const each = (access: Access) => ['DELETE', 'delete', 'Delete', 'GET'].map(name => judged(access, ask('/', name)).isAllowed)
  assert.deepEqual(each({ deny: [rule('d', [], method())] }), [false, false, false, true])
  assert.deepEqual(each({ deny: [], allow: [rule('a', [], method())] }), [true, false, false, false])
  assert.deepEqual(each({ deny: [], allow: [rule('a', [], method(true))] }), [false, false, false, true])
  assert.deepEqual(each({ deny: [rule('d', [], method(true))] }), [true, false, false, false])
  const many = Array.from({ length: 8 }, (_, nth) => rule(`d${nth}`, [], method()))
  assert.deepEqual(each({ deny: many }), [false, false, false, true], 'of many rules')
})

test('hosts are compared in lower case, without port and last dots', () => {
  const access: Access = { deny: [], allow: [rule('a', [], [[{ on: 'host', any: [{ type: 'suffix', value: '.shop' }] }]])] }
  const allows = (host: string) => judged(access, ask('/', 'GET', {}, host)).isAllowed
  assert.deepEqual(['API.shop:80', 'api.shop.', 'api.shop..', 'shop', 'api.shop.evil'].map(allows), [true, true, true, false, false])
})

test('networks of both families', () => {
  const access = (...networks: string[]): Access => ({ deny: [], allow: [rule('a', [[{ on: 'address', networks }]])] })
  const allows = (address: string, ...networks: string[]) => judged(access(...networks), ask('/'), undefined, address).isAllowed
  assert.equal(allows('10.1.2.3', '10.0.0.0/8'), true)
  assert.equal(allows('11.1.2.3', '10.0.0.0/8', '11.1.2.4'), false)
  assert.equal(allows('::ffff:10.1.2.3', '10.1.2.3'), true)
  assert.equal(allows('2001:db8::7', '2001:db8::/32'), true)
  assert.equal(allows('::ffff:a01:203', '10.0.0.0/8'), true, 'the same address in hexadecimal')
  assert.equal(allows('10.1.2.3', '::ffff:10.0.0.0/104'), true)
  assert.equal(allows('11.1.2.3', '::ffff:a00:0/104'), false)
  assert.equal(allows('fe80::1%eth0', 'fe80::/10'), true, 'with the interface by which it came')
  assert.equal(allows('fe80::1%eth0', '::/0'), true)
  assert.equal(allows('2001:db9::7', '2001:db8::/32', '0.0.0.0/0'), false)
  for (const bad of [
    '10.0.0/8',
    '10.0.0.0/33',
    '::/129',
    'a',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '256.0.0.1',
    '10.0.0.0/8/9',
    'fe80::%eth0/10',
    '::ffff:10.0.0.0/129',
  ])
    assert.equal(networkOf(bad), undefined, bad)
})

test('a path has one spelling, and a second where servers disagree', () => {
  const spelled: readonly (readonly [string, string | undefined, string?])[] = [
    ['/', '/'],
    ['*', '*'],
    ['/a/b', '/a/b'],
    ['//admin', '/admin'],
    ['/a///b/', '/a/b/'],
    ['/a/../admin', '/admin'],
    ['/a/./b/.', '/a/b/'],
    ['/a/b/..', '/a/'],
    ['/%61dmin', '/admin'],
    ['/a/%2e%2E/admin', '/admin'],
    ['/Admin', '/Admin'],
    ['/caf%c3%a9', '/caf%C3%A9'],
    ['/a%20b', '/a%20b'],
    ['/public%2Fadmin', '/public%2Fadmin', '/public/admin'],
    ['/public/..%2fadmin', '/public/..%2Fadmin', '/admin'],
    ['/public/..\\admin', '/public/..\\admin', '/admin'],
    ['/public/..;/admin', '/public/..;/admin', '/admin'],
    ['/admin;jsessionid=1', '/admin;jsessionid=1', '/admin'],
    ['/a;x=1/b', '/a;x=1/b', '/a/b'],
    ['/admin%3bx', '/admin%3Bx', '/admin'],
    ['/x/..%3b/admin', '/x/..%3B/admin', '/admin'],
    ['/.hidden/..x', '/.hidden/..x'],
    ['/..', undefined],
    ['/a/../../admin', undefined],
    ['/public/..%2f..%2fadmin', undefined],
    ['/a%00', undefined],
    ['/a%0d%0ab', undefined],
    ['/a\u0000', undefined],
    ['/a%', undefined],
    ['/a%2', undefined],
    ['/a%zz', undefined],
    ['/%c0%af', undefined],
    ['/%e0%80%af', undefined],
    ['/%F0%80%80%AE', undefined],
    ['/%2561dmin', '/%2561dmin', '/admin'],
    ['/a%25252520b', '/a%25252520b', '/a%20b'],
    ['/100%25', '/100%25'],
    ['/%c0%ae%c0%ae/admin', undefined],
    ['/%252e%252e/admin', undefined],
    ['/a%252Fb', undefined],
    ['/a%25252fb', undefined],
    ['/a#b', undefined],
    ['admin', undefined],
  ]
  for (const [path, normal, other] of spelled)
    assert.deepEqual(readPath(path), normal === undefined ? undefined : { path: normal, ...(other === undefined ? {} : { other }) }, path)
})

test('no spelling of a denied path passes, and none passes as an allowed one', () => {
  const denied: Access = {
    deny: [
      rule(
        'd',
        [],
        [
          [
            {
              on: 'path',
              any: [
                { type: 'exact', value: '/admin' },
                { type: 'prefix', value: '/admin/' },
              ],
            },
          ],
        ],
      ),
    ],
  }
  for (const path of [
    '/admin',
    '//admin',
    '/x/../admin',
    '/%61dmin',
    '/admin/',
    '/admin;a=b',
    '/x%2f..%2fadmin',
    '/x/..;/admin',
    '/./admin/keys',
    '/admin%2fkeys',
    '/x\\..\\admin',
  ])
    assert.equal(judged(denied, ask(path)).isAllowed, false, path)
  for (const path of ['/Admin', '/administrator', '/x/admin', '/']) assert.equal(judged(denied, ask(path)).isAllowed, true, path)
  assert.equal(judged(denied, ask('/admin%00')).badPath, true)
  const open: Access = { deny: [], allow: [rule('a', [], [[at('prefix', '/public/')]])] }
  for (const path of ['/public/../admin', '/public/..;/admin', '/public/..%2fadmin', '/public/%2e%2e/admin', '/public', '/public%2fx'])
    assert.equal(judged(open, ask(path)).isAllowed, false, path)
  assert.equal(judged(open, ask('/public/a%2Fb')).isAllowed, true)
  assert.deepEqual(judged(open, ask('/admin/..//public/x')).path, '/public/x')
})

test('an identity is no pattern to its own advantage', () => {
  const access: Access = {
    deny: [],
    allow: [rule('a', [[{ on: 'identity', any: [{ type: 'regex', value: 'spiffe://weft\\.local/ns/[^/]*/sa/web' }] }]])],
  }
  const allows = (identity: string) => judged(access, ask('/'), identity).isAllowed
  assert.deepEqual([web, `${web}x`, `x${web}`, 'spiffe://weft.local/ns/a/b/sa/web', `${web}\n`].map(allows), [
    true,
    false,
    false,
    false,
    false,
  ])
})

test('many rules are found as few are by looking through them, and the first that holds is named', () => {
  const text = (...values: readonly string[]): fc.Arbitrary<TextMatch> =>
    fc.record({ type: fc.constantFrom('exact', 'exact', 'prefix', 'suffix'), value: fc.constantFrom(...values) })
  const some = (...values: readonly string[]) => fc.array(text(...values), { minLength: 1, maxLength: 2 })
  const not = fc.constantFrom({}, {}, {}, { not: true as const })
  const condition: fc.Arbitrary<AccessCondition> = fc
    .tuple(
      fc.oneof(
        some('/a', '/a/', '/b/', '/a/b', '/', '.json').map(any => ({ on: 'path', any }) as const),
        some('GET', 'PUT').map(any => ({ on: 'method', any }) as const),
        some('api.shop', '.shop', 'shop').map(any => ({ on: 'host', any }) as const),
        fc
          .tuple(fc.constantFrom('x-a', 'x-b'), fc.oneof(some('a', 'b', 'ab'), fc.constant([])))
          .map(([name, any]) => ({ on: 'header', name, any }) as const),
      ),
      not,
    )
    .map(([each, more]) => ({ ...each, ...more }))
  const claim: fc.Arbitrary<AccessCondition> = fc
    .tuple(fc.constantFrom(['groups'], ['scope'], ['a', 'b']), some('a', 'b', 'ab', 'true'))
    .map(([path, any]) => ({ on: 'claim', path, any }))
  const from = fc.array(fc.array(fc.oneof(claim, fc.constantFrom(is(web), is('spiffe://other'))), { minLength: 1, maxLength: 2 }), {
    maxLength: 2,
  })
  const rules = fc.array(fc.tuple(from, fc.array(fc.array(condition, { minLength: 1, maxLength: 3 }), { maxLength: 2 })), {
    minLength: 6,
    maxLength: 14,
  })
  const header = fc.option(fc.constantFrom('a', 'b', 'a,b', ' ab , b', '', ','), { nil: undefined })
  const claims = fc.option(
    fc.constantFrom(
      { groups: ['a', 'b'] },
      { groups: 'ab', scope: 'a b' },
      { a: { b: 'a' }, groups: true },
      { groups: [], a: { b: ['b'] } },
    ),
    { nil: undefined },
  )
  const request = fc.record({
    path: fc.constantFrom('/a', '/a/', '/a/b', '/b/', '/', '/c.json', '/a/b/c', '/A', '//a', '/x/../a/b'),
    method: fc.constantFrom('GET', 'PUT', 'put'),
    host: fc.constantFrom('api.shop', 'API.shop:80', 'shop', 'x.api.shop.', '.shop', 'other'),
    a: header,
    b: header,
    claims,
  })
  fc.assert(
    fc.property(rules, rules, fc.array(request, { minLength: 1, maxLength: 10 }), (denies, allows, requests) => {
      const named = (list: typeof denies, name: string): readonly AccessRule[] =>
        list.map(([who, to], at) => rule(`${name}-${at}`, who, to))
      const [deny, allow] = [named(denies, 'd'), named(allows, 'a')]
      for (const { path, method, host, a, b, claims: said } of requests) {
        const headers = { ...(a === undefined ? {} : { 'x-a': a }), ...(b === undefined ? {} : { 'x-b': b }) }
        const asked = { ...ask(path, method, headers, host), ...(said === undefined ? {} : { claims: said }) }
        const all = judged({ deny, allow }, asked)
        const denied = deny.filter(each => !judged({ deny: [each] }, asked).isAllowed)
        const allowed = allow.filter(each => judged({ deny: [], allow: [each] }, asked).isAllowed)
        assert.equal(all.rule?.name, (denied[0] ?? allowed[0])?.name, JSON.stringify(asked))
      }
    }),
    { numRuns: 300 },
  )
})

test('callers of whom the same rules can hold share what is left of them', () => {
  const access: Access = { deny: [], allow: [rule('a', [[{ on: 'identity', any: [{ type: 'prefix', value: 'spiffe://weft.local/' }] }]])] }
  const of = (identity: string | undefined) =>
    accessOf(
      access,
      {},
      () => ({ identity, address: undefined }),
      () => 0,
    )
  assert.equal(of(web), of(`${web}2`))
  assert.notEqual(of(web), of(undefined))
  assert.deepEqual([of(web).isRefused, of(undefined).isRefused], [false, true])
})
