import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseRoute, type RequestFacts } from './match.ts'
import type { Route } from './route.ts'
import { spellAtEdge } from './spelling.ts'

const rule = (value: string, type: 'prefix' | 'exact' = 'prefix'): Route => ({
  name: value,
  origin: value,
  match: { path: { type, value } },
  filters: [],
  action: { type: 'forward', backends: [] },
})
const table = { name: 'edge', hosts: [{ name: 'all', domains: ['*'], routes: [rule('/admin'), rule('/files'), rule('/')] }] }
const request = (path: string, method = 'GET'): RequestFacts => ({ method, host: 'shop.test', path, search: '', header: () => undefined })
const spelled = (path: string, method?: string): string => {
  const found = spellAtEdge(request(path, method), each => chooseRoute(table, each))
  return 'why' in found ? `400 ${found.why.slice(0, 8)}` : found.path
}

/** As it comes ── as it is routed and sent on. */
const cases: Readonly<Record<string, string>> = {
  '/': '/',
  '*': '*',
  '/admin': '/admin',
  '/a.b/c-d_e~f': '/a.b/c-d_e~f',
  '/x/../admin': '/admin',
  '//admin': '/admin',
  '/./admin//keys/': '/admin/keys/',
  '/%61dmin': '/admin',
  '/x/%2e%2E/admin': '/admin',
  '/a%20b/%c3%a4': '/a%20b/%C3%A4',
  // Read in two ways, but by one rule.
  '/files/group%2Fname': '/files/group%2Fname',
  '/files/a;v=1/b': '/files/a;v=1/b',
  '/files/a%252Fb': '/files/a%252Fb',
  '/files/100%25': '/files/100%25',
  '/files/a\\b': '/files/a\\b',
  // Another server would read what another rule is for.
  '/files/..%2Fadmin': '400 the path',
  '/files/..%252fadmin': '400 the path',
  '/files%2F..%5Cadmin': '400 the path',
  '/files\\..\\admin': '400 the path',
  '/x/..;/admin': '400 the path',
  '/admin;x=1/keys': '400 the path',
  '/%2Fadmin': '400 the path',
  // Nothing certain.
  '/../admin': '400 RFC 3986',
  '/a%2F..%2F..%2Fadmin': '400 RFC 3986',
  '/%zz': '400 RFC 3986',
  '/admin%00.png': '400 RFC 3986',
  '/%': '400 RFC 3986',
}

for (const [path, expected] of Object.entries(cases))
  test(`at a Gateway ${path} is read as ${expected}`, () => assert.equal(spelled(path), expected))

test('the target of CONNECT is no path', () => assert.equal(spelled('shop.test:443', 'CONNECT'), 'shop.test:443'))

test('many escapes of escapes are read in a time in proportion to their length', () => {
  const path = `/files/${'%25'.repeat(5000)}2Fx`
  assert.equal(spelled(path), path)
})
