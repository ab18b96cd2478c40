/**
 * The expectations of Gateway API's conformance tests of profile GATEWAY-HTTP (v1.6, with its extended features) that are about what becomes of requests, each under its own name,
 * against our operator API and `weft gateway`. Written anew from what those tests ask.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Resource } from '../../../src/resources/kind.ts'
import { all, app, below, type Case, Edge, grant, hasUsualPorts, https, listener, own, prefix, route, skip, to, web } from './edge.ts'
import { ports } from './edge-pods.ts'

type HeaderChange = { readonly set?: readonly object[]; readonly add?: readonly object[]; readonly remove?: readonly string[] }
const fields = (of: Readonly<Record<string, string>>): readonly object[] => Object.entries(of).map(([name, value]) => ({ name, value }))
const onRequest = (requestHeaderModifier: HeaderChange): object => ({ type: 'RequestHeaderModifier', requestHeaderModifier })
const onAnswer = (responseHeaderModifier: HeaderChange): object => ({ type: 'ResponseHeaderModifier', responseHeaderModifier })
const redirect = (path: string, requestRedirect: object): object => ({
  matches: [prefix(path)],
  filters: [{ type: 'RequestRedirect', requestRedirect }],
})
const rewrite = (path: string | undefined, urlRewrite: object, name: string, ...more: readonly object[]): object => ({
  ...(path === undefined ? {} : { matches: [prefix(path)] }),
  filters: [{ type: 'URLRewrite', urlRewrite }, ...more],
  backendRefs: [to(name)],
})
const header = (name: string, value: string): object => ({ headers: [{ name, value }] })
const query = (of: Readonly<Record<string, string>>): object => ({ queryParams: fields(of) })

describe('Gateway API conformance: requests at a Gateway', { skip }, () => {
  let edge: Edge
  before(async () => {
    edge = await Edge.start(3)
    await edge.apply(edge.secret('server', 'server'))
  })
  after(() => edge[Symbol.asyncDispose]())

  const plain = (): Resource => edge.gateway('first', [listener('http', 'HTTP', 80)])
  const secure = (): Resource =>
    edge.gateway('second', [
      https('https', 443),
      https('named', 443, { hostname: 'second-example.org' }),
      https('suffix', 443, { hostname: '*.wildcard.org' }),
      https('below', 443, { hostname: 'fourth-example.wildcard.org' }),
    ])
  const accepted = async (documents: readonly Resource[]): Promise<void> => {
    for (const { kind, metadata, spec } of documents) {
      if (!kind.endsWith('Route')) continue
      const { parentRefs } = spec as { parentRefs: readonly { name: string; sectionName?: string }[] }
      for (const { name, sectionName } of parentRefs) {
        const parent = sectionName === undefined ? name : `${name}#${sectionName}`
        const said = await edge.verdict(kind, metadata.name, parent, undefined, metadata.namespace)
        assert.deepEqual(said, ['True Accepted', 'True ResolvedRefs'], `${kind} ${metadata.name}`)
      }
    }
  }
  /** The routes hold, and the requests are answered as expected. */
  const holds = (
    name: string,
    documents: () => readonly Resource[],
    cases: readonly Case[],
    options: { skip?: string | false } = {},
  ): void =>
    void test(name, { skip: options.skip ?? false }, () =>
      edge.with(documents(), async () => {
        await accepted(documents())
        for (const each of cases) await edge.expect(each)
      }),
    )
  const usualPorts = hasUsualPorts ? false : 'what is said of the ports 80 and 443 needs root here'

  holds('HTTPRouteSimpleSameNamespace', () => [plain(), route(all('one'))], [{ pod: 'one', namespace: own }])

  test('HTTPRouteServiceTypes', async () => {
    const service = (name: string, spec: object): Resource =>
      ({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace: own },
        spec: { ports: [{ name: 'first-port', protocol: 'TCP', port: 8080, targetPort: ports.http }], ...spec },
      }) as unknown as Resource
    const slice = (of: string, family: 'IPv4' | 'IPv6', more: object = {}): Resource =>
      ({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: `${of}-${family.toLowerCase()}`, namespace: own, labels: { 'kubernetes.io/service-name': of } },
        addressType: family,
        ports: [{ name: 'first-port', port: ports.http, protocol: 'TCP' }],
        ...more,
      }) as unknown as Resource
    const manual = ['manual-endpointslices', 'headless-manual-endpointslices']
    const documents = [
      plain(),
      service('manual-endpointslices', {}),
      service('headless', { clusterIP: 'None', selector: { app: 'pods' } }),
      service('headless-manual-endpointslices', { clusterIP: 'None' }),
      ...manual.flatMap(name => [slice(name, 'IPv4'), slice(name, 'IPv6')]),
      route([...manual, 'headless'].map(name => exact(`/${name}`, name))),
    ]
    await edge.with(documents, async () => {
      await accepted(documents)
      const endpoints = [{ addresses: [await edge.podAddress()], conditions: { ready: true, serving: true, terminating: false } }]
      for (const name of manual) await edge.apply(slice(name, 'IPv4', { endpoints }))
      for (const name of [...manual, 'headless']) await edge.expect({ path: `/${name}`, pod: 'one', namespace: own })
    })
  })

  holds(
    'HTTPRouteCrossNamespace',
    () => [
      edge.gateway('first', [
        listener('http', 'HTTP', 80, {
          allowedRoutes: { namespaces: { from: 'Selector', selector: { matchLabels: { team: 'backend' } } } },
        }),
      ]),
      route(all('one'), { namespace: web }),
    ],
    [{ pod: 'one', namespace: web }],
  )

  holds(
    'HTTPRouteExactPathMatching',
    () => [
      plain(),
      route([
        { matches: [{ path: { type: 'Exact', value: '/one' } }], backendRefs: [to('one')] },
        { matches: [{ path: { type: 'Exact', value: '/two' } }], backendRefs: [to('two')] },
      ]),
    ],
    [
      { path: '/one', pod: 'one' },
      { path: '/two', pod: 'two' },
      ...['/', '/one/example', '/two/', '/Two'].map(path => ({ path, status: 404 })),
    ],
  )

  const byHeaders = [
    { matches: [header('version', 'one')], backendRefs: [to('one')] },
    { matches: [header('version', 'two')], backendRefs: [to('two')] },
    { matches: [{ headers: fields({ version: 'two', color: 'orange' }) }], backendRefs: [to('one')] },
    { matches: [header('color', 'blue'), header('color', 'green')], backendRefs: [to('one')] },
    { matches: [header('color', 'red'), header('color', 'yellow')], backendRefs: [to('two')] },
  ]
  holds('HTTPRouteHeaderMatching', () => [plain(), route(byHeaders)], [
    { headers: { Version: 'one' }, pod: 'one' },
    { headers: { Version: 'two' }, pod: 'two' },
    { headers: { Version: 'two', Color: 'orange' }, pod: 'one' },
    { headers: { Version: 'two', Color: 'blue' }, pod: 'two' },
    { headers: { Color: 'blue' }, pod: 'one' },
    { headers: { Color: 'green' }, pod: 'one' },
    { headers: { Color: 'red' }, pod: 'two' },
    { headers: { Color: 'yellow' }, pod: 'two' },
    ...[{ Color: 'orange' }, { 'Some-Other-Header': 'one' }, { Color: 'purple' }].map(headers => ({ headers, status: 404 })),
  ])

  const exact = (value: string, name: string): object => ({ matches: [{ path: { type: 'Exact', value } }], backendRefs: [to(name)] })
  holds(
    'HTTPRoutePathMatchOrder',
    () => [
      plain(),
      route([
        exact('/match', 'one'),
        exact('/match/exact', 'two'),
        exact('/match/exact/one', 'three'),
        below('/match/', 'three'),
        below('/match/prefix/', 'one'),
        below('/match/prefix/one', 'two'),
      ]),
    ],
    [
      { path: '/match/exact/one', pod: 'three' },
      { path: '/match/exact', pod: 'two' },
      { path: '/match', pod: 'one' },
      { path: '/match/prefix/one/any', pod: 'two' },
      { path: '/match/prefix/any', pod: 'one' },
      { path: '/match/any', pod: 'three' },
    ],
  )

  holds(
    'HTTPRouteMatching',
    () => [
      plain(),
      route([
        { matches: [prefix('/'), header('version', 'one')], backendRefs: [to('one')] },
        { matches: [prefix('/v2'), header('version', 'two')], backendRefs: [to('two')] },
      ]),
    ],
    [
      ...['/', '/example', '/v2example', '/foo/v2/example'].map(path => ({ path, pod: 'one' })),
      { headers: { Version: 'one' }, pod: 'one' },
      ...['/v2', '/v2/example', '/v2/'].map(path => ({ path, pod: 'two' })),
      { headers: { Version: 'two' }, pod: 'two' },
    ],
  )

  holds(
    'HTTPRouteMatchingAcrossRoutes',
    () => [
      plain(),
      route([{ matches: [prefix('/'), header('version', 'one')], backendRefs: [to('one')] }], {
        name: 'part1',
        hostnames: ['example.com', 'example.net'],
      }),
      route([{ matches: [prefix('/v2'), header('version', 'two')], backendRefs: [to('two')] }], {
        name: 'part2',
        hostnames: ['example.com'],
      }),
    ],
    [
      { host: 'example.com', pod: 'one' },
      { host: 'example.com', path: '/example', pod: 'one' },
      { host: 'example.net', path: '/example', pod: 'one' },
      { host: 'example.com', path: '/example', headers: { Version: 'one' }, pod: 'one' },
      { host: 'example.com', path: '/v2', pod: 'two' },
      { host: 'example.net', path: '/v2', pod: 'one' },
      { host: 'example.com', path: '/v2/example', pod: 'two' },
      { host: 'example.com', headers: { Version: 'two' }, pod: 'two' },
    ],
  )

  holds(
    'HTTPRouteMethodMatching',
    () => [
      plain(),
      route([
        { matches: [{ method: 'POST' }], backendRefs: [to('one')] },
        { matches: [{ method: 'GET' }], backendRefs: [to('two')] },
        { matches: [{ ...prefix('/path1'), method: 'GET' }], backendRefs: [to('one')] },
        { matches: [{ ...header('version', 'one'), method: 'PUT' }], backendRefs: [to('two')] },
        { matches: [{ ...prefix('/path2'), ...header('version', 'two'), method: 'POST' }], backendRefs: [to('three')] },
        {
          matches: [
            { ...prefix('/path3'), method: 'PATCH' },
            { ...prefix('/path4'), ...header('version', 'three'), method: 'DELETE' },
          ],
          backendRefs: [to('one')],
        },
        below('/path5', 'one'),
        { matches: [{ method: 'PATCH' }], backendRefs: [to('two')] },
        { matches: [header('version', 'four')], backendRefs: [to('three')] },
      ]),
    ],
    [
      { method: 'POST', pod: 'one' },
      { method: 'GET', pod: 'two' },
      { method: 'HEAD', status: 404 },
      { path: '/path1', pod: 'one' },
      { method: 'PUT', headers: { version: 'one' }, pod: 'two' },
      { method: 'POST', path: '/path2', headers: { version: 'two' }, pod: 'three' },
      { method: 'PATCH', path: '/path3', pod: 'one' },
      { method: 'DELETE', path: '/path4', headers: { version: 'three' }, pod: 'one' },
      { method: 'PUT', status: 404 },
      { method: 'DELETE', path: '/path4', status: 404 },
      { method: 'PATCH', path: '/path5', pod: 'one' },
      { method: 'PATCH', headers: { version: 'four' }, pod: 'two' },
    ],
  )

  holds(
    'HTTPRouteQueryParamMatching',
    () => [
      plain(),
      route([
        { matches: [query({ animal: 'whale' })], backendRefs: [to('one')] },
        { matches: [query({ animal: 'dolphin' })], backendRefs: [to('two')] },
        { matches: [query({ animal: 'dolphin', color: 'blue' }), query({ ANIMAL: 'Whale' })], backendRefs: [to('three')] },
        { matches: [{ ...prefix('/path1'), ...query({ animal: 'whale' }) }], backendRefs: [to('one')] },
        { matches: [{ ...header('version', 'one'), ...query({ animal: 'whale' }) }], backendRefs: [to('two')] },
        { matches: [{ ...prefix('/path2'), ...header('version', 'two'), ...query({ animal: 'whale' }) }], backendRefs: [to('three')] },
        {
          matches: [
            { ...prefix('/path3'), ...query({ animal: 'shark' }) },
            { ...prefix('/path4'), ...header('version', 'three'), ...query({ animal: 'kraken' }) },
          ],
          backendRefs: [to('one')],
        },
        below('/path5', 'one'),
        { matches: [query({ animal: 'hydra' })], backendRefs: [to('two')] },
        { matches: [header('version', 'four')], backendRefs: [to('three')] },
      ]),
    ],
    [
      ...[
        '/?animal=whale',
        '/?animal=whale&otherparam=irrelevant',
        '/path1?animal=whale',
        '/path3?animal=shark',
        '/path5?animal=hydra',
      ].map(path => ({
        path,
        pod: 'one',
      })),
      ...['/?animal=dolphin', '/?animal=dolphin&color=yellow'].map(path => ({ path, pod: 'two' })),
      ...['/?animal=dolphin&color=blue', '/?ANIMAL=Whale'].map(path => ({ path, pod: 'three' })),
      { path: '/?animal=whale', headers: { version: 'one' }, pod: 'two' },
      { path: '/path2?animal=whale', headers: { version: 'two' }, pod: 'three' },
      { path: '/path4?animal=kraken', headers: { version: 'three' }, pod: 'one' },
      { path: '/?animal=hydra', headers: { version: 'four' }, pod: 'three' },
      ...['/?color=blue', '/?animal=dog', '/?animal=whaledolphin', '/', '/?animal=shark', '/path4?animal=kraken'].map(path => ({
        path,
        status: 404,
      })),
    ],
  )

  holds('HTTPRouteNamedRule', () => [plain(), route([{ name: 'named', ...below('/named', 'one') }, below('/unnamed', 'two')])], [
    { path: '/named', pod: 'one' },
    { path: '/unnamed', pod: 'two' },
  ])

  holds(
    'HTTPRouteMultipleGateways',
    () => [
      plain(),
      edge.gateway('third', [listener('http', 'HTTP', 80, { allowedRoutes: { namespaces: { from: 'All' } } })]),
      route([below('/shared', 'one')], { name: 'shared', parents: [{ name: 'first' }, { name: 'third' }] }),
      route(all('two'), { name: 'of-first' }),
      route(all('three'), { name: 'of-third', parents: [{ name: 'third' }] }),
    ],
    [
      { path: '/shared', pod: 'one' },
      { path: '/', pod: 'two' },
      { gateway: 'third', path: '/shared', pod: 'one' },
      { gateway: 'third', path: '/', pod: 'three' },
    ],
  )

  const hosts = ['bar.com', 'foo.bar.com', '*.bar.com', '*.foo.com'].map((hostname, index) =>
    listener(`l${index + 1}`, 'HTTP', 80, { hostname }),
  )
  const atListener = (name: string, pod: string, ...sections: readonly string[]): Resource =>
    route(all(pod), { name, parents: sections.map(sectionName => ({ name: 'first', sectionName })) })
  holds(
    'HTTPRouteListenerHostnameMatching',
    () => [
      edge.gateway('first', hosts),
      atListener('v1', 'one', 'l1'),
      atListener('v2', 'two', 'l2'),
      atListener('v3', 'three', 'l3', 'l4'),
    ],
    [
      { host: 'bar.com', pod: 'one' },
      { host: 'foo.bar.com', pod: 'two' },
      ...['baz.bar.com', 'boo.bar.com', 'multiple.prefixes.bar.com', 'multiple.prefixes.foo.com'].map(host => ({ host, pod: 'three' })),
      ...['foo.com', 'no.matching.host'].map(host => ({ host, status: 404 })),
    ],
  )

  holds(
    'HTTPRouteListenerPortMatching',
    () => [
      edge.gateway('first', [
        listener('l1', 'HTTP', 80, { hostname: 'foo.com' }),
        listener('l2', 'HTTP', 8080, { hostname: 'foo.com' }),
        listener('l3', 'HTTP', 8080, { hostname: 'bar.com' }),
        listener('l4', 'HTTP', 8090, { hostname: 'foo.com' }),
        listener('l5', 'HTTP', 8090, { hostname: 'bar.com' }),
      ]),
      ...(
        [
          ['v1', 'one', 80, undefined],
          ['v2', 'two', 8080, undefined],
          ['v3', 'three', 8090, 'l4'],
        ] as const
      ).map(([name, pod, port, sectionName]) =>
        route(all(pod), {
          name,
          parents: [
            {
              name: 'first',
              port: (listener('', '', port) as { port: number }).port,
              ...(sectionName === undefined ? {} : { sectionName }),
            },
          ],
        }),
      ),
    ],
    [
      { host: 'foo.com', pod: 'one' },
      { host: 'foo.com:8080', port: 8080, pod: 'two' },
      { host: 'bar.com:8080', port: 8080, pod: 'two' },
      { host: 'foo.com:8090', port: 8090, pod: 'three' },
      { host: 'bar.com:8090', port: 8090, status: 404 },
    ],
  )

  test('HTTPRouteHostnameIntersection', () =>
    edge.with(
      [
        edge.gateway('first', [
          listener('l1', 'HTTP', 80, { hostname: 'very.specific.com' }),
          listener('l2', 'HTTP', 80, { hostname: '*.wildcard.io' }),
          listener('l3', 'HTTP', 80, { hostname: '*.anotherwildcard.io' }),
        ]),
        edge.gateway('third', [listener('http', 'HTTP', 80)]),
        route([below('/s1', 'one')], { name: 's1', hostnames: ['non.matching.com', '*.nonmatchingwildcard.io', 'very.specific.com'] }),
        route([below('/s2', 'two')], {
          name: 's2',
          hostnames: ['non.matching.com', 'wildcard.io', 'foo.wildcard.io', 'bar.wildcard.io', 'foo.bar.wildcard.io'],
        }),
        route([below('/s3', 'three')], { name: 's3', hostnames: ['non.matching.com', '*.specific.com'] }),
        route([below('/s4', 'one')], { name: 's4', hostnames: ['*.anotherwildcard.io'] }),
        route([below('/s5', 'two')], { name: 's5', hostnames: ['specific.but.wrong.com', 'wildcard.io'] }),
        route(all('two'), {
          name: 'any',
          hostnames: ['first.com', 'sub.first.com', 'second.com', 'sub.second.com'],
          parents: [{ name: 'third' }],
        }),
      ],
      async () => {
        for (const name of ['s1', 's2', 's3', 's4'])
          assert.deepEqual(await edge.verdict('HTTPRoute', name, 'first'), ['True Accepted', 'True ResolvedRefs'])
        assert.deepEqual(await edge.verdict('HTTPRoute', 's5', 'first', ['Accepted']), ['False NoMatchingListenerHostname'])
        const answered: readonly (readonly [path: string, pod: string, hosts: readonly string[]])[] = [
          ['/s1', 'one', ['very.specific.com', 'very.specific.com:1234']],
          ['/s2', 'two', ['foo.wildcard.io', 'bar.wildcard.io', 'foo.bar.wildcard.io']],
          ['/s3', 'three', ['very.specific.com']],
          ['/s4', 'one', ['foo.anotherwildcard.io', 'bar.anotherwildcard.io', 'foo.bar.anotherwildcard.io']],
        ]
        for (const [path, pod, hosts] of answered) for (const host of hosts) await edge.expect({ host, path, pod })
        const lost: readonly (readonly [path: string, hosts: readonly string[]])[] = [
          ['/s1', ['non.matching.com', 'foo.nonmatchingwildcard.io', 'foo.wildcard.io']],
          ['/s2', ['non.matching.com', 'wildcard.io', 'very.specific.com']],
          ['/s3', ['non.matching.com', 'foo.specific.com', 'foo.wildcard.io']],
          ['/s4', ['anotherwildcard.io', 'foo.wildcard.io', 'very.specific.com']],
          ['/s5', ['specific.but.wrong.com', 'wildcard.io']],
          ['/non-matching-prefix', ['very.specific.com', 'foo.wildcard.io', 'foo.anotherwildcard.io']],
        ]
        for (const [path, hosts] of lost) for (const host of hosts) await edge.expect({ host, path, status: 404 })
        const attached = []
        for (const name of ['l1', 'l2', 'l3']) attached.push((await edge.listener('Gateway', 'first', name)).attachedRoutes)
        assert.deepEqual(attached, [2, 1, 1], 'only routes that hold are counted')
        for (const host of ['first.com', 'sub.first.com', 'second.com', 'sub.second.com'])
          await edge.expect({ gateway: 'third', host, pod: 'two' })
        for (const host of ['third.com', 'sub.third.com']) await edge.expect({ gateway: 'third', host, status: 404 })
      },
    ))

  holds(
    'HTTPRouteHTTPSListener',
    () => [
      secure(),
      route(all('one'), { name: 'a', hostnames: ['example.org'], parents: [{ name: 'second' }] }),
      route(all('two'), { name: 'b', parents: [{ name: 'second', sectionName: 'named' }] }),
    ],
    [
      ['example.org', { pod: 'one' }],
      ['unknown-example.org', { status: 404 }],
      ['second-example.org', { pod: 'two' }],
    ].map(
      ([host, expected]): Case => ({
        gateway: 'second',
        port: 443,
        host: host as string,
        tls: { sni: host as string },
        ...(expected as object),
      }),
    ),
  )

  const misdirected = (
    [
      ['example.org', 'example.org', 'one'],
      ['example.org', 'second-example.org', 421],
      ['example.org', 'unknown-example.org', 404],
      ['second-example.org', 'second-example.org', 'two'],
      ['second-example.org', 'example.org', 421],
      ['second-example.org', 'unknown-example.org', 421],
      ['third-example.wildcard.org', 'third-example.wildcard.org', 'three'],
      ['third-example.wildcard.org', 'fith-example.wildcard.org', 'three'],
      ['third-example.wildcard.org', 'fourth-example.wildcard.org', 421],
      ['third-example.wildcard.org', 'second-example.org', 421],
      ['third-example.wildcard.org', 'unknown-example.org', 421],
      ['fourth-example.wildcard.org', 'fourth-example.wildcard.org', 'one'],
      ['fourth-example.wildcard.org', 'fith-example.wildcard.org', 421],
      ['unknown-example.org', 'example.org', 'one'],
      ['unknown-example.org', 'unknown-example.org', 404],
    ] as const
  ).map(
    ([sni, host, outcome]): Case => ({
      gateway: 'second',
      port: 443,
      version: 2,
      tls: { sni },
      host,
      ...(typeof outcome === 'number' ? { status: outcome } : { pod: outcome }),
    }),
  )
  holds(
    'HTTPRouteHTTPSListenerDetectMisdirectedRequests',
    () => [
      secure(),
      ...(
        [
          ['m1', 'one', 'https', ['example.org']],
          ['m2', 'two', 'named', undefined],
          ['m3', 'three', 'suffix', undefined],
          ['m4', 'one', 'below', undefined],
        ] as const
      ).map(([name, pod, sectionName, hostnames]) =>
        route(all(pod), { name, parents: [{ name: 'second', sectionName }], ...(hostnames === undefined ? {} : { hostnames }) }),
      ),
    ],
    misdirected,
  )

  test('HTTPRouteRequestHeaderModifierBackendWeights', () =>
    edge.with(
      [
        plain(),
        route([
          {
            backendRefs: ['one', 'two'].map(name =>
              to(name, 8080, { weight: 10, filters: [onRequest({ set: fields({ Backend: name }) })] }),
            ),
          },
        ]),
      ],
      async () => {
        const seen = new Set<string>()
        for (let times = 0; times < 100; times++) {
          const { echo } = await edge.expect({})
          assert.equal(echo!.headers['backend'], echo!.pod)
          seen.add(echo!.pod)
        }
        assert.deepEqual([...seen].sort(), ['one', 'two'])
      },
    ))

  /** 500 requests and 5 percentage points, as the conformance test has it (2.4 standard deviations), up to ten times. */
  test('HTTPRouteWeight', () =>
    edge.with(
      [
        plain(),
        route([{ backendRefs: [to('one', 8080, { weight: 70 }), to('two', 8080, { weight: 30 }), to('three', 8080, { weight: 0 })] }]),
      ],
      async () => {
        const parts: number[] = []
        for (let tries = 0; tries < 10; tries++) {
          const tally = new Map<string, number>()
          for (let times = 0; times < 500; times++) {
            const { echo } = await edge.expect({})
            tally.set(echo!.pod, (tally.get(echo!.pod) ?? 0) + 1)
          }
          assert.deepEqual([...tally.keys()].sort(), ['one', 'two'])
          const part = tally.get('one')! / 500
          if (Math.abs(part - 0.7) <= 0.05) return
          parts.push(part)
        }
        assert.fail(`one got ${parts.join(', ')}`)
      },
    ))

  for (const [status, path, method] of [
    [303, '/see-other', 'POST'],
    [307, '/temporary', 'GET'],
    [308, '/permanent', 'GET'],
  ] as const)
    holds(
      `HTTPRoute${status}Redirect`,
      () => [plain(), route([redirect(path, { statusCode: status })])],
      [{ path, method, status, location: {} }],
      { skip: usualPorts },
    )

  const elsewhere = { hostname: 'example.org' }
  const moved = { statusCode: 301 }
  holds(
    'HTTPRouteRedirectHostAndStatus',
    () => [plain(), route([redirect('/host', elsewhere), redirect('/host-and-status', { ...elsewhere, ...moved })])],
    [
      { path: '/host', location: { host: 'example.org' } },
      { path: '/host-and-status', status: 301, location: { host: 'example.org' } },
    ],
    { skip: usualPorts },
  )
  const toPrefix = { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/replacement-prefix' } }
  const toPath = (value: string): object => ({ path: { type: 'ReplaceFullPath', replaceFullPath: value } })
  holds(
    'HTTPRouteRedirectPath',
    () => [
      plain(),
      route([
        redirect('/original-prefix', toPrefix),
        redirect('/full', toPath('/full-path-replacement')),
        redirect('/path-and-host', { ...elsewhere, ...toPrefix }),
        redirect('/path-and-status', { ...moved, ...toPrefix }),
        redirect('/full-path-and-host', { ...elsewhere, ...toPath('/replacement-full') }),
        redirect('/full-path-and-status', { ...moved, ...toPath('/replacement-full') }),
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
    { skip: usualPorts },
  )
  for (const [name, field, how, where] of [
    ['HTTPRouteRedirectPort', 'port', { port: 8083 }, { port: '8083' }],
    ['HTTPRouteRedirectScheme', 'scheme', { scheme: 'https' }, { scheme: 'https' }],
  ] as const)
    holds(
      name,
      () => [
        plain(),
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

  /** scheme and port that the filter says, and what Location then has. */
  const ways = (
    of: readonly (readonly [scheme: string | undefined, port: number | undefined, location: { scheme: string; port?: string }])[],
    where: Partial<Case>,
  ) => ({
    rules: of.map(([scheme, port]) =>
      redirect(`/${scheme}-${port}`, {
        ...elsewhere,
        ...(scheme === undefined ? {} : { scheme }),
        ...(port === undefined ? {} : { port }),
      }),
    ),
    cases: of.map(
      ([scheme, port, location]): Case => ({ ...where, path: `/${scheme}-${port}`, location: { host: 'example.org', ...location } }),
    ),
  })
  const from80 = ways(
    [
      [undefined, undefined, { scheme: 'http' }],
      [undefined, 80, { scheme: 'http' }],
      [undefined, 8080, { scheme: 'http', port: '8080' }],
      ['https', undefined, { scheme: 'https' }],
      ['https', 443, { scheme: 'https' }],
      ['https', 8443, { scheme: 'https', port: '8443' }],
    ],
    {},
  )
  const from8080 = ways(
    [
      [undefined, undefined, { scheme: 'http', port: '8080' }],
      [undefined, 80, { scheme: 'http' }],
      ['https', undefined, { scheme: 'https' }],
    ],
    { gateway: 'third', port: 8080 },
  )
  const from443 = ways(
    [
      [undefined, undefined, { scheme: 'https' }],
      [undefined, 443, { scheme: 'https' }],
      [undefined, 8443, { scheme: 'https', port: '8443' }],
      ['http', undefined, { scheme: 'http' }],
      ['http', 80, { scheme: 'http' }],
      ['http', 8080, { scheme: 'http', port: '8080' }],
    ],
    { gateway: 'second', port: 443, host: 'example.org', tls: { sni: 'example.org' } },
  )
  holds(
    'HTTPRouteRedirectPortAndScheme',
    () => [
      plain(),
      edge.gateway('third', [listener('http', 'HTTP', 8080)]),
      secure(),
      route(from80.rules, { name: 'p80' }),
      route(from8080.rules, { name: 'p8080', parents: [{ name: 'third' }] }),
      route(from443.rules, { name: 'p443', parents: [{ name: 'second' }] }),
    ],
    [...from80.cases, ...from8080.cases, ...from443.cases],
    { skip: usualPorts },
  )

  const changes: Readonly<Record<string, HeaderChange>> = {
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
      add: fields({
        'X-Header-Add': 'header-add',
        'x-lowercase-add': 'lowercase-add',
        'x-Mixedcase-ADD-1': 'mixedcase-add-1',
        'X-UPPERCASE-ADD': 'uppercase-add',
      }),
      remove: ['X-Header-Remove'],
    },
  }
  const other = { 'Some-Other-Header': 'val' }
  const another = { 'Another-Header': 'another-header-val' }
  /** What comes, what is left of it, and what is gone: of requests and of answers the same. */
  const changed: readonly (readonly [
    path: string,
    before: Readonly<Record<string, string>>,
    after: Readonly<Record<string, string>>,
    gone: readonly string[],
  ])[] = [
    ['/set', other, { ...other, 'X-Header-Set': 'set-overwrites-values' }, []],
    ['/set', { ...other, 'X-Header-Set': 'some-other-value' }, { ...other, 'X-Header-Set': 'set-overwrites-values' }, []],
    ['/add', other, { ...other, 'X-Header-Add': 'add-appends-values' }, []],
    ['/add', { ...other, 'X-Header-Add': 'some-other-value' }, { ...other, 'X-Header-Add': 'some-other-value,add-appends-values' }, []],
    ['/remove', { 'X-Header-Remove': 'val' }, {}, ['X-Header-Remove']],
    [
      '/multiple',
      { 'X-Header-Set-2': 'set-val-2', 'X-Header-Add-2': 'add-val-2', 'X-Header-Remove-2': 'remove-val-2', ...another },
      {
        'X-Header-Set-1': 'header-set-1',
        'X-Header-Set-2': 'header-set-2',
        'X-Header-Add-1': 'header-add-1',
        'X-Header-Add-2': 'add-val-2,header-add-2',
        'X-Header-Add-3': 'header-add-3',
        ...another,
      },
      ['X-Header-Remove-1', 'X-Header-Remove-2'],
    ],
    [
      '/case-insensitivity',
      { 'x-header-set': 'original-val-set', 'x-header-add': 'original-val-add', 'x-header-remove': 'original-val-remove', ...another },
      {
        'X-Header-Set': 'header-set',
        'X-Header-Add': 'original-val-add,header-add',
        'X-Lowercase-Add': 'lowercase-add',
        'X-Mixedcase-Add-1': 'mixedcase-add-1',
        'X-Uppercase-Add': 'uppercase-add',
        ...another,
      },
      ['X-Header-Remove'],
    ],
  ]
  const requestsChanged = changed.map(
    ([path, headers, after, absent]): Case => ({ path, headers, sent: { headers: after }, absent, pod: 'one' }),
  )
  const rulesOf = (make: (change: HeaderChange) => object): readonly object[] =>
    Object.entries(changes).map(([path, change]) => ({ matches: [prefix(path)], ...make(change) }))
  holds(
    'HTTPRouteRequestHeaderModifier',
    () => [plain(), route(rulesOf(change => ({ filters: [onRequest(change)], backendRefs: [to('one')] })))],
    requestsChanged,
  )
  holds(
    'HTTPRouteBackendRequestHeaderModifier',
    () => [plain(), route(rulesOf(change => ({ backendRefs: [to('one', 8080, { filters: [onRequest(change)] })] })))],
    requestsChanged,
  )
  const answersChanged = changed.map(
    ([path, before, after, gone]): Case => ({
      path,
      headers: {
        'x-answer-with': Object.entries(before)
          .map(each => each.join('='))
          .join(';'),
      },
      answer: { ...after, ...Object.fromEntries(gone.map(name => [name, undefined])) },
      pod: 'one',
    }),
  )
  holds(
    'HTTPRouteResponseHeaderModifier',
    () => [plain(), route(rulesOf(change => ({ filters: [onAnswer(change)], backendRefs: [to('one')] })))],
    answersChanged,
  )
  holds(
    'HTTPRouteBackendResponseHeaderModifier',
    () => [plain(), route(rulesOf(change => ({ backendRefs: [to('one', 8080, { filters: [onAnswer(change)] })] })))],
    answersChanged,
  )

  const alongside = onRequest({
    set: fields({ 'X-Header-Set': 'set-overwrites-values' }),
    add: fields({ 'X-Header-Add': 'header-val-1', 'X-Header-Add-Append': 'header-val-2' }),
    remove: ['X-Header-Remove'],
  })
  const both = {
    headers: { 'X-Header-Remove': 'remove-val', 'X-Header-Add-Append': 'append-val-1', 'X-Header-Set': 'set-val' },
    absent: ['X-Header-Remove'],
  }
  const modified = {
    'X-Header-Add': 'header-val-1',
    'X-Header-Add-Append': 'append-val-1,header-val-2',
    'X-Header-Set': 'set-overwrites-values',
  }
  holds(
    'HTTPRouteRewriteHost',
    () => [
      plain(),
      route(
        [
          rewrite('/one', { hostname: 'one.example.org' }, 'one'),
          rewrite(undefined, { hostname: 'example.org' }, 'two'),
          rewrite('/rewrite-host-and-modify-headers', { hostname: 'test.example.org' }, 'two', alongside),
        ],
        { hostnames: ['rewrite.example'] },
      ),
    ],
    [
      { path: '/one', pod: 'one', sent: { host: 'one.example.org' } },
      { path: '/two', pod: 'two', sent: { host: 'example.org' } },
      { path: '/rewrite-host-and-modify-headers', ...both, pod: 'two', sent: { host: 'test.example.org', headers: modified } },
    ].map(each => ({ ...each, host: 'rewrite.example' })),
  )
  const newPrefix = (value: string): object => ({ path: { type: 'ReplacePrefixMatch', replacePrefixMatch: value } })
  holds(
    'HTTPRouteRewritePath',
    () => [
      plain(),
      route([
        rewrite('/prefix/one', newPrefix('/one'), 'one'),
        rewrite('/strip-prefix', newPrefix('/'), 'one'),
        rewrite('/full/one', toPath('/one'), 'one'),
        rewrite('/full/rewrite-path-and-modify-headers', toPath('/test'), 'one', alongside),
        rewrite('/prefix/rewrite-path-and-modify-headers', newPrefix('/prefix'), 'one', alongside),
      ]),
    ],
    [
      { path: '/prefix/one/two', sent: { path: '/one/two' } },
      { path: '/strip-prefix/three', sent: { path: '/three' } },
      { path: '/strip-prefix', sent: { path: '/' } },
      { path: '/full/one/two', sent: { path: '/one' } },
      { path: '/full/rewrite-path-and-modify-headers/test', ...both, sent: { path: '/test', headers: modified } },
      { path: '/prefix/rewrite-path-and-modify-headers/one', ...both, sent: { path: '/prefix/one', headers: modified } },
    ].map(each => ({ ...each, pod: 'one' })),
  )

  const mirror = (name: string, more: object = {}): object => ({
    type: 'RequestMirror',
    requestMirror: { backendRef: { name, port: 8080 }, ...more },
  })
  for (const [test_, copies] of [
    ['HTTPRouteRequestMirror', ['two']],
    ['HTTPRouteRequestMultipleMirrors', ['two', 'three']],
  ] as const)
    test(test_, () =>
      edge.with(
        [
          plain(),
          route([
            { matches: [prefix('/mirror')], filters: copies.map(name => mirror(name)), backendRefs: [to('one')] },
            {
              matches: [prefix('/mirror-and-modify')],
              filters: [alongside, ...copies.map(name => mirror(name))],
              backendRefs: [to('one')],
            },
          ]),
        ],
        async () => {
          for (const [path, expected] of [
            ['/mirror', {}],
            ['/mirror-and-modify', { ...both, sent: { headers: modified } }],
          ] as const) {
            const id = `${test_}${path.slice(1)}`
            await edge.expect({ ...expected, path: `${path}?id=${id}`, pod: 'one' })
            for (const name of copies) await edge.mesh.until(`a copy of ${path} at ${name}`, () => edge.seen(name, `id=${id}`) === 1)
            assert.equal(edge.seen('one', `id=${id}`), 1)
          }
        },
      ),
    )

  /** 500 requests, and three standard deviations. */
  test('HTTPRouteRequestPercentageMirror', () =>
    edge.with(
      [
        plain(),
        route([
          { matches: [prefix('/percent')], filters: [mirror('two', { percent: 20 })], backendRefs: [to('one')] },
          {
            matches: [prefix('/fraction')],
            filters: [mirror('two', { fraction: { numerator: 25, denominator: 50 } })],
            backendRefs: [to('one')],
          },
          { matches: [prefix('/modified')], filters: [alongside, mirror('two', { percent: 35 })], backendRefs: [to('one')] },
        ]),
      ],
      async () => {
        for (const [path, part] of [
          ['/percent', 0.2],
          ['/fraction', 0.5],
          ['/modified', 0.35],
        ] as const) {
          for (let times = 0; times < 500; times++) await edge.expect({ path: `${path}?id=share`, pod: 'one' })
          const margin = 3 * Math.sqrt(500 * part * (1 - part))
          const isNear = () => Math.abs(edge.seen('two', `${path}?id=share`) - 500 * part) <= margin
          await edge.mesh.until(`about ${500 * part} copies of ${path}, there were ${edge.seen('two', `${path}?id=share`)}`, isNear, 10_000)
        }
      },
    ))

  const cors = (path: string, how: object): object => ({
    matches: [prefix(path)],
    filters: [{ type: 'CORS', cors: how }],
    backendRefs: [to('one')],
  })
  const preflight = (
    path: string,
    origin: string,
    method: string,
    answer: Case['answer'],
    asksFor?: string,
    status: Case['status'] = [200, 204],
  ): Case => ({
    path,
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': method,
      ...(asksFor === undefined ? {} : { 'access-control-request-headers': asksFor }),
    },
    status,
    ...(answer === undefined ? {} : { answer }),
  })
  const simple = (path: string, origin: string, answer: Case['answer'], method = 'GET'): Case => ({
    path,
    method,
    headers: { origin },
    pod: 'one',
    ...(answer === undefined ? {} : { answer }),
  })
  const either = (a: string, b: string): readonly string[] => [`${a},${b}`, `${b},${a}`]
  const wanted = 'x-header-1, x-header-2'
  const whole = (origin: string): Case['answer'] => ({
    'access-control-allow-origin': origin,
    'access-control-allow-methods': either('GET', 'OPTIONS'),
    'access-control-allow-headers': either('x-header-1', 'x-header-2'),
    'access-control-expose-headers': either('x-header-3', 'x-header-4'),
    'access-control-max-age': '3600',
    'access-control-allow-credentials': 'true',
  })
  const noCredentials = { 'access-control-allow-credentials': undefined }
  const anyOrigin = (origin: string): Case['answer'] => ({ 'access-control-allow-origin': [origin, '*'] })
  holds(
    'HTTPRouteCORS',
    () => [
      plain(),
      route([
        cors('/listed', {
          allowOrigins: ['https://www.foo.com', 'https://*.bar.com'],
          allowMethods: ['GET', 'OPTIONS'],
          allowHeaders: ['x-header-1', 'x-header-2'],
          exposeHeaders: ['x-header-3', 'x-header-4'],
          allowCredentials: true,
          maxAge: 3600,
        }),
        cors('/methods', { allowOrigins: ['https://www.foo.com'], allowMethods: ['*'] }),
        cors('/origins', { allowOrigins: ['*'], allowMethods: ['PUT'], allowCredentials: false }),
        cors('/all', { allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], allowCredentials: true }),
        cors('/all-without', { allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], allowCredentials: false }),
      ]),
    ],
    [
      ...['https://www.foo.com', 'https://www.bar.com', 'https://xpto.www.bar.com'].map(origin =>
        preflight('/listed', origin, 'GET', whole(origin), wanted),
      ),
      preflight('/listed', 'https://foobar.com', 'GET', { 'access-control-allow-origin': undefined }, undefined, [200, 204, 403]),
      ...['https://www.foo.com', 'https://www.bar.com'].map(origin => simple('/listed', origin, { 'access-control-allow-origin': origin })),
      simple('/listed', 'https://foobar.com', { 'access-control-allow-origin': undefined }),
      preflight('/methods', 'https://www.foo.com', 'POST', {
        'access-control-allow-origin': 'https://www.foo.com',
        'access-control-allow-methods': ['POST', '*'],
        ...noCredentials,
      }),
      ...['https://foobar.com', 'https://foobar.com:12345'].flatMap(origin => [
        preflight('/origins', origin, 'PUT', { ...anyOrigin(origin), 'access-control-allow-methods': 'PUT', ...noCredentials }),
        simple('/origins', origin, { ...anyOrigin(origin), ...noCredentials }, 'PUT'),
      ]),
      preflight(
        '/all',
        'https://other.foo.com',
        'PUT',
        {
          'access-control-allow-origin': 'https://other.foo.com',
          'access-control-allow-methods': 'PUT',
          'access-control-allow-headers': either('x-header-1', 'x-header-2'),
          'access-control-allow-credentials': 'true',
        },
        wanted,
      ),
      preflight(
        '/all-without',
        'https://other.foo.com',
        'PUT',
        {
          ...anyOrigin('https://other.foo.com'),
          'access-control-allow-methods': ['PUT', '*'],
          'access-control-allow-headers': [...either('x-header-1', 'x-header-2'), '*'],
          ...noCredentials,
        },
        wanted,
      ),
      simple('/all', 'https://other.foo.com', {
        'access-control-allow-origin': 'https://other.foo.com',
        'access-control-allow-credentials': 'true',
      }),
      simple('/all-without', 'https://other.foo.com', { ...anyOrigin('https://other.foo.com'), ...noCredentials }),
    ],
  )

  for (const [name, field] of [
    ['HTTPRouteTimeoutRequest', 'request'],
    ['HTTPRouteTimeoutBackendRequest', 'backendRequest'],
  ] as const)
    holds(
      name,
      () => [
        plain(),
        route([below('/limited', 'one', { timeouts: { [field]: '500ms' } }), below('/endless', 'one', { timeouts: { [field]: '0s' } })]),
      ],
      [
        { path: '/limited', pod: 'one' },
        { path: '/limited?delayMs=1000', status: 504 },
        { path: '/endless?delayMs=1000', pod: 'one' },
      ],
    )

  const retried = (path: string, code: number, times: number, status: number): Case => ({
    path: `${path}?fails=${code}&times=${times}&id=${path}${code}${times}`,
    status,
  })
  const tried: readonly Case[] = [
    retried('/once', 500, 2, 200),
    retried('/once', 500, 4, 500),
    retried('/once', 503, 2, 503),
    ...[500, 502, 503, 504].flatMap(code => [retried('/any', code, 1, 200), retried('/any', code, 3, code)]),
  ]
  test('HTTPRouteRetry', () =>
    edge.with(
      [
        plain(),
        route([
          below('/once', 'three', { retry: { codes: [500], attempts: 3 } }),
          below('/any', 'three', { retry: { codes: [500, 502, 503, 504], attempts: 2 } }),
        ]),
      ],
      async () => {
        for (const each of tried) {
          await edge.expect(each)
          // The budget of retries is ten a second where there are few requests.
          await new Promise(resolve => setTimeout(resolve, 300))
        }
      },
    ))

  holds('HTTPRouteBackendProtocolH2C', () => [plain(), route(all('one', 8081))], [{ version: 2, pod: 'one' }])

  test('HTTPRouteBackendProtocolWebSocket', () =>
    edge.with([plain(), route(all('one', 8082))], async () => {
      const port = (listener('', '', 80) as { port: number }).port
      const socket = new WebSocket(`ws://${edge.address('first')}:${port}/ws`)
      socket.binaryType = 'arraybuffer'
      const next = () =>
        new Promise<unknown>((resolve, reject) => {
          socket.addEventListener('message', ({ data }) => resolve(data), { once: true })
          socket.addEventListener('error', () => reject(new Error('the WebSocket failed')), { once: true })
        })
      await new Promise<void>((resolve, reject) => {
        socket.addEventListener('open', () => resolve(), { once: true })
        socket.addEventListener('error', () => reject(new Error('no WebSocket')), { once: true })
      })
      const text = next()
      socket.send('a text')
      assert.equal(await text, 'a text')
      const bytes = next()
      socket.send(Uint8Array.of(1, 2, 3, 4, 5, 6, 7))
      assert.deepEqual(new Uint8Array((await bytes) as ArrayBuffer), Uint8Array.of(1, 2, 3, 4, 5, 6, 7))
      socket.close()
    }))

  holds(
    'HTTPRouteNoBackendRefs',
    () => [plain(), route([{ matches: [prefix('/omitted')] }, { matches: [prefix('/empty')], backendRefs: [] }, below('/', 'one')])],
    [
      { path: '/forward', pod: 'one' },
      { path: '/omitted', status: 500 },
      { path: '/empty', status: 500 },
    ],
  )

  /** The route holds, and what it refers to cannot be had: the share is answered 500. */
  const unresolved = (name: string, documents: readonly Resource[], reason: string, cases: readonly Case[] = [{ status: 500 }]): void =>
    void test(name, () =>
      edge.with([plain(), ...documents], async () => {
        assert.deepEqual(await edge.verdict('HTTPRoute', 'case', 'first'), ['True Accepted', `False ${reason}`])
        for (const each of cases) await edge.expect(each)
      }),
    )
  const service = { group: '', kind: 'Service' }
  unresolved(
    'HTTPRouteInvalidBackendRefUnknownKind',
    [route([{ backendRefs: [{ group: 'unknown.example.com', kind: 'NonExistent', name: 'one', port: 8080 }] }])],
    'InvalidKind',
  )
  unresolved('HTTPRouteInvalidNonExistentBackendRef', [route(all('nobody'))], 'BackendNotFound')
  unresolved('HTTPRouteInvalidCrossNamespaceBackendRef', [route(all('one', 8080, { namespace: web }))], 'RefNotPermitted')
  const wrongGrants = (kind: string, name: string): readonly Resource[] => [
    grant(own, kind, { ...service, name }, { name: 'wrong-namespace', namespace: own }),
    grant(own, kind, { ...service, name }, { name: 'wrong-from-group', group: 'other.example.com' }),
    grant(own, 'Gateway', { ...service, name }, { name: 'wrong-from-kind' }),
    grant('elsewhere', kind, { ...service, name }, { name: 'wrong-from-namespace' }),
    grant(own, kind, { group: 'other.example.com', kind: 'Service', name }, { name: 'wrong-to-group' }),
    grant(own, kind, { group: '', kind: 'Secret', name }, { name: 'wrong-to-kind' }),
    grant(own, kind, { ...service, name: 'another' }, { name: 'wrong-to-name' }),
  ]
  unresolved(
    'HTTPRouteInvalidReferenceGrant',
    [...wrongGrants('HTTPRoute', 'one'), route(all('one', 8080, { namespace: web }))],
    'RefNotPermitted',
  )
  unresolved(
    'HTTPRoutePartiallyInvalidViaInvalidReferenceGrant',
    [
      grant(own, 'HTTPRoute', { ...service, name: 'one' }, { namespace: app }),
      route([
        { matches: [prefix('/v2')], backendRefs: [to('two', 8080, { namespace: app })] },
        { backendRefs: [to('one', 8080, { namespace: app })] },
      ]),
    ],
    'RefNotPermitted',
    [
      { path: '/v2', status: 500 },
      { path: '/', pod: 'one', namespace: app },
    ],
  )

  test('HTTPRouteReferenceGrant', () => {
    const granted = grant(own, 'HTTPRoute', { ...service, name: 'one' })
    return edge.with([plain(), granted, route(all('one', 8080, { namespace: web }))], async () => {
      assert.deepEqual(await edge.verdict('HTTPRoute', 'case', 'first'), ['True Accepted', 'True ResolvedRefs'])
      await edge.expect({ pod: 'one', namespace: web })
      await edge.remove(granted)
      await edge.mesh.until('a refused request', async () => (await edge.ask({})).status === 500)
      assert.deepEqual(await edge.verdict('HTTPRoute', 'case', 'first'), ['True Accepted', 'False RefNotPermitted'])
      await edge.apply(granted)
    })
  })

  /** No parent takes the route, and it is counted nowhere. */
  const refused = (
    name: string,
    documents: () => readonly Resource[],
    reason: string,
    section: string,
    verdictOf = 'first',
    namespace = own,
  ): void =>
    void test(name, () =>
      edge.with(documents(), async () => {
        assert.deepEqual(await edge.verdict('HTTPRoute', 'case', verdictOf, ['Accepted'], namespace), [`False ${reason}`])
        assert.equal((await edge.listener('Gateway', 'first', section)).attachedRoutes, 0)
      }),
    )
  refused(
    'HTTPRouteDisallowedKind',
    () => [
      edge.gateway('first', [
        listener('tls', 'TLS', 443, { tls: { mode: 'Passthrough' }, allowedRoutes: { kinds: [{ kind: 'TLSRoute' }] } }),
      ]),
      route(all('one')),
    ],
    'NotAllowedByListeners',
    'tls',
  )
  refused(
    'HTTPRouteInvalidCrossNamespaceParentRef',
    () => [plain(), route(all('one'), { namespace: web })],
    'NotAllowedByListeners',
    'http',
    'first',
    web,
  )
  refused(
    'HTTPRouteInvalidParentRefNotMatchingListenerPort',
    () => [plain(), route(all('one'), { parents: [{ name: 'first', port: 81 }] })],
    'NoMatchingParent',
    'http',
  )
  refused(
    'HTTPRouteInvalidParentRefNotMatchingSectionName',
    () => [plain(), route(all('one'), { parents: [{ name: 'first', sectionName: 'http1' }] })],
    'NoMatchingParent',
    'http',
  )
  refused(
    'HTTPRouteInvalidParentRefSectionNameNotMatchingPort',
    () => [plain(), route(all('one'), { parents: [{ name: 'first', sectionName: 'http', port: 81 }] })],
    'NoMatchingParent',
    'http',
  )

  test('HTTPRouteObservedGenerationBump', () =>
    edge.with([plain(), route(all('one'))], async () => {
      const before = await edge.apply(route(all('one')))
      const after = await edge.apply(route(all('two')))
      assert.notEqual(before.metadata.generation, after.metadata.generation)
      const parents = (await edge.status('HTTPRoute', 'case')).parents as unknown as readonly {
        conditions: readonly { observedGeneration?: number }[]
      }[]
      for (const { conditions } of parents) for (const each of conditions) assert.equal(each.observedGeneration, after.metadata.generation)
      assert.deepEqual(await edge.verdict('HTTPRoute', 'case', 'first'), ['True Accepted', 'True ResolvedRefs'])
    }))
})
