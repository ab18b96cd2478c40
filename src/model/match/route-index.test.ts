import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { chooseRoute, failsAt, hostOf, type RequestFacts } from '../match.ts'
import type { Match, Route, RouteTable, ValueMatch, VirtualHost } from '../route.ts'
import { firstOf, indexRoutes } from './route-index.ts'

/** From few words, so that routes meet and requests hit them. */
const segment = fc.constantFrom('a', 'b', 'ab', 'v1', 'x.y', '')
const path = fc.array(segment, { maxLength: 4 }).map(parts => `/${parts.join('/')}`)
const pattern = fc.constantFrom(
  '/a/[^/]+',
  '/a|/b',
  '/v1/?',
  '/a/b?',
  '/v1/x\\.y',
  '/a/b/.*',
  '.*',
  '(?:/a)+',
  '/a/{2}b',
  '/[ab]/v1',
  '/a\\/b',
  '',
)
const value: fc.Arbitrary<ValueMatch> = fc.record({
  name: fc.constantFrom('x-tenant', 'x-version'),
  type: fc.constantFrom('exact', 'regex'),
  value: fc.constantFrom('1', '2', '3'),
})
const match: fc.Arbitrary<Match> = fc
  .record({
    path: fc.option(
      fc.oneof(
        fc.record({ type: fc.constant('exact' as const), value: path }),
        fc.record({ type: fc.constant('prefix' as const), value: path }),
        fc.record({ type: fc.constant('regex' as const), value: pattern }),
      ),
    ),
    method: fc.option(fc.constantFrom('GET', 'POST'), { freq: 3 }),
    headers: fc.array(value, { maxLength: 2 }),
    query: fc.array(fc.record({ name: fc.constant('q'), type: fc.constant('exact' as const), value: fc.constantFrom('1', '2') }), {
      maxLength: 1,
    }),
    grpc: fc.boolean(),
  })
  .map(({ path, method, headers, query, grpc }) => ({
    ...(path === null ? {} : { path }),
    ...(method === null ? {} : { method }),
    ...(headers.length > 0 ? { headers } : {}),
    ...(query.length > 0 ? { query } : {}),
    ...(grpc && query.length > 0 ? { grpc: true as const } : {}),
  }))

const request: fc.Arbitrary<RequestFacts> = fc
  .record({
    method: fc.constantFrom('GET', 'POST'),
    path: fc.oneof({ weight: 9, arbitrary: path }, { weight: 1, arbitrary: fc.constantFrom('*', '', '//', 'a/b') }),
    search: fc.constantFrom('', 'q=1', 'q=2&q=1'),
    tenant: fc.option(fc.constantFrom('1', '2', '4')),
    version: fc.option(fc.constantFrom('1', '2')),
    type: fc.option(fc.constant('application/grpc')),
  })
  .map(({ tenant, version, type, ...rest }) => ({
    ...rest,
    host: 'web',
    header: name => ({ 'x-tenant': tenant, 'x-version': version, 'content-type': type })[name] ?? undefined,
  }))

const routesOf = (matches: readonly Match[]): readonly Route[] =>
  matches.map((each, at) => ({
    name: `r${at}`,
    origin: `r${at}`,
    match: each,
    filters: [],
    action: { type: 'respond', status: 200, detail: '' },
  }))

const holds = (each: Match, asked: RequestFacts): boolean => failsAt(each, asked) === undefined

