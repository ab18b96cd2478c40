/**
 * The expectations of Gateway API's conformance tests of TLSRoute, TCPRoute and UDPRoute (v1.6) at Gateways, each under its own name, against our operator API and `weft gateway`. Written
 * anew from what those tests ask.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Resource } from '../../../src/resources/kind.ts'
import { all, at, app, Edge, grant, https, listener, own, route, skip, to, web } from './edge.ts'
import { datagram, line } from './edge-clients.ts'

type Kind = 'TLSRoute' | 'TCPRoute' | 'UDPRoute'
const only = (kind: string): object => ({ allowedRoutes: { kinds: [{ kind }] } })
const passes = (name: string, port: number, more: object = {}): object =>
  listener(name, 'TLS', port, { tls: { mode: 'Passthrough' }, ...more })
const ends = (name: string, port: number, more: object = {}): object =>
  listener(name, 'TLS', port, { tls: { mode: 'Terminate', certificateRefs: [{ group: '', kind: 'Secret', name: 'server' }] }, ...more })
const holding = ['True Accepted', 'True ResolvedRefs']

describe('Gateway API conformance: connections and datagrams at a Gateway', { skip }, () => {
  let edge: Edge
  before(async () => {
    edge = await Edge.start(1)
    await edge.apply(edge.secret('server', 'server'))
  })
  after(() => edge[Symbol.asyncDispose]())

  const stream = (kind: Kind, rules: readonly object[], more: Parameters<typeof route>[1] = {}): Resource => route(rules, { ...more, kind })
  const tls = (sni: string, port = 443) => line(edge.address('first'), at(port), { sni, ca: edge.read('server.crt') })
  const tcp = (port: number) => line(edge.address('first'), at(port))
  const udp = (port: number) => datagram(edge.address('first'), at(port))
  const isRefused = (sni: string, port?: number) => assert.rejects(tls(sni, port), sni)
  const section = (name: string): { readonly name: string; readonly sectionName: string } => ({ name: 'first', sectionName: name })
  const listed = async (...names: readonly string[]) => {
    const said = []
    for (const name of names) {
      const { supportedKinds, attachedRoutes, conditions = [] } = await edge.listener('Gateway', 'first', name)
      const of = (type: string) => conditions.filter(each => each.type === type).map(each => `${each.status} ${each.reason}`)[0]
      said.push([supportedKinds.map(each => each.kind).join(), attachedRoutes, of('Accepted'), of('ResolvedRefs')])
    }
    return said
  }

  test('TLSRouteSimpleSameNamespace', () =>
    edge.with(
      [
        edge.gateway('first', [passes('tls', 443, { hostname: '*.example.com', ...only('TLSRoute') })]),
        stream('TLSRoute', all('sealed-one', 443), { hostnames: ['abc.example.com'] }),
      ],
      async () => {
        assert.deepEqual(await edge.verdict('TLSRoute', 'case', 'first'), holding)
        const said = await tls('abc.example.com')
        assert.deepEqual([said.pod, said.sni], ['one', 'abc.example.com'], 'the pod itself ends TLS')
      },
    ))

  for (const [name, hostname, routes, reached, lost] of [
    ['an exact hostname', 'abc.example.com', [['*.example.com', 'one']], [['abc.example.com', 'one']], 'non.matching.com'],
    [
      'a more specific wildcard',
      '*.example.com',
      [
        ['abc.example.com', 'one'],
        ['*.com', 'two'],
      ],
      [
        ['abc.example.com', 'one'],
        ['other.example.com', 'two'],
      ],
      'non.matching.com',
    ],
    [
      'a less specific wildcard',
      '*.com',
      [
        ['abc.example.com', 'one'],
        ['*.example.com', 'two'],
      ],
      [
        ['abc.example.com', 'one'],
        ['other.example.com', 'two'],
      ],
      'non.matching.com',
    ],
    [
      'no hostname',
      undefined,
      [
        ['abc.example.com', 'one'],
        ['*.com', 'two'],
      ],
      [
        ['abc.example.com', 'one'],
        ['other.example.com', 'two'],
      ],
      'non.matching.org',
    ],
  ] as const)
    test(`TLSRouteHostnameIntersection: a listener with ${name}`, () =>
      edge.with(
        [
          edge.gateway('first', [passes('tls', 443, { ...(hostname === undefined ? {} : { hostname }), ...only('TLSRoute') })]),
          ...routes.map(([host, pod], index) => stream('TLSRoute', all(`sealed-${pod}`, 443), { name: `r${index}`, hostnames: [host] })),
        ],
        async () => {
          for (const index of routes.keys()) assert.deepEqual(await edge.verdict('TLSRoute', `r${index}`, 'first'), holding)
          for (const [sni, pod] of reached) assert.equal((await tls(sni)).pod, pod)
          await isRefused(lost)
        },
      ))

  for (const [name, backendRef, reason] of [
    ['TLSRouteInvalidBackendRefNonexistent', { name: 'nobody', port: 443 }, 'BackendNotFound'],
    [
      'TLSRouteInvalidBackendRefUnknownKind',
      { group: 'unknown.example.com', kind: 'NonExistent', name: 'sealed-one', port: 443 },
      'InvalidKind',
    ],
  ] as const)
    test(name, () =>
      edge.with(
        [edge.gateway('first', [passes('tls', 443)]), stream('TLSRoute', [{ backendRefs: [backendRef] }], { hostnames: ['example.com'] })],
        async () => {
          assert.deepEqual(await edge.verdict('TLSRoute', 'case', 'first'), ['True Accepted', `False ${reason}`])
          await isRefused('example.com')
        },
      ),
    )

  test('TLSRouteInvalidNoMatchingListenerHostname', async () => {
    for (const [hostname, hostnames] of [
      ['www.example.com', ['www.nomatch.com', '*.nomatch.com']],
      ['*.example.com', ['www.different.com', '*.different.com']],
    ] as const)
      await edge.with(
        [edge.gateway('first', [passes('tls', 443, { hostname })]), stream('TLSRoute', all('sealed-one', 443), { hostnames })],
        async () => {
          assert.deepEqual(await edge.verdict('TLSRoute', 'case', 'first', ['Accepted']), ['False NoMatchingListenerHostname'])
          assert.equal((await listed('tls'))[0]![1], 0)
        },
      )
  })

  test('TLSRouteInvalidNoMatchingListener', async () => {
    for (const [entry, parent, reason] of [
      [listener('http', 'HTTP', 80), { name: 'first' }, 'NotAllowedByListeners'],
      [https('https', 443), { name: 'first' }, 'NotAllowedByListeners'],
      [passes('tls', 443), section('nonexistent'), 'NoMatchingParent'],
    ] as const)
      await edge.with(
        [edge.gateway('first', [entry]), stream('TLSRoute', all('sealed-one', 443), { hostnames: ['tls.example.com'], parents: [parent] })],
        async () => {
          assert.deepEqual(await edge.verdict('TLSRoute', 'case', 'first', ['Accepted']), [`False ${reason}`])
          assert.equal((await listed((entry as { name: string }).name))[0]![1], 0)
        },
      )
  })

  const service = (name: string): object => ({ group: '', kind: 'Service', name })
  test('TLSRouteInvalidReferenceGrant', () =>
    edge.with(
      [
        edge.gateway('first', [passes('tls', 443, { hostname: '*.example.com' })]),
        grant(own, 'TLSRoute', service('sealed-one'), { name: 'wrong-namespace', namespace: own }),
        grant(own, 'TLSRoute', service('sealed-one'), { name: 'wrong-from-group', namespace: app, group: 'other.example.com' }),
        grant(own, 'Gateway', service('sealed-one'), { name: 'wrong-from-kind', namespace: app }),
        grant('elsewhere', 'TLSRoute', service('sealed-one'), { name: 'wrong-from-namespace', namespace: app }),
        grant(
          own,
          'TLSRoute',
          { group: 'other.example.com', kind: 'Service', name: 'sealed-one' },
          { name: 'wrong-to-group', namespace: app },
        ),
        grant(own, 'TLSRoute', { group: '', kind: 'Secret', name: 'sealed-one' }, { name: 'wrong-to-kind', namespace: app }),
        grant(own, 'TLSRoute', service('another'), { name: 'wrong-to-name', namespace: app }),
        stream('TLSRoute', all('sealed-one', 443, { namespace: app }), { hostnames: ['abc.example.com'] }),
      ],
      async () => assert.deepEqual(await edge.verdict('TLSRoute', 'case', 'first'), ['True Accepted', 'False RefNotPermitted']),
    ))

  test('TLSRouteListenerPassthroughSupportedKinds', () =>
    edge.with(
      [edge.gateway('first', [passes('tls', 443, { allowedRoutes: { kinds: [{ kind: 'TCPRoute' }, { kind: 'TLSRoute' }] } })])],
      async () => assert.deepEqual(await listed('tls'), [['TLSRoute', 0, 'True Accepted', 'False InvalidRouteKinds']]),
    ))

  test('TLSRouteListenerTerminateSupportedKinds', () =>
    edge.with([edge.gateway('first', [ends('tls', 8443, { hostname: 'terminate.example.com', ...only('TLSRoute') })])], async () =>
      assert.deepEqual(await listed('tls'), [['TLSRoute', 0, 'True Accepted', 'True ResolvedRefs']]),
    ))

  test('TLSRouteTerminateSimpleSameNamespace', () =>
    edge.with(
      [
        edge.gateway('first', [ends('tls', 8443, { hostname: 'tls.example.com', ...only('TLSRoute') })]),
        stream('TLSRoute', all('bytes-one', 3000), { hostnames: ['tls.example.com'] }),
      ],
      async () => {
        assert.deepEqual(await edge.verdict('TLSRoute', 'case', 'first'), holding)
        const said = await tls('tls.example.com', 8443)
        assert.deepEqual([said.pod, said.sni], ['one', ''], 'the pod speaks without TLS')
      },
    ))

  test('TLSRouteMixedTerminationSameNamespace', () =>
    edge.with(
      [
        edge.gateway('first', [
          ends('ends', 8883, { hostname: 'tls.example.com', ...only('TLSRoute') }),
          passes('passes', 8883, { hostname: 'abc.example.com', ...only('TLSRoute') }),
        ]),
        stream('TLSRoute', all('sealed-two', 443), { name: 'passes', hostnames: ['abc.example.com'] }),
        stream('TLSRoute', all('bytes-one', 3000), { name: 'ends', hostnames: ['tls.example.com'] }),
      ],
      async () => {
        for (const name of ['passes', 'ends']) assert.deepEqual(await edge.verdict('TLSRoute', name, 'first'), holding)
        assert.deepEqual(
          await listed('ends', 'passes'),
          [0, 1].map(() => ['TLSRoute', 1, 'True Accepted', 'True ResolvedRefs']),
        )
        const [ended, passed] = [await tls('tls.example.com', 8883), await tls('abc.example.com', 8883)]
        assert.deepEqual([ended.pod, ended.sni, passed.pod, passed.sni], ['one', '', 'two', 'abc.example.com'])
      },
    ))

  test('a TCPRoute at a listener of TLS that ends here gets what is in it, of every name that the listener has', () =>
    edge.with(
      [
        edge.gateway('first', [ends('tls', 8443, { hostname: '*.example.com', ...only('TCPRoute') })]),
        stream('TCPRoute', all('bytes-two', 3000)),
      ],
      async () => {
        assert.deepEqual(await edge.verdict('TCPRoute', 'case', 'first'), holding)
        assert.equal((await tls('any.example.com', 8443)).pod, 'two')
        await isRefused('example.org', 8443)
      },
    ))

  for (const [kind, protocol, backend, port] of [
    ['TCPRoute', 'TCP', 'bytes', 3000],
    ['UDPRoute', 'UDP', 'datagrams', 8080],
  ] as const) {
    const reach = kind === 'TCPRoute' ? tcp : udp
    const entry = (name: string, number: number): object => listener(name, protocol, number, only(kind))
    const toPod = (pod: string, more: object = {}): readonly object[] => all(`${backend}-${pod}`, port, more)

    test(`${kind === 'UDPRoute' ? 'UDPRoute (simple)' : 'TCPRoute, simple'}`, () =>
      edge.with([edge.gateway('first', [entry('one', 5300)]), stream(kind, toPod('one'), { parents: [section('one')] })], async () => {
        assert.deepEqual(await edge.verdict(kind, 'case', 'first'), holding)
        assert.equal((await reach(5300))?.pod, 'one')
      }))

    test(`${kind}InvalidBackendRefNonexistent`, () =>
      edge.with([edge.gateway('first', [entry('one', 5300)]), stream(kind, all('nobody', 8080), { parents: [section('one')] })], async () =>
        assert.deepEqual(await edge.verdict(kind, 'case', 'first'), ['True Accepted', 'False BackendNotFound']),
      ))

    test(`${kind}InvalidCrossNamespaceBackendRef`, () =>
      edge.with([edge.gateway('first', [entry('one', 5300)]), stream(kind, toPod('one', { namespace: web }))], async () =>
        assert.deepEqual(await edge.verdict(kind, 'case', 'first'), ['True Accepted', 'False RefNotPermitted']),
      ))

    test(`${kind}MultipleRoutesAttachment`, () =>
      edge.with(
        [edge.gateway('first', [entry('one', 5301)]), stream(kind, toPod('one'), { name: 'older', parents: [section('one')] })],
        async () => {
          // Times of creation are whole seconds.
          await new Promise(resolve => setTimeout(resolve, 1100))
          await edge.with([stream(kind, toPod('two'), { name: 'newer', parents: [section('one')] })], async () => {
            for (const name of ['older', 'newer']) assert.deepEqual(await edge.verdict(kind, name, 'first'), holding)
            assert.deepEqual(await listed('one'), [[kind, 2, 'True Accepted', 'True ResolvedRefs']])
            for (let times = 0; times < 20; times++) assert.equal((await reach(5301))?.pod, 'one')
          })
          await edge.mesh.until('the older alone again', async () => (await listed('one'))[0]![1] === 1)
        },
      ))

    test(`${kind}ParentRefAttachAll${kind === 'UDPRoute' ? 'Listeners' : ''}`, () =>
      edge.with(
        [
          edge.gateway(
            'first',
            ['one', 'two', 'three'].map((name, index) => entry(name, 5310 + index)),
          ),
          stream(kind, toPod('three')),
        ],
        async () => {
          assert.deepEqual(await edge.verdict(kind, 'case', 'first'), holding)
          assert.deepEqual(
            await listed('one', 'two', 'three'),
            [0, 1, 2].map(() => [kind, 1, 'True Accepted', 'True ResolvedRefs']),
          )
          for (const number of [5310, 5311, 5312]) assert.equal((await reach(number))?.pod, 'three')
        },
      ))

    test(`${kind}ParentRefPortAndSectionName`, () =>
      edge.with(
        [
          edge.gateway(
            'first',
            ['by-port', 'by-section', 'by-both'].map((name, index) => entry(name, 5300 + index)),
          ),
          stream(kind, toPod('one'), { name: 'by-port', parents: [{ name: 'first', port: at(5300) }] }),
          stream(kind, toPod('two'), { name: 'by-section', parents: [section('by-section')] }),
          stream(kind, toPod('three'), { name: 'by-both', parents: [{ ...section('by-both'), port: at(5302) }] }),
        ],
        async () => {
          for (const name of ['by-port', 'by-section', 'by-both']) assert.deepEqual(await edge.verdict(kind, name, 'first'), holding)
          const reached = []
          for (const number of [5300, 5301, 5302]) reached.push((await reach(number))?.pod)
          assert.deepEqual(reached, ['one', 'two', 'three'])
        },
      ))

    test(`${kind}ReferenceGrant`, () => {
      const granted = grant(own, kind, service(`${backend}-one`))
      return edge.with([granted, edge.gateway('first', [entry('one', 5300)]), stream(kind, toPod('one', { namespace: web }))], async () => {
        assert.deepEqual(await edge.verdict(kind, 'case', 'first'), holding)
        const said = await reach(5300)
        assert.deepEqual([said?.pod, said?.namespace], ['one', web])
        await edge.remove(granted)
        await edge.mesh.until('a refused reference', async () => (await edge.verdict(kind, 'case', 'first'))[1] === 'False RefNotPermitted')
        await edge.apply(granted)
      })
    })

    /** 200 connections or flows, and three standard deviations. */
    test(`${kind}WeightedRouting`, () =>
      edge.with(
        [
          edge.gateway('first', [entry('one', 5300)]),
          stream(kind, [
            {
              backendRefs: [
                ['one', 70],
                ['two', 30],
                ['three', 0],
              ].map(([pod, weight]) => to(`${backend}-${pod}`, port, { weight })),
            },
          ]),
        ],
        async () => {
          const tally = new Map<string, number>()
          for (let times = 0; times < 200; times++) {
            const pod = (await reach(5300))?.pod ?? 'nobody'
            tally.set(pod, (tally.get(pod) ?? 0) + 1)
          }
          assert.deepEqual([...tally.keys()].sort(), ['one', 'two'])
          assert.ok(Math.abs(tally.get('one')! - 140) <= 3 * Math.sqrt(200 * 0.7 * 0.3), JSON.stringify([...tally]))
        },
      ))
  }

  for (const [name, kind, entry] of [
    ['TCPRouteInvalidNonTCPListener', 'TCPRoute', listener('l', 'HTTP', 5300, only('HTTPRoute'))],
    ['UDPRouteNotAllowedByListeners', 'UDPRoute', passes('l', 443)],
  ] as const)
    test(name, () =>
      edge.with([edge.gateway('first', [entry]), stream(kind, all('bytes-one', 3000), { parents: [section('l')] })], async () => {
        assert.deepEqual(await edge.verdict(kind, 'case', 'first', ['Accepted']), ['False NotAllowedByListeners'])
        assert.equal((await listed('l'))[0]![1], 0)
      }),
    )
})
