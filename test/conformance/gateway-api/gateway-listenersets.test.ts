/**
 * The expectations of Gateway API's conformance tests of ListenerSets (v1.6), each under its own name, against our operator API and `weft gateway`. Written anew from what those
 * tests ask.
 */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Resource } from '../../../src/resources/kind.ts'
import { root } from '../../harness/mesh.ts'
import { below, Edge, fromAll, grant, group, https, listener, own, route, skip, web } from './edge.ts'

const lets = (from: string, selector?: object): object => ({
  allowedListeners: { namespaces: { from, ...(selector === undefined ? {} : { selector }) } },
})
const set = (name: string, listeners: readonly object[], namespace = own): Resource =>
  ({
    apiVersion: `${group}/v1`,
    kind: 'ListenerSet',
    metadata: { name, namespace },
    spec: { parentRef: { group, kind: 'Gateway', name: 'first', namespace: own }, listeners },
  }) as unknown as Resource
const host = (name: string, more: object = {}): object => listener(name, 'HTTP', 80, { hostname: `${name}.com`, ...fromAll, ...more })
const same = { allowedRoutes: { namespaces: { from: 'Same' } } }
const namespace = (name: string, labels: object = {}): Resource =>
  ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }) as unknown as Resource
const ofSet = (name: string, more: object = {}): { readonly name: string; readonly kind: string; readonly group: string } => ({
  kind: 'ListenerSet',
  group,
  name,
  ...more,
})
const programmed = ['True Accepted', 'True Programmed']
const conditions = ['Accepted', 'Programmed']

