/**
 * The expectations of Gateway API's mesh conformance tests (v1.6, profiles MESH-HTTP and MESH-GRPC with their extended features), each under its own name, against
 * our operator API and proxies. Written anew from what those tests ask; what is not true here is skipped, with the reason.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../../src/io/namespace.ts'
import type { Resource } from '../../../src/resources/kind.ts'
import { type Case, consumerNamespace, meshNamespace, Pods } from './pods.ts'

const verdict = await canCapture()

type Parent = { readonly name: string; readonly port?: number; readonly namespace?: string }
const route = (
  rules: readonly object[],
  parent: Parent = { name: 'echo', port: 80 },
  more: { kind?: string; namespace?: string; name?: string } = {},
): Resource =>
  ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: more.kind ?? 'HTTPRoute',
    metadata: { name: more.name ?? 'case', namespace: more.namespace ?? meshNamespace },
    spec: { parentRefs: [{ group: '', kind: 'Service', ...parent }], rules },
  }) as Resource
const grpcRoute = (...rules: readonly object[]): Resource => route(rules, { name: 'echo', port: 7070 }, { kind: 'GRPCRoute' })
const prefix = (value: string): object => ({ path: { type: 'PathPrefix', value } })
const to = (name: string, port = 8080, more: object = {}): object => ({ name, port, ...more })
const redirect = (path: string, how: object): object => ({
  matches: [prefix(path)],
  filters: [{ type: 'RequestRedirect', requestRedirect: how }],
})
const setsOnAnswer = (value: string): object => ({
  type: 'ResponseHeaderModifier',
  responseHeaderModifier: { set: [{ name: 'X-Header-Set', value }] },
})
const changes = (requestHeaderModifier: object): object => ({ type: 'RequestHeaderModifier', requestHeaderModifier })
const fields = (all: Readonly<Record<string, string>>): readonly object[] => Object.entries(all).map(([name, value]) => ({ name, value }))

describe('Gateway API mesh conformance', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let pods: Pods
  before(async () => {
    pods = await Pods.start()
  })
  after(() => pods[Symbol.asyncDispose]())

  const holds = (name: string, routes: readonly Resource[], cases: readonly Case[]): void =>
    void test(name, () =>
      pods.with(routes, async () => {
        for (const each of cases) await pods.expect(each)
      }),
    )

  /** 70 to 30, none to anybody else; 500 requests and 5 percentage points, as the conformance test has it (2.4 standard deviations), up to ten times. */
  const shares = (name: string, routes: readonly Resource[], asked: Case): void =>
    void test(name, () =>
      pods.with(routes, async () => {
        const seen: string[] = []
        for (let tries = 0; tries < 10; tries++) {
          const replies = await pods.ask(`${meshNamespace}/echo-v1`, 500, asked)
          assert.deepEqual(
            replies.filter(({ status }) => status !== 200),
            [],
          )
          const tally = Map.groupBy(replies, ({ echo }) => echo!.pod)
          assert.deepEqual([...tally.keys()].sort(), ['echo-v1', 'echo-v2'])
          const part = tally.get('echo-v1')!.length / 500
          if (Math.abs(part - 0.7) <= 0.05) return
          seen.push(`${part}`)
        }
        assert.fail(`echo-v1 got ${seen.join(', ')}`)
      }),
    )

  holds('MeshBasic', [], [{}])

  test('MeshConsumerRoute', () =>
    pods.with(
      [
        route(
          [{ filters: [setsOnAnswer('set')], backendRefs: [to('echo-v1', 80, { namespace: meshNamespace })] }],
          { name: 'echo-v1', namespace: meshNamespace },
          { namespace: consumerNamespace },
        ),
      ],
      async () => {
        const host = `echo-v1.${meshNamespace}`
        await pods.expect({ host, pod: 'echo-v1', answer: { 'x-header-set': 'set' } }, `${consumerNamespace}/echo-v1`)
        await pods.expect({ host, pod: 'echo-v1', answer: { 'x-header-set': undefined } })
      },
    ))

  const frontend = route([{ filters: [setsOnAnswer('set')], backendRefs: [to('echo-v2', 80)] }], { name: 'echo-v2' })
  test('MeshFrontend', () =>
    pods.with([frontend], async () => {
      await pods.expect({ host: 'echo-v2', pod: 'echo-v2', answer: { 'x-header-set': 'set' } })
      // The conformance test names no port, for its pods listen at 80 too.
      const host = `${await pods.addressOf('echo-v2')}:8080`
      await pods.expect({ host, pod: 'echo-v2', answer: { 'x-header-set': undefined } })
    }))
  holds(
    'MeshFrontendHostname',
    [frontend],
    [
      { host: 'echo-v2', headers: { Host: 'echo-v1' }, pod: 'echo-v2', answer: { 'x-header-set': 'set' } },
      { host: 'echo-v1', headers: { Host: 'echo-v2' }, pod: 'echo-v1', answer: { 'x-header-set': undefined } },
    ],
  )

  holds(
    'MeshPorts',
    ['v1', 'v2'].map(version =>
      route(
        [{ filters: [setsOnAnswer(version)], backendRefs: [to(`echo-${version}`, 80)] }],
        { name: `echo-${version}`, ...(version === 'v1' ? { port: 80 } : {}) },
        { name: `case-${version}` },
      ),
    ),
    [
      { host: 'echo-v1', pod: 'echo-v1', answer: { 'x-header-set': 'v1' } },
      { host: 'echo-v1:8080', pod: 'echo-v1', answer: { 'x-header-set': undefined } },
      { host: 'echo-v2', pod: 'echo-v2', answer: { 'x-header-set': 'v2' } },
      { host: 'echo-v2:8080', pod: 'echo-v2', answer: { 'x-header-set': 'v2' } },
    ],
  )

  holds(
    'MeshTrafficSplit',
    [
      route(
        ['v1', 'v2'].map(version => ({
          matches: [{ path: { type: 'Exact', value: `/${version}` } }],
          backendRefs: [to(`echo-${version}`, 80)],
        })),
        { name: 'echo' },
      ),
    ],
    ['v1', 'v2'].map(version => ({ path: `/${version}`, pod: `echo-${version}` })),
  )

  holds('MeshHTTPRouteSimpleSameNamespace', [route([{ backendRefs: [to('echo-v1')] }])], [{ pod: 'echo-v1' }])

  holds(
    'MeshHTTPRouteMatching',
    [
      route([
        { matches: [prefix('/'), { headers: [{ name: 'version', value: 'one' }] }], backendRefs: [to('echo-v1')] },
        { matches: [prefix('/v2'), { headers: [{ name: 'version', value: 'two' }] }], backendRefs: [to('echo-v2')] },
      ]),
    ],
    [
      ...['/', '/example', '/v2example', '/foo/v2/example'].map(path => ({ path, pod: 'echo-v1' })),
      { headers: { Version: 'one' }, pod: 'echo-v1' },
      ...['/v2', '/v2/example', '/v2/'].map(path => ({ path, pod: 'echo-v2' })),
      { headers: { Version: 'two' }, pod: 'echo-v2' },
    ],
  )

  const animal = (value: string): object => ({ queryParams: [{ name: 'animal', value }] })
  const version = (value: string): object => ({ headers: [{ name: 'version', value }] })
  holds(
    'MeshHTTPRouteQueryParamMatching',
    [
      route([
        { matches: [animal('whale')], backendRefs: [to('echo-v1')] },
        { matches: [animal('dolphin')], backendRefs: [to('echo-v2')] },
        { matches: [{ ...prefix('/path1'), ...animal('whale') }], backendRefs: [to('echo-v1')] },
        { matches: [{ ...version('one'), ...animal('whale') }], backendRefs: [to('echo-v2')] },
        {
          matches: [
            { ...prefix('/path3'), ...animal('shark') },
            { ...prefix('/path4'), ...version('three'), ...animal('kraken') },
          ],
          backendRefs: [to('echo-v1')],
        },
        { matches: [prefix('/path5')], backendRefs: [to('echo-v1')] },
        { matches: [animal('hydra')], backendRefs: [to('echo-v2')] },
      ]),
    ],
    [
      ...[
        '/?animal=whale',
        '/?animal=whale&otherparam=irrelevant',
        '/path1?animal=whale',
        '/path3?animal=shark',
        '/path5?animal=hydra',
      ].map(path => ({ path, pod: 'echo-v1' })),
      { path: '/path4?animal=kraken', headers: { version: 'three' }, pod: 'echo-v1' },
      ...['/?animal=dolphin', '/?animal=dolphin&color=yellow'].map(path => ({ path, pod: 'echo-v2' })),
      { path: '/?animal=whale', headers: { version: 'one' }, pod: 'echo-v2' },
      ...['/?color=blue', '/?animal=dog', '/?animal=whaledolphin', '/', '/?animal=shark', '/path4?animal=kraken'].map(path => ({
        path,
        status: 404,
      })),
    ],
  )

  holds(
    'MeshHTTPRouteNamedRule',
    [
      route([
        { name: 'named-rule', matches: [prefix('/named')], backendRefs: [to('echo-v1')] },
        { matches: [prefix('/unnamed')], backendRefs: [to('echo-v2')] },
      ]),
    ],
    [
      { path: '/named', pod: 'echo-v1' },
      { path: '/unnamed', pod: 'echo-v2' },
    ],
  )

  shares('MeshHTTPRouteWeight', [route([{ backendRefs: [to('echo-v1', 8080, { weight: 70 }), to('echo-v2', 8080, { weight: 30 })] }])], {})

  for (const [status, path] of [
    [303, '/redirect'],
    [307, '/temporary'],
    [308, '/permanent'],
  ] as const)
    holds(`MeshHTTPRoute${status}Redirect`, [route([redirect(path, { statusCode: status })])], [{ path, status, location: {} }])

  const elsewhere = { hostname: 'example.org' }
  const moved = { statusCode: 301 }
  holds(
    'MeshHTTPRouteRedirectHostAndStatus',
    [route([redirect('/hostname-redirect', elsewhere), redirect('/host-and-status', { ...elsewhere, ...moved })])],
    [
      { path: '/hostname-redirect', location: { host: 'example.org' } },
      { path: '/host-and-status', status: 301, location: { host: 'example.org' } },
    ],
  )

  const replacedPrefix = { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/replacement-prefix' } }
  const replacedFull = (value: string): object => ({ path: { type: 'ReplaceFullPath', replaceFullPath: value } })
  holds(
    'MeshHTTPRouteRedirectPath',
    [
      route([
        redirect('/original-prefix', replacedPrefix),
        redirect('/full', replacedFull('/full-path-replacement')),
        redirect('/path-and-host', { ...elsewhere, ...replacedPrefix }),
        redirect('/path-and-status', { ...moved, ...replacedPrefix }),
        redirect('/full-path-and-host', { ...elsewhere, ...replacedFull('/replacement-full') }),
        redirect('/full-path-and-status', { ...moved, ...replacedFull('/replacement-full') }),
      ]),
    ],
    [
      { path: '/original-prefix/lemon', location: { path: '/replacement-prefix/lemon' } },
      { path: '/full/path/original', location: { path: '/full-path-replacement' } },
      { path: '/path-and-host', location: { host: 'example.org', path: '/replacement-prefix' } },
      { path: '/path-and-status', status: 301, location: { path: '/replacement-prefix' } },
      { path: '/full-path-and-host', location: { host: 'example.org', path: '/replacement-full' } },
      { path: '/full-path-and-status', status: 301, location: { path: '/replacement-full' } },
    ],
  )

  for (const [name, field, how, where] of [
    ['MeshHTTPRouteRedirectPort', 'port', { port: 8083 }, { port: '8083' }],
    ['MeshHTTPRouteSchemeRedirect', 'scheme', { scheme: 'https' }, { scheme: 'https' }],
  ] as const)
    holds(
      name,
      [
        route([
          redirect(`/${field}`, how),
          redirect(`/${field}-and-host`, { ...elsewhere, ...how }),
          redirect(`/${field}-and-status`, { ...moved, ...how }),
          redirect(`/${field}-and-host-and-status`, { ...elsewhere, ...how, statusCode: 302 }),
        ]),
      ],
      [
        { path: `/${field}`, location: where },
        { path: `/${field}-and-host`, location: { host: 'example.org', ...where } },
        { path: `/${field}-and-status`, status: 301, location: where },
        { path: `/${field}-and-host-and-status`, location: { host: 'example.org', ...where } },
      ],
    )

  const changed: Readonly<Record<string, object>> = {
    '/set': { set: fields({ 'X-Header-Set': 'set-overwrites-values' }) },
    '/add': { add: fields({ 'X-Header-Add': 'add-appends-values' }) },
    '/remove': { remove: ['X-Header-Remove'] },
    '/multiple': {
      set: fields({ 'X-Header-Set-1': 'header-set-1', 'X-Header-Set-2': 'header-set-2' }),
      add: fields({ 'X-Header-Add-1': 'header-add-1', 'X-Header-Add-2': 'header-add-2', 'X-Header-Add-3': 'header-add-3' }),
      remove: ['X-Header-Remove-1', 'X-Header-Remove-2'],
    },
    '/case-insensitivity': {
      set: fields({ 'X-Header-Set': 'header-set' }),
      add: fields({ 'X-Header-Add': 'header-add' }),
      remove: ['X-Header-Remove'],
    },
  }
  const other = { 'Some-Other-Header': 'val' }
  const another = { 'Another-Header': 'another-header-val' }
  const arriving: readonly Case[] = [
    { path: '/set', headers: other, sent: { headers: { ...other, 'X-Header-Set': 'set-overwrites-values' } } },
    {
      path: '/set',
      headers: { ...other, 'X-Header-Set': 'some-other-value' },
      sent: { headers: { ...other, 'X-Header-Set': 'set-overwrites-values' } },
    },
    { path: '/add', headers: other, sent: { headers: { ...other, 'X-Header-Add': 'add-appends-values' } } },
    {
      path: '/add',
      headers: { ...other, 'X-Header-Add': 'some-other-value' },
      sent: { headers: { ...other, 'X-Header-Add': 'some-other-value,add-appends-values' } },
    },
    { path: '/remove', headers: { 'X-Header-Remove': 'val' }, absent: ['X-Header-Remove'] },
    {
      path: '/multiple',
      headers: { 'X-Header-Set-2': 'set-val-2', 'X-Header-Add-2': 'add-val-2', 'X-Header-Remove-2': 'remove-val-2', ...another },
      sent: {
        headers: {
          'X-Header-Set-1': 'header-set-1',
          'X-Header-Set-2': 'header-set-2',
          'X-Header-Add-1': 'header-add-1',
          'X-Header-Add-2': 'add-val-2,header-add-2',
          'X-Header-Add-3': 'header-add-3',
          ...another,
        },
      },
      absent: ['X-Header-Remove-1', 'X-Header-Remove-2'],
    },
    {
      path: '/case-insensitivity',
      headers: {
        'x-header-set': 'original-val-set',
        'x-header-add': 'original-val-add',
        'x-header-remove': 'original-val-remove',
        ...another,
      },
      sent: { headers: { 'X-Header-Set': 'header-set', 'X-Header-Add': 'original-val-add,header-add', ...another } },
      absent: ['X-Header-Remove'],
    },
  ].map(each => ({ ...each, pod: 'echo-v1' }))
  holds(
    'MeshHTTPRouteRequestHeaderModifier',
    [
      route(
        Object.entries(changed).map(([path, change]) => ({
          matches: [prefix(path)],
          filters: [changes(change)],
          backendRefs: [to('echo-v1')],
        })),
      ),
    ],
    arriving,
  )
  holds(
    'MeshHTTPRouteBackendRequestHeaderModifier',
    [
      route(
        Object.entries(changed).map(([path, change]) => ({
          matches: [prefix(path)],
          backendRefs: [to('echo-v1', 8080, { filters: [changes(change)] })],
        })),
      ),
    ],
    arriving,
  )

  const rewrites = (path: string, how: object, ...filters: readonly object[]): object => ({
    matches: [prefix(path)],
    filters: [{ type: 'URLRewrite', urlRewrite: { path: how } }, ...filters],
    backendRefs: [to('echo-v1', 80)],
  })
  const newPrefix = (value: string): object => ({ type: 'ReplacePrefixMatch', replacePrefixMatch: value })
  const newPath = (value: string): object => ({ type: 'ReplaceFullPath', replaceFullPath: value })
  const alongside = changes({
    set: fields({ 'X-Header-Set': 'set-overwrites-values' }),
    add: fields({ 'X-Header-Add': 'header-val-1', 'X-Header-Add-Append': 'header-val-2' }),
    remove: ['X-Header-Remove'],
  })
  const both = {
    headers: { 'X-Header-Remove': 'remove-val', 'X-Header-Add-Append': 'append-val-1', 'X-Header-Set': 'set-val' },
    absent: ['X-Header-Remove'],
  }
  const seen = {
    'X-Header-Add': 'header-val-1',
    'X-Header-Add-Append': 'append-val-1,header-val-2',
    'X-Header-Set': 'set-overwrites-values',
  }
  holds(
    'MeshHTTPRouteRewritePath',
    [
      route([
        rewrites('/prefix/one', newPrefix('/one')),
        rewrites('/strip-prefix', newPrefix('/')),
        rewrites('/full/one', newPath('/one')),
        rewrites('/full/rewrite-path-and-modify-headers', newPath('/test'), alongside),
        rewrites('/prefix/rewrite-path-and-modify-headers', newPrefix('/prefix'), alongside),
      ]),
    ],
    [
      { path: '/prefix/one/two', sent: { path: '/one/two' } },
      { path: '/strip-prefix/three', sent: { path: '/three' } },
      { path: '/strip-prefix', sent: { path: '/' } },
      { path: '/full/one/two', sent: { path: '/one' } },
      { path: '/full/rewrite-path-and-modify-headers/test', ...both, sent: { path: '/test', headers: seen } },
      { path: '/prefix/rewrite-path-and-modify-headers/one', ...both, sent: { path: '/prefix/one', headers: seen } },
    ].map(each => ({ ...each, pod: 'echo-v1' })),
  )

  shares(
    'MeshGRPCRouteWeight',
    [
      grpcRoute({
        backendRefs: [to('echo-v1', 7070, { weight: 70 }), to('echo-v2', 7070, { weight: 30 }), to('echo-v3', 7070, { weight: 0 })],
      }),
    ],
    { protocol: 'grpc', host: 'echo:7070' },
  )

  const forCase = (value: string, change: object, name = 'echo-v1'): object => ({
    matches: [{ headers: [{ name: 'x-test-case', value }] }],
    filters: [changes(change)],
    backendRefs: [to(name, 7070)],
  })
  const calls: readonly (readonly [
    name: string,
    headers: Readonly<Record<string, string>>,
    arrives: Readonly<Record<string, string>>,
    absent: readonly string[],
  ])[] = [
    [
      'set',
      { 'some-other-header': 'this-header-should-be-set', 'x-header-set': 'this-value-should-be-overwritten' },
      { 'some-other-header': 'this-header-should-be-set', 'x-header-set': 'set-overwrites-values' },
      [],
    ],
    [
      'add',
      { 'x-header-add': 'this-value-should-be-appended' },
      { 'x-header-add': 'this-value-should-be-appended,add-appends-values' },
      [],
    ],
    ['remove', { 'x-header-remove': 'this-should-be-removed' }, {}, ['x-header-remove']],
    [
      'multi',
      { 'x-header-set-2': 'set-header-2', 'x-header-add-2': 'add-header-2', 'x-header-remove-2': 'should-be-removed-2' },
      {
        'x-header-set-1': 'header-set-1',
        'x-header-set-2': 'header-set-2',
        'x-header-add-1': 'header-add-1',
        'x-header-add-2': 'add-header-2,header-add-2',
      },
      ['x-header-remove-1', 'x-header-remove-2'],
    ],
  ]
  test('MeshGRPCRouteRequestHeaderModifier', () =>
    pods.with(
      [
        grpcRoute(
          forCase('set', { set: fields({ 'x-header-set': 'set-overwrites-values' }) }),
          forCase('add', { add: fields({ 'x-header-add': 'add-appends-values' }) }),
          forCase('remove', { remove: ['x-header-remove'] }),
          forCase(
            'multi',
            {
              set: fields({ 'x-header-set-1': 'header-set-1', 'x-header-set-2': 'header-set-2' }),
              add: fields({ 'x-header-add-1': 'header-add-1', 'x-header-add-2': 'header-add-2' }),
              remove: ['x-header-remove-1', 'x-header-remove-2'],
            },
            'echo-v2',
          ),
        ),
      ],
      async () => {
        for (const [name, headers, arrives, absent] of calls) {
          const pod = name === 'multi' ? 'echo-v2' : 'echo-v1'
          const asked = { protocol: 'grpc' as const, host: 'echo:7070', headers: { 'x-test-case': name, ...headers }, pod, absent }
          await pods.expect({ ...asked, sent: { headers: { 'x-test-case': name, ...arrives } } }, `${meshNamespace}/${pod}`)
        }
      },
    ))
})