describe('many routes', () => {
  test('an index finds the route that trying all of them in order finds', () => {
    let found = 0
    fc.assert(
      fc.property(
        fc.array(match, { minLength: 1, maxLength: 60, size: 'max' }),
        fc.array(request, { minLength: 10, maxLength: 30 }),
        (matches, requests) => {
          const routes = routesOf(matches)
          const index = indexRoutes(routes)
          for (const asked of requests) {
            const scanned = routes.find(route => holds(route.match, asked))
            if (scanned !== undefined) found++
            assert.equal(firstOf(index, asked, holds)?.name, scanned?.name, `${asked.method} ${asked.path}`)
          }
        },
      ),
      { numRuns: 300 },
    )
    assert.ok(found > 1000, `the requests hit routes, or the property says nothing: ${found}`)
  })

  test('ten thousand routes by path, by tenant or by expression are looked up, not tried', () => {
    const kinds: Readonly<Record<string, (nth: number) => Match>> = {
      exact: nth => ({ path: { type: 'exact', value: `/shop/item-${nth}` } }),
      prefix: nth => ({ path: { type: 'prefix', value: `/shop/item-${nth}` } }),
      regex: nth => ({ path: { type: 'regex', value: `/shop/item-${nth}/[0-9]*` } }),
      header: nth => ({ path: { type: 'prefix', value: '/' }, headers: [{ name: 'x-tenant', type: 'exact', value: `t${nth}` }] }),
    }
    for (const [kind, of] of Object.entries(kinds)) {
      const index = indexRoutes(routesOf(Array.from({ length: 10_000 }, (_, nth) => of(nth))))
      let tried = 0
      const asked: RequestFacts = {
        method: 'GET',
        host: 'web',
        path: kind === 'exact' ? '/shop/item-9876' : '/shop/item-9876/12',
        search: '',
        header: name => (name === 'x-tenant' ? 't9876' : undefined),
      }
      const found = firstOf(index, asked, (each, facts) => (tried++, holds(each, facts)))
      assert.equal(found?.name, 'r9876', kind)
      assert.ok(tried <= 2, `${kind}: ${tried} were tried`)
    }
  })

  test('a table of many is chosen from as one of few is', () => {
    const matches: readonly Match[] = [
      { path: { type: 'exact', value: '/a' }, method: 'POST' },
      { path: { type: 'prefix', value: '/a' }, headers: [{ name: 'x', type: 'exact', value: '1' }] },
      ...Array.from({ length: 40 }, (_, nth): Match => ({ path: { type: 'prefix', value: `/a/${nth}` } })),
      { path: { type: 'prefix', value: '/a' } },
      {},
    ]
    const table: RouteTable = { name: 't', hosts: [{ name: '*', domains: ['*'], routes: routesOf(matches) }] }
    const ask = (path: string, header?: string, method = 'GET') =>
      chooseRoute(table, { method, host: 'web', path, search: '', header: () => header })?.name
    assert.deepEqual(
      [ask('/a', undefined, 'POST'), ask('/a', '1'), ask('/a/7/x', '1'), ask('/a/7/x'), ask('/a'), ask('/b'), ask('*')],
      ['r0', 'r1', 'r1', 'r9', 'r42', 'r43', 'r43'],
    )
  })
})

describe('many hosts', () => {
  const label = fc.constantFrom('a', 'b', 'shop', 'example', 'org')
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map(labels => labels.join('.'))
  const domain = fc.oneof(
    name,
    name.map(each => `*.${each}`),
    name.map(each => each.toUpperCase()),
    fc.constant('*'),
  )

  test('the name itself, else its longest suffix, else all: as comparing with every domain says', () => {
    fc.assert(
      fc.property(fc.array(fc.array(domain, { minLength: 1, maxLength: 3 }), { maxLength: 12 }), fc.array(name), (sets, asked) => {
        const hosts = sets.map((domains, at): VirtualHost => ({ name: `h${at}`, domains, routes: [] }))
        const table: RouteTable = { name: 't', hosts }
        for (const each of asked)
          for (const spelled of [each, `${each}:8080`, each.toUpperCase()])
            assert.equal(hostOf(table, spelled)?.name, compared(hosts, each)?.name, `${spelled} among ${JSON.stringify(sets)}`)
      }),
      { numRuns: 300 },
    )
  })

  /** Every domain, compared one by one. */
  function compared(hosts: readonly VirtualHost[], asked: string): VirtualHost | undefined {
    let best: { readonly host: VirtualHost; readonly rank: number } | undefined
    for (const host of hosts)
      for (const each of host.domains) {
        const text = each.toLowerCase()
        const rank = text === asked ? 1000 : text === '*' ? 0 : text.startsWith('*.') && asked.endsWith(text.slice(1)) ? text.length : -1
        if (rank >= 0 && (best === undefined || rank > best.rank)) best = { host, rank }
      }
    return best?.host
  }
})
