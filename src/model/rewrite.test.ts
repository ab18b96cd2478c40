import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { changeFields, changePath, locationOf, rewrite } from './rewrite.ts'
import type { PathMatch, Redirect } from './view.ts'

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
  assert.deepEqual(rewrite([one, { type: 'rewrite', host: 'two' }], undefined, 'host', '/path'), { host: 'two', path: '/one' })
  assert.deepEqual(rewrite([], undefined, 'host', '/path'), { host: 'host', path: '/path' })
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
