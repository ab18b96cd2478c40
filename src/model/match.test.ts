import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Random } from '../../fuzz/random.ts'
import { chooseRoute, failsAt, hasPrefix, pickWeighted, queryValue, type RequestFacts } from './match.ts'
import type { Match, Route, WeightedBackend } from './route.ts'

const asked = (target: string, headers: Record<string, string> = {}, method = 'GET'): RequestFacts => {
  const [path = '', search = ''] = target.split('?')
  return { method, host: headers['host'] ?? 'web', path, search, header: name => headers[name] }
}

describe('a match', () => {
  //  match ── request ── undefined where all conditions hold, else the first that does not
  const cases: readonly (readonly [Match, RequestFacts, ReturnType<typeof failsAt>])[] = [
    [{}, asked('*', {}, 'OPTIONS'), undefined],
    [{ path: { type: 'exact', value: '/a' } }, asked('/a?x=1'), undefined],
    [{ path: { type: 'exact', value: '/a' } }, asked('/a/'), 'path'],
    [{ path: { type: 'exact', value: '/a' } }, asked('/A'), 'path'],
    [{ path: { type: 'prefix', value: '/a' } }, asked('/a/b'), undefined],
    [{ path: { type: 'prefix', value: '/a' } }, asked('/ab'), 'path'],
    [{ path: { type: 'regex', value: '/v[0-9]+' } }, asked('/v12'), undefined],
    [{ path: { type: 'regex', value: '/v[0-9]+' } }, asked('/v12/x'), 'path'],
    [{ path: { type: 'regex', value: '/a|/b' } }, asked('/b/x'), 'path'],
    [{ method: 'POST' }, asked('/', {}, 'post'), 'method'],
    [{ headers: [{ name: 'x-a', type: 'exact', value: '1' }] }, asked('/', { 'x-a': '1' }), undefined],
    [{ headers: [{ name: 'x-a', type: 'exact', value: '1' }] }, asked('/', { 'x-a': '1,1' }), 'headers x-a'],
    [{ headers: [{ name: 'x-a', type: 'regex', value: '.*' }] }, asked('/'), 'headers x-a'],
    [{ grpc: true }, asked('/a.B/C', { 'content-type': 'application/grpc' }, 'POST'), undefined],
    [{ grpc: true }, asked('/a.B/C', { 'content-type': 'application/grpc+proto' }, 'POST'), undefined],
    [{ grpc: true }, asked('/a.B/C', { 'content-type': 'application/grpc-web' }, 'POST'), 'grpc'],
    [{ grpc: true }, asked('/a.B/C'), 'grpc'],
    [{ query: [{ name: 'q', type: 'exact', value: 'a b' }] }, asked('/?q=a+b&q=c'), undefined],
    [{ query: [{ name: 'q', type: 'exact', value: 'c' }] }, asked('/?q=a&q=c'), 'query q'],
    [{ query: [{ name: 'q', type: 'regex', value: '.*' }] }, asked('/?p=1'), 'query q'],
    [{ method: 'PUT', path: { type: 'exact', value: '/a' } }, asked('/b'), 'method'],
  ]
  for (const [match, request, expected] of cases)
    test(`${JSON.stringify(match)} ${expected === undefined ? 'holds' : `fails at ${expected}`} for ${request.method} ${request.path}?${request.search}`, () =>
      assert.equal(failsAt(match, request), expected))

  test('of a prefix goes by whole segments, and a slash at its end says nothing', () => {
    const holds = (prefix: string) => ['/', '/a', '/a/', '/a/b', '/ab', '*'].filter(path => hasPrefix(path, prefix))
    // Every request is below the root (Gateway API, HTTPRouteMatch): that about the whole server too.
    assert.deepEqual(holds('/'), ['/', '/a', '/a/', '/a/b', '/ab', '*'])
    assert.deepEqual(holds('/a'), ['/a', '/a/', '/a/b'])
    assert.deepEqual(holds('/a/'), ['/a', '/a/', '/a/b'])
  })

  test('of a query parameter compares what it decodes to', () => {
    assert.deepEqual(
      ['q=%C3%A4', 'q', 'q=', 'p=1&q=2', '', 'qq=1'].map(search => queryValue(search, 'q')),
      ['ä', '', '', '2', undefined, undefined],
    )
  })
})

describe('the route that is taken', () => {
  const route = (name: string, match: Match): Route => ({
    name,
    origin: name,
    match,
    filters: [],
    action: { type: 'forward', backends: [] },
  })
  const table = {
    name: 't',
    hosts: [
      {
        name: 'exact',
        domains: ['web'],
        routes: [route('a', { path: { type: 'exact', value: '/a' } }), route('posts', { method: 'POST' })],
      },
      { name: 'suffix', domains: ['*.test'], routes: [route('sub', {})] },
      { name: 'rest', domains: ['*'], routes: [route('last', { path: { type: 'prefix', value: '/' } })] },
    ],
  }
  const taken = (request: RequestFacts) => chooseRoute(table, request)?.name

  test('is the first of the table whose conditions all hold, of a host that fits', () => {
    assert.equal(taken(asked('/a')), 'a')
    assert.equal(taken(asked('/a', {}, 'POST')), 'a')
    assert.equal(taken(asked('/b', {}, 'POST')), 'posts')
    assert.equal(taken(asked('/b')), undefined, 'a less specific host is not asked')
    assert.equal(taken(asked('/a', { host: 'x.y.test' })), 'sub')
    assert.equal(taken(asked('/a', { host: 'test' })), 'last')
    assert.equal(taken(asked('/a', { host: 'WEB:8080' })), 'a')
  })

  test('is none where nothing matches', () => assert.equal(taken(asked('*', { host: 'web' }, 'OPTIONS')), undefined))

  test('of OPTIONS * is the one for everything', () => assert.equal(taken(asked('*', { host: 'other' }, 'OPTIONS')), 'last'))
})

describe('a split by weight', () => {
  const shares = (...weights: number[]): WeightedBackend[] => weights.map((weight, at) => ({ backend: String(at), weight }))

  test('gives each share what it asks for, within four standard deviations of the binomial distribution', () => {
    for (const weights of [
      [1, 1],
      [90, 10],
      [1, 2, 3],
      [999, 1],
    ]) {
      const random = new Random(7)
      const [count, sum] = [20_000, weights.reduce((total, weight) => total + weight)]
      const got = weights.map(() => 0)
      for (let pick = 0; pick < count; pick++) got[Number(pickWeighted(shares(...weights), random.next())!.backend)]!++
      for (const [at, weight] of weights.entries()) {
        const share = weight / sum
        const deviation = Math.sqrt(count * share * (1 - share))
        assert.ok(Math.abs(got[at]! - count * share) <= 4 * deviation, `${weights.join(':')} gave ${got.join(':')}`)
      }
    }
  })

  test('gives a weight of zero nothing, at either end of the line, and all of them zero nobody', () => {
    for (const random of [0, 0.5, 0.999999999]) {
      assert.equal(pickWeighted(shares(0, 5, 0), random)?.backend, '1')
      assert.equal(pickWeighted(shares(0, 0), random), undefined)
      assert.equal(pickWeighted(shares(0), random), undefined)
      assert.equal(pickWeighted([], random), undefined)
    }
  })
})