describe('Gateway API conformance: ListenerSets', { skip }, () => {
  let edge: Edge
  before(async () => {
    edge = await Edge.start(1)
  })
  after(() => edge[Symbol.asyncDispose]())

  const gateway = (listeners: readonly object[], more: object): Resource => edge.gateway('first', listeners, more)
  const said = (name: string, of = own) => edge.says('ListenerSet', name, conditions, of)
  const attached = async (): Promise<number> =>
    ((await edge.status('Gateway', 'first')) as { attachedListenerSets?: number }).attachedListenerSets ?? 0
  const listenerSays = async (
    kind: string,
    name: string,
    entry: string,
    types: readonly string[],
    of = own,
  ): Promise<readonly string[]> => {
    const { conditions: all = [] } = await edge.listener(kind, name, entry, of)
    return types.map(type => all.filter(each => each.type === type).map(each => `${each.status} ${each.reason}`)[0] ?? 'nothing')
  }
  const holds = ['True Accepted', 'True Programmed', 'True ResolvedRefs']
  const whole = ['Accepted', 'Programmed', 'ResolvedRefs']

  for (const [name, more] of [
    ['ListenerSetAllowedNamespaceNone', lets('None')],
    ['ListenerSetDefaultNotAllowed', {}],
  ] as const)
    test(name, () =>
      edge.with([gateway([host('own')], more), set('more', [host('other')])], async () => {
        assert.deepEqual(await edge.says('Gateway', 'first', ['Accepted']), ['True Accepted'])
        assert.equal(await attached(), 0)
        assert.deepEqual(await said('more'), ['False NotAllowed', 'False NotAllowed'])
      }),
    )

  for (const [name, more, inside, outside] of [
    ['ListenerSetAllowedNamespaceSame', lets('Same'), own, 'beyond'],
    ['ListenerSetAllowedNamespaceSelector', lets('Selector', { matchLabels: { allowed: 'yes' } }), 'selected', 'beyond'],
  ] as const)
    test(name, () =>
      edge.with(
        [
          ...(inside === own ? [] : [namespace(inside, { allowed: 'yes' })]),
          namespace(outside),
          gateway([host('own')], more),
          set('in', [host('inner')], inside),
          set('out', [host('outer')], outside),
        ],
        async () => {
          assert.equal(await attached(), 1)
          assert.deepEqual(await said('in', inside), programmed)
          assert.deepEqual(await listenerSays('ListenerSet', 'in', 'inner', whole, inside), holds)
          assert.deepEqual(await said('out', outside), ['False NotAllowed', 'False NotAllowed'])
          await edge.apply(gateway([host('own')], lets('None')))
          assert.deepEqual(await said('in', inside), ['False NotAllowed', 'False NotAllowed'])
          assert.deepEqual((await edge.status('ListenerSet', 'in', inside)).listeners, [], 'nothing of its listeners holds any more')
        },
      ),
    )

  test('ListenerSetAllowedRoutesNamespaces', () =>
    edge.with(
      [
        namespace('routes-in', { allowed: 'yes' }),
        namespace('routes-out'),
        namespace('cross'),
        gateway([host('own')], lets('All')),
        set('sets', [
          host('all'),
          host('same', same),
          host('chosen', { allowedRoutes: { namespaces: { from: 'Selector', selector: { matchLabels: { allowed: 'yes' } } } } }),
        ]),
        set('crossing', [host('cross-same', same)], 'cross'),
        ...['routes-in', 'routes-out', 'cross'].map(from =>
          grant(from, 'HTTPRoute', { group: '', kind: 'Service' }, { name: `from-${from}`, namespace: own }),
        ),
        route([below('/same', 'one')], { name: 'of-same', parents: [ofSet('sets')] }),
        route([withNamespace('/in', 'two')], { name: 'of-in', namespace: 'routes-in', parents: [ofSet('sets')] }),
        route([withNamespace('/out', 'three')], { name: 'of-out', namespace: 'routes-out', parents: [ofSet('sets')] }),
        route([withNamespace('/cross', 'one')], {
          name: 'of-cross',
          namespace: 'cross',
          parents: [ofSet('crossing', { namespace: 'cross' })],
        }),
        route([below('/gateway', 'two')], { name: 'of-gateway', parents: [ofSet('crossing', { namespace: 'cross' })] }),
      ],
      async () => {
        assert.equal(await attached(), 2)
        const counted = []
        for (const name of ['all', 'same', 'chosen']) {
          assert.deepEqual(await listenerSays('ListenerSet', 'sets', name, whole), holds)
          counted.push((await edge.listener('ListenerSet', 'sets', name)).attachedRoutes)
        }
        assert.deepEqual(counted, [3, 1, 1])
        assert.equal((await edge.listener('ListenerSet', 'crossing', 'cross-same', 'cross')).attachedRoutes, 1)
        assert.deepEqual(await edge.verdict('HTTPRoute', 'of-gateway', 'ListenerSet/crossing', ['Accepted']), [
          'False NotAllowedByListeners',
        ])
        const paths = [
          ['/same', 'one'],
          ['/in', 'two'],
          ['/out', 'three'],
        ] as const
        for (const [name, taken] of [
          ['all', ['/same', '/in', '/out']],
          ['same', ['/same']],
          ['chosen', ['/in']],
        ] as const)
          for (const [path, pod] of paths)
            await edge.expect({ host: `${name}.com`, path, ...((taken as readonly string[]).includes(path) ? { pod } : { status: 404 }) })
        await edge.expect({ host: 'cross-same.com', path: '/cross', pod: 'one' })
        await edge.expect({ host: 'cross-same.com', path: '/gateway', status: 404 })
      },
    ))

  test('ListenerSetAllowedRoutesSupportedKinds', () =>
    edge.with(
      [
        gateway([host('own')], lets('All')),
        set('kinds', [
          listener('tls', 'TLS', 443, {
            hostname: 'tls.com',
            tls: { mode: 'Passthrough' },
            allowedRoutes: { kinds: [{ kind: 'HTTPRoute' }] },
          }),
        ]),
      ],
      async () => assert.deepEqual(await listenerSays('ListenerSet', 'kinds', 'tls', ['ResolvedRefs']), ['False InvalidRouteKinds']),
    ))

  test('ListenerSetDualParentRefIndependence', () =>
    edge.with(
      [
        gateway([host('own', same)], lets('Same')),
        set('more', [host('other', same)]),
        route([below('/both', 'one')], { name: 'both', parents: [{ name: 'first' }, ofSet('more')] }),
        route([below('/one', 'two')], {
          name: 'half',
          parents: [{ name: 'first', sectionName: 'other' }, ofSet('more', { sectionName: 'other' })],
        }),
      ],
      async () => {
        assert.equal(await attached(), 1)
        assert.equal((await edge.listener('ListenerSet', 'more', 'other')).attachedRoutes, 2)
        for (const parent of ['first', 'ListenerSet/more'])
          assert.deepEqual(await edge.verdict('HTTPRoute', 'both', parent, ['Accepted']), ['True Accepted'])
        for (const name of ['own', 'other']) await edge.expect({ host: `${name}.com`, path: '/both', pod: 'one' })
        assert.deepEqual(await edge.verdict('HTTPRoute', 'half', 'first', ['Accepted']), ['False NoMatchingParent'])
        assert.deepEqual(await edge.verdict('HTTPRoute', 'half', 'ListenerSet/more', ['Accepted']), ['True Accepted'])
        await edge.expect({ host: 'other.com', path: '/one', pod: 'two' })
        await edge.expect({ host: 'own.com', path: '/one', status: 404 })
      },
    ))

  test('ListenerSetGatewayParentSectionNameNotFound', () =>
    edge.with(
      [
        gateway([host('own', same)], lets('Same')),
        set('more', [host('other', same)]),
        route([below('/good', 'one')], { name: 'good', parents: [ofSet('more', { sectionName: 'other' })] }),
        route([below('/bad', 'two')], { name: 'bad', parents: [{ name: 'first', sectionName: 'other' }] }),
      ],
      async () => {
        assert.deepEqual(await edge.verdict('HTTPRoute', 'good', 'ListenerSet/more', ['Accepted']), ['True Accepted'])
        assert.deepEqual(await edge.verdict('HTTPRoute', 'bad', 'first', ['Accepted']), ['False NoMatchingParent'])
        await edge.expect({ host: 'other.com', path: '/good', pod: 'one' })
        await edge.expect({ host: 'own.com', path: '/bad', status: 404 })
      },
    ))

  for (const [name, reason, clash] of [
    [
      'ListenerSetHostnameConflict',
      'HostnameConflict',
      (entry: string) => listener(entry, 'HTTP', 80, { hostname: `${entry}.com`, ...fromAll }),
    ],
    ['ListenerSetProtocolConflict', 'ProtocolConflict', (entry: string) => listener(entry, 'TCP', 80, fromAll)],
  ] as const)
    test(name, () =>
      edge.with([gateway([host('own'), host('taken')], lets('Same'))], async () => {
        // Times of creation are whole seconds: the older wins.
        const pause = () => new Promise(resolve => setTimeout(resolve, 1100))
        const sets = [
          set('a-first', [host('set-1'), clash('taken'), host('set-taken')]),
          set('b-second', [clash('taken')]),
          set('c-third', [host('set-2'), clash('set-taken')]),
          set('d-fourth', [clash('set-taken')]),
        ]
        await edge.with(sets.slice(0, 1), async () => {
          await pause()
          await edge.with(sets.slice(1), async () => {
            const lost = ['Accepted', 'Programmed', 'Conflicted']
            const conflicting = [`False ${reason}`, `False ${reason}`, `True ${reason}`]
            for (const entry of ['own', 'taken']) assert.deepEqual(await listenerSays('Gateway', 'first', entry, whole), holds)
            assert.equal(await attached(), 2)
            assert.deepEqual(await said('a-first'), ['True ListenersNotValid', 'True Programmed'])
            assert.deepEqual(await listenerSays('ListenerSet', 'a-first', 'set-1', whole), holds)
            assert.deepEqual(await listenerSays('ListenerSet', 'a-first', 'taken', lost), conflicting)
            assert.deepEqual(await listenerSays('ListenerSet', 'a-first', 'set-taken', whole), holds)
            assert.deepEqual(await said('c-third'), ['True ListenersNotValid', 'True Programmed'])
            assert.deepEqual(await listenerSays('ListenerSet', 'c-third', 'set-2', whole), holds)
            assert.deepEqual(await listenerSays('ListenerSet', 'c-third', 'set-taken', lost), conflicting)
            for (const [set_, entry] of [
              ['b-second', 'taken'],
              ['d-fourth', 'set-taken'],
            ] as const) {
              assert.deepEqual(await said(set_), ['False ListenersNotValid', 'False ListenersNotValid'])
              assert.deepEqual(await listenerSays('ListenerSet', set_, entry, lost), conflicting)
            }
          })
        })
      }),
    )

  test('ListenerSetHTTPRouting', () =>
    edge.with(
      [
        gateway([host('g-1'), host('g-2')], lets('All')),
        set('s1', [host('s1-1'), host('s1-2')]),
        set('s2', [host('s2-1'), host('s2-2')]),
        route([below('/route', 'one')], { name: 'everywhere', parents: [{ name: 'first' }, ofSet('s1'), ofSet('s2')] }),
        route([below('/gateway-route', 'two')], { name: 'g', parents: [{ name: 'first' }] }),
        route([below('/gateway-section', 'three')], { name: 'g-section', parents: [{ name: 'first', sectionName: 'g-1' }] }),
        route([below('/s1-route', 'two')], { name: 's1-route', parents: [ofSet('s1')] }),
        route([below('/s1-section', 'three')], { name: 's1-section', parents: [ofSet('s1', { sectionName: 's1-1' })] }),
        route([below('/s2-route', 'two')], { name: 's2-route', parents: [ofSet('s2')] }),
      ],
      async () => {
        assert.equal(await attached(), 2)
        const counted = []
        for (const name of ['s1-1', 's1-2', 's2-1', 's2-2'])
          counted.push((await edge.listener('ListenerSet', name.slice(0, 2), name)).attachedRoutes)
        assert.deepEqual(counted, [3, 2, 2, 2])
        const everywhere = ['g-1', 'g-2', 's1-1', 's1-2', 's2-1', 's2-2']
        const reached: readonly (readonly [path: string, pod: string, hosts: readonly string[]])[] = [
          ['/route', 'one', everywhere],
          ['/gateway-route', 'two', ['g-1', 'g-2']],
          ['/gateway-section', 'three', ['g-1']],
          ['/s1-route', 'two', ['s1-1', 's1-2']],
          ['/s1-section', 'three', ['s1-1']],
          ['/s2-route', 'two', ['s2-1', 's2-2']],
        ]
        for (const [path, pod, hosts] of reached)
          for (const name of everywhere)
            await edge.expect({ host: `${name}.com`, path, ...(hosts.includes(name) ? { pod } : { status: 404 }) })
      },
    ))

  test('ListenerSetReferenceGrant', () =>
    edge.with(
      [
        edge.secret('server', 'server', web),
        namespace('ungranted'),
        grant(own, 'Gateway', { group: '', kind: 'Secret' }, { name: 'for-gateway' }),
        grant(own, 'ListenerSet', { group: '', kind: 'Secret' }, { name: 'for-set' }),
        gateway([https('own', 443, { hostname: 'own.com', tls: { certificateRefs: [{ name: 'server', namespace: web }] } })], lets('All')),
        set('granted', [https('a', 443, { hostname: 'a.com', tls: { certificateRefs: [{ name: 'server', namespace: web }] } })]),
        set(
          'denied',
          [https('b', 443, { hostname: 'b.com', tls: { certificateRefs: [{ name: 'server', namespace: web }] } })],
          'ungranted',
        ),
      ],
      async () => {
        assert.deepEqual(await said('granted'), programmed)
        assert.deepEqual(await listenerSays('ListenerSet', 'granted', 'a', ['ResolvedRefs']), ['True ResolvedRefs'])
        assert.deepEqual(await said('denied', 'ungranted'), ['False ListenersNotValid', 'False ListenersNotValid'])
        assert.deepEqual(await listenerSays('ListenerSet', 'denied', 'b', ['ResolvedRefs'], 'ungranted'), ['False RefNotPermitted'])
      },
    ))

  test('the example of the guide is taken, and its listener is one of the Gateway', async () => {
    const { code, stderr } = await edge.mesh.weft('apply', '-f', join(root, 'examples/listener-set.yaml'))
    assert.equal(code, 0, stderr)
    await edge.mesh.until(
      'a ListenerSet that holds',
      async () => (await edge.says('ListenerSet', 'blog', ['Accepted'], 'default'))[0] === 'True Accepted',
    )
    const parents = (await edge.status('HTTPRoute', 'blog', 'default')).parents as unknown as readonly {
      conditions: readonly { type: string; status: string }[]
    }[]
    assert.equal(parents[0]?.conditions.find(each => each.type === 'Accepted')?.status, 'True')
  })

  test('ListenerSetRouteStatusScopedToParentRef', () =>
    edge.with(
      [
        gateway([host('own', same)], lets('Same')),
        set('more', [host('other', same)]),
        route([below('/g', 'one')], { name: 'g-only', parents: [{ name: 'first' }] }),
        route([below('/s', 'two')], { name: 's-only', parents: [ofSet('more')] }),
      ],
      async () => {
        assert.equal((await edge.listener('ListenerSet', 'more', 'other')).attachedRoutes, 1)
        for (const [name, kind, parent] of [
          ['g-only', 'Gateway', 'first'],
          ['s-only', 'ListenerSet', 'more'],
        ] as const) {
          const parents = (await edge.status('HTTPRoute', name)).parents as unknown as readonly {
            parentRef: { kind: string; name: string }
          }[]
          assert.deepEqual(
            parents.map(each => [each.parentRef.kind, each.parentRef.name]),
            [[kind, parent]],
          )
          assert.deepEqual(await edge.verdict('HTTPRoute', name, `${kind}/${parent}`, ['Accepted']), ['True Accepted'])
        }
      },
    ))
})

/** To a Service of the Gateway's namespace, from a route of another. */
function withNamespace(path: string, name: string): object {
  return { matches: [{ path: { type: 'PathPrefix', value: path } }], backendRefs: [{ name, namespace: own, port: 8080 }] }
}
