import assert from 'node:assert/strict'
import type { Redirect } from './filter.ts'
import { describe, test } from 'node:test'
import { changeFields, changePath, changeRequest, locationOf, rewrite, substitute } from './rewrite.ts'
import type { PathMatch } from './route.ts'

const none = { header: () => undefined }
const prefix = (value: string): PathMatch => ({ type: 'prefix', value })

describe('a path', () => {
  // The table of HTTPPathModifier.replacePrefixMatch in Gateway API: request, prefix matched, replacement, result.
  for (const [path, match, value, expected] of [
    ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz/', '/xyz/bar'],
    ['/foo', '/foo', '/xyz', '/xyz'],
    ['/foo/', '/foo', '/xyz', '/xyz/'],
    ['/foo/bar', '/foo', '', '/bar'],
    ['/foo/', '/foo', '', '/'],
    ['/foo', '/foo', '', '/'],
    ['/foo/', '/foo', '/', '/'],
    ['/foo', '/foo', '/', '/'],
    ['/foo', '/', '/xyz', '/xyz/foo'],
    ['/', '/', '/xyz', '/xyz/'],
  ] as const)
    test(`${path} with ${match} replaced by "${value}" becomes ${expected}`, () =>
      assert.equal(changePath(path, { type: 'prefix', value }, prefix(match)), expected))

  test('that is replaced as a whole keeps nothing', () =>
    assert.equal(changePath('/foo/bar', { type: 'full', value: '/x' }, prefix('/foo')), '/x'))
})

test('of several rewrites the later wins what both say', () => {
  const one = { type: 'rewrite', host: 'one', path: { type: 'full', value: '/one' } } as const
  assert.deepEqual(rewrite([one, { type: 'rewrite', host: 'two' }], undefined, 'host', '/path', none), { host: 'two', path: '/one' })
  assert.deepEqual(rewrite([], undefined, 'host', '/path', none), { host: 'host', path: '/path' })
})

describe('an expression changes', () => {
  for (const [says, pattern, substitution, path, expected] of [
    ['what it matches, with its groups', '^/service/([^/]+)(/.*)$', '\\2/instance/\\1', '/service/foo/v1/api', '/v1/api/instance/foo'],
    ['each place that it matches', 'one', 'two', '/xxx/one/yyy/one/zzz', '/xxx/two/yyy/two/zzz'],
    ['all of it by group 0', '/b', '<\\0>', '/a/b/c', '/a</b>/c'],
    ['a backslash written twice', 'b', '\\\\', '/a/b', '/a/\\'],
    ['a group without part into nothing', '/(x)?y', '/[\\1]', '/y', '/[]'],
    ['and takes a dollar for a dollar', 'b', '$&$1', '/b', '/$&$1'],
    ['nothing where it does not match', '/z', '', '/a', '/a'],
  ] as const)
    test(says, () => assert.equal(changePath(path, { type: 'regex', pattern, substitution }, undefined), expected))
})

test('a host comes from a header or from the path as it was asked; what is none is not taken', () => {
  const header = (value: string | undefined) => ({ header: () => value })
  const byHeader = { type: 'rewrite', host: { type: 'header', name: 'x-host' } } as const
  assert.equal(rewrite([byHeader], undefined, 'web', '/', header('shop.example:81')).host, 'shop.example:81')
  for (const bad of [undefined, '', 'a b', 'a/b', 'one,two', 'user@host'])
    assert.equal(rewrite([byHeader], undefined, 'web', '/', header(bad)).host, 'web')
  const byPath = {
    type: 'rewrite',
    host: { type: 'path', pattern: '^/([^/]+)/.*$', substitution: '\\1.example' },
    path: { type: 'regex', pattern: '^/[^/]+', substitution: '' },
  } as const
  assert.deepEqual(rewrite([byPath], undefined, 'web', '/shop/cart', none), { host: 'shop.example', path: '/cart' })
  assert.equal(rewrite([byPath], undefined, 'web', '/', none).host, 'web')
})

describe('a redirect', () => {
  const from = { scheme: 'http', host: 'web:8080', path: '/a/b', search: 'q=1', match: prefix('/a') }
  for (const [says, redirect, expected] of [
    ['nothing', {}, 'http://web:8080/a/b?q=1'],
    ['another host, and keeps the port', { host: 'other' }, 'http://other:8080/a/b?q=1'],
    ['https, whose port goes without saying', { scheme: 'https' }, 'https://web/a/b?q=1'],
    ['https at a port', { scheme: 'https', port: 8443 }, 'https://web:8443/a/b?q=1'],
    ['port 80 of http, which goes without saying', { port: 80 }, 'http://web/a/b?q=1'],
    ['port 443 of http, which does not', { port: 443 }, 'http://web:443/a/b?q=1'],
    ['another prefix', { path: { type: 'prefix', value: '/z' } }, 'http://web:8080/z/b?q=1'],
    ['another path', { path: { type: 'full', value: '/z' } }, 'http://web:8080/z?q=1'],
  ] as const satisfies readonly (readonly [string, Omit<Redirect, 'status'>, string])[])
    test(`that says ${says} leads to ${expected}`, () => assert.equal(locationOf({ status: 302, ...redirect }, from), expected))
})

test('header fields are taken out, replaced whatever their case, and added beside those that are there', () => {
  const fields = ['X-Gone', '1', 'x-gone', '2', 'X-Set', 'old', 'x-set', 'older', 'X-Add', 'a', 'Other', 'o']
  assert.deepEqual(
    changeFields(fields, { remove: ['x-gone'], set: [{ name: 'x-set', value: 'new' }], add: [{ name: 'x-add', value: 'b' }] }),
    ['X-Add', 'a', 'Other', 'o', 'x-set', 'new', 'x-add', 'b'],
  )
  assert.equal(fields.length, 12)
})

test('a substitution makes no more text than can be sent, however often its pattern matches', () => {
  const made = substitute('a'.repeat(100_000), { pattern: 'a', substitution: 'x'.repeat(10_000) })
  assert.ok(made.length > 65_536 && made.length < 80_000, `${made.length}`)
})

test('OPTIONS * stays about the whole server, and is led to the root where it is redirected', () => {
  const everything = { type: 'rewrite', path: { type: 'prefix', value: '/api' } } as const
  assert.equal(rewrite([everything], prefix('/'), 'web', '*', none).path, '*')
  const from = { scheme: 'http', host: 'web', path: '*', search: '', match: prefix('/') }
  assert.equal(locationOf({ status: 302, host: 'other' }, from), 'http://other/')
})

test('of a request what is set or removed goes in every spelling that CGI takes for the same, and nothing else does', () => {
  const fields = ['X_Set', 'a', 'x.set', 'b', 'X-Set', 'c', 'x_gone', 'd', 'x-gone-2', 'e', 'x_add', 'f', 'Api_Key', 'g']
  const change = { remove: ['x-gone'], set: [{ name: 'x-set', value: 'new' }], add: [{ name: 'x-add', value: 'h' }] }
  assert.deepEqual(changeRequest(fields, change), ['x-gone-2', 'e', 'x_add', 'f', 'Api_Key', 'g', 'x-set', 'new', 'x-add', 'h'])
})
