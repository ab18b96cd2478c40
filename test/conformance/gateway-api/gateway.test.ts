/**
 * The expectations of Gateway API's conformance tests of Gateways and GatewayClasses themselves (v1.6): their status, certificates, client certificates, isolation of listeners; each under
 * its own name, against our operator API and `weft gateway`. Written anew from what those tests ask.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Resource } from '../../../src/resources/kind.ts'
import { all, app, at, below, type Case, Edge, fromAll, grant, group, https, listener, own, route, skip, web } from './edge.ts'

const refusedRef = (reason: string): readonly string[] => [`False ${reason}`]
const secretRef = { group: '', kind: 'Secret', name: 'server' }
const httpRoutes = (more: object = {}): object => ({
  allowedRoutes: {
    kinds: [{ kind: 'HTTPRoute' }],
    namespaces: { from: 'Selector', selector: { matchLabels: { 'kubernetes.io/metadata.name': own } } },
  },
  ...more,
})

describe('Gateway API conformance: Gateways', { skip }, () => {
  let edge: Edge
  before(async () => {
    edge = await Edge.start(1)
    await edge.apply(edge.secret('server', 'server'))
  })
  after(() => edge[Symbol.asyncDispose]())

  const gateway = (listeners: readonly object[], more: object = {}): Resource => edge.gateway('first', listeners, more)
  const plain = (): object => listener('http', 'HTTP', 80)
  const listenerSays = async (name: string, ...types: readonly string[]): Promise<readonly string[]> => {
    const { conditions = [] } = await edge.listener('Gateway', 'first', name)
    return types.map(type => conditions.filter(each => each.type === type).map(each => `${each.status} ${each.reason}`)[0] ?? 'nothing')
  }
  const counted = async (name: string): Promise<readonly [kinds: string, routes: number]> => {
    const { supportedKinds, attachedRoutes } = await edge.listener('Gateway', 'first', name)
    return [supportedKinds.map(each => each.kind).join(), attachedRoutes]
  }
  const holds = ['True Accepted', 'True ResolvedRefs']

  const isolated = ['', '*.example.com', '*.foo.example.com', 'abc.foo.example.com']
  const paths = ['/none', '/wide', '/narrow', '/exact']
  for (const [name, hostnames] of [
    ['hostnames in listeners only', undefined],
    ['intersecting hostnames in listeners and routes', ['bar.com', '*.example.com', '*.foo.example.com', 'abc.foo.example.com']],
  ] as const)
    test(`GatewayHTTPListenerIsolation: ${name}`, () =>
      edge.with(
        [
          gateway(
            isolated.map((hostname, index) => listener(`l${index}`, 'HTTP', 80, { ...fromAll, ...(hostname === '' ? {} : { hostname }) })),
          ),
          ...paths.map((path, index) =>
            route([below(path, 'one')], {
              name: `r${index}`,
              parents: [{ name: 'first', sectionName: `l${index}` }],
              ...(hostnames === undefined ? {} : { hostnames: [...hostnames] }),
            }),
          ),
        ],
        async () => {
          for (const index of paths.keys()) assert.deepEqual(await edge.verdict('HTTPRoute', `r${index}`, 'first'), holds)
          for (const [index, host] of ['bar.com', 'bar.example.com', 'bar.foo.example.com', 'abc.foo.example.com'].entries())
            for (const [other, path] of paths.entries())
              await edge.expect({ host, path, ...(other === index ? { pod: 'one' } : { status: 404 }) })
        },
      ))

  test('GatewayInfrastructure', () =>
    edge.with([gateway([plain()], { infrastructure: { labels: { key2: 'value2' }, annotations: { key1: 'value1' } } })], async () => {
      assert.deepEqual(await edge.says('Gateway', 'first', ['Accepted']), ['True Accepted'])
      const made = async () => {
        const { items } = await edge.mesh.client.list(
          { group: 'weft.dev', version: 'v1alpha1', plural: 'workloads', namespaced: true },
          { namespace: own, labelSelector: 'gateway.networking.k8s.io/gateway-name=first' },
        )
        return items[0]?.metadata
      }
      await edge.mesh.until('the label on what serves the Gateway', async () => (await made())?.labels?.['key2'] === 'value2')
      assert.equal((await made())?.annotations?.['key1'], 'value1')
    }))

  test('GatewayListenerUnsupportedProtocol', async () => {
    const odd = listener('odd', 'INVALID', 1111)
    await edge.with([gateway([odd])], async () => {
      assert.deepEqual(await edge.says('Gateway', 'first', ['Accepted']), ['False ListenersNotValid'])
      assert.deepEqual(await listenerSays('odd', 'Accepted'), ['False UnsupportedProtocol'])
      assert.deepEqual(await counted('odd'), ['', 0])
    })
    await edge.with([gateway([plain(), odd])], async () => {
      assert.deepEqual(await edge.says('Gateway', 'first', ['Accepted']), ['True ListenersNotValid'])
      assert.deepEqual(await listenerSays('http', 'Accepted'), ['True Accepted'])
      assert.deepEqual(await listenerSays('odd', 'Accepted'), ['False UnsupportedProtocol'])
    })
  })

  test('GatewayInvalidParametersRef', () =>
    edge.with(
      [gateway([plain()], { infrastructure: { parametersRef: { group: 'invalid.io', kind: 'InvalidParameters', name: 'invalid' } } })],
      async () => assert.deepEqual(await edge.says('Gateway', 'first', ['Accepted']), ['False InvalidParameters']),
    ))

  test('GatewayInvalidRouteKind', async () => {
    for (const [kinds, supported] of [
      [['InvalidRoute'], ''],
      [['InvalidRoute', 'HTTPRoute'], 'HTTPRoute'],
    ] as const)
      await edge.with(
        [gateway([listener('http', 'HTTP', 80, { allowedRoutes: { namespaces: { from: 'All' }, kinds: kinds.map(kind => ({ kind })) } })])],
        async () => {
          assert.deepEqual(await listenerSays('http', 'ResolvedRefs'), ['False InvalidRouteKinds'])
          assert.deepEqual(await counted('http'), [supported, 0])
        },
      )
  })

  test('GatewayInvalidTLSConfiguration', async () => {
    const hello = Buffer.from('Hello world\n').toString('base64')
    const malformed = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'malformed', namespace: own },
      type: 'kubernetes.io/tls',
      data: { 'tls.crt': hello, 'tls.key': hello },
    } as unknown as Resource
    await edge.apply(malformed)
    for (const ref of [
      { ...secretRef, name: 'nobody' },
      { ...secretRef, group: 'wrong.example.com' },
      { ...secretRef, kind: 'WrongKind' },
      { ...secretRef, name: 'malformed' },
    ])
      await edge.with([gateway([https('https', 443, { tls: { certificateRefs: [ref] } })])], async () =>
        assert.deepEqual(await listenerSays('https', 'ResolvedRefs'), refusedRef('InvalidCertificateRef'), JSON.stringify(ref)),
      )
  })

  const crossing = (): Resource => gateway([https('https', 443, { tls: { certificateRefs: [{ ...secretRef, namespace: web }] } })])
  const secrets = { group: '', kind: 'Secret' }
  for (const [name, grants, says] of [
    ['GatewaySecretMissingReferenceGrant', [], 'False RefNotPermitted'],
    [
      'GatewaySecretInvalidReferenceGrant',
      [
        grant(own, 'Gateway', { ...secrets, name: 'server' }, { name: 'wrong-namespace', namespace: app }),
        grant(own, 'Gateway', { ...secrets, name: 'server' }, { name: 'wrong-from-group', group: 'other.example.com' }),
        grant(own, 'HTTPRoute', { ...secrets, name: 'server' }, { name: 'wrong-from-kind' }),
        grant('elsewhere', 'Gateway', { ...secrets, name: 'server' }, { name: 'wrong-from-namespace' }),
        grant(own, 'Gateway', { group: 'other.example.com', kind: 'Secret', name: 'server' }, { name: 'wrong-to-group' }),
        grant(own, 'Gateway', { group: '', kind: 'Service', name: 'server' }, { name: 'wrong-to-kind' }),
        grant(own, 'Gateway', { ...secrets, name: 'another' }, { name: 'wrong-to-name' }),
      ],
      'False RefNotPermitted',
    ],
    ['GatewaySecretReferenceGrantAllInNamespace', [grant(own, 'Gateway', secrets)], 'True ResolvedRefs'],
    ['GatewaySecretReferenceGrantSpecific', [grant(own, 'Gateway', { ...secrets, name: 'server' })], 'True ResolvedRefs'],
  ] as const)
    test(name, () =>
      edge.with([edge.secret('server', 'server', web), ...grants, crossing()], async () => {
        assert.deepEqual(await listenerSays('https', 'ResolvedRefs'), [says])
        assert.deepEqual(await listenerSays('https', 'Programmed'), [says.startsWith('True') ? 'True Programmed' : 'False Invalid'])
      }),
    )

  test('GatewayModifyListeners', () =>
    edge.with([gateway([https('https', 443, { hostname: 'secure.test.com', ...fromAll })]), route(all('one'))], async () => {
      const before = await edge.apply(gateway([https('https', 443, { hostname: 'secure.test.com', ...fromAll })]))
      const more = [
        https('https', 443, { hostname: 'secure.test.com', ...fromAll }),
        listener('http', 'HTTP', 80, { hostname: 'data.test.com', ...fromAll }),
      ]
      const after = await edge.apply(gateway(more))
      assert.notEqual(before.metadata.generation, after.metadata.generation)
      for (const name of ['https', 'http']) {
        assert.deepEqual(await listenerSays(name, 'Accepted', 'ResolvedRefs'), holds)
        assert.equal((await counted(name))[1], 1)
      }
      await edge.settled('first')
      await edge.expect({ host: 'data.test.com', pod: 'one' })
      await edge.expect({ host: 'secure.test.com', port: 443, tls: { sni: 'secure.test.com' }, pod: 'one' })
      await edge.apply(gateway([listener('http', 'HTTP', 80, fromAll)]))
      assert.deepEqual(await listenerSays('http', 'Accepted', 'ResolvedRefs'), holds)
      assert.deepEqual(
        (await edge.status('Gateway', 'first')).listeners?.map(each => each.name),
        ['http'],
      )
      await edge.mesh.until('a closed port', async () => (await edge.ask({ port: 443, tls: { sni: 'secure.test.com' } })).status === 0)
      await edge.expect({ host: 'any.test.com', pod: 'one' })
    }))

  const isLatest = async (kind: string, name: string, generation: number | undefined, namespace?: string): Promise<void> => {
    const { conditions = [], listeners = [] } = await edge.status(kind, name, namespace)
    const said = [...conditions, ...listeners.flatMap(each => each.conditions ?? [])]
    assert.ok(said.length > 0)
    for (const each of said) assert.equal(each.observedGeneration, generation, `${kind} ${name}: ${each.type}`)
  }
  test('GatewayObservedGenerationBump', () =>
    edge.with([gateway([listener('http', 'HTTP', 80, { hostname: 'bar.com', ...fromAll })])], async () => {
      const before = await edge.apply(gateway([listener('http', 'HTTP', 80, { hostname: 'bar.com', ...fromAll })]))
      await isLatest('Gateway', 'first', before.metadata.generation)
      const after = await edge.apply(
        gateway([
          listener('http', 'HTTP', 80, { hostname: 'bar.com', ...fromAll }),
          listener('other', 'HTTP', 80, { hostname: 'foo.com', ...fromAll }),
        ]),
      )
      assert.notEqual(before.metadata.generation, after.metadata.generation)
      await edge.settled('first')
      await isLatest('Gateway', 'first', after.metadata.generation)
    }))

  test('GatewayClassObservedGenerationBump', () => {
    const gatewayClass = (description: string): Resource =>
      ({
        apiVersion: `${group}/v1`,
        kind: 'GatewayClass',
        metadata: { name: 'bumped' },
        spec: { controllerName: 'weft.dev/gateway', description },
      }) as unknown as Resource
    return edge.with([gatewayClass('old')], async () => {
      assert.deepEqual(await edge.says('GatewayClass', 'bumped', ['Accepted']), ['True Accepted'])
      const before = await edge.apply(gatewayClass('old'))
      await isLatest('GatewayClass', 'bumped', before.metadata.generation)
      const after = await edge.apply(gatewayClass('new'))
      assert.notEqual(before.metadata.generation, after.metadata.generation)
      assert.deepEqual(await edge.says('GatewayClass', 'bumped', ['Accepted']), ['True Accepted'])
      await isLatest('GatewayClass', 'bumped', after.metadata.generation)
    })
  })

  test('GatewayOptionalAddressValue', () =>
    edge.with([gateway([listener('http', 'HTTP', 18080)], { addresses: [{ type: 'IPAddress' }] })], async () => {
      assert.deepEqual(await edge.says('Gateway', 'first', ['Accepted', 'Programmed']), ['True Accepted', 'True Programmed'])
      const { addresses } = (await edge.status('Gateway', 'first')) as { addresses?: readonly { value: string }[] }
      assert.equal(addresses?.length, 1)
    }))

  test('GatewayStaticAddresses', async () => {
    const usable = { type: 'IPAddress', value: edge.address('first') }
    const [unusable, invalid] = [
      { type: 'IPAddress', value: '192.0.2.1' },
      { type: 'example.com/odd', value: 'nowhere' },
    ]
    const says = () => edge.says('Gateway', 'first', ['Accepted', 'Programmed'])
    await edge.with([gateway([plain()], { addresses: [invalid, unusable, usable] })], async () =>
      assert.equal((await says())[0], 'False UnsupportedAddress'),
    )
    await edge.apply(gateway([plain()], { addresses: [unusable, usable] }))
    await edge.mesh.until('an address that cannot be used', async () => (await says()).join() === 'True Accepted,False AddressNotUsable')
    await edge.with([gateway([plain()], { addresses: [usable] })], async () => {
      await edge.mesh.until('a Gateway that is whole', async () => (await says()).join() === 'True Accepted,True Programmed')
      const { addresses } = (await edge.status('Gateway', 'first')) as { addresses?: readonly object[] }
      assert.deepEqual(addresses, [usable])
      assert.deepEqual(await listenerSays('http', 'Accepted', 'ResolvedRefs'), holds)
    })
  })

  test('a Gateway of several addresses listens on each', () =>
    edge.with(
      [gateway([plain()], { addresses: [{ value: edge.address('first') }, { value: edge.address('second') }] }), route(all('one'))],
      async () => {
        for (const name of ['first', 'second'] as const) await edge.expect({ gateway: name, pod: 'one' })
      },
    ))

  test('GatewayWithAttachedRoutes', async () => {
    await edge.with([gateway([listener('http', 'HTTP', 80, httpRoutes())]), route(all('one'))], async () => {
      assert.deepEqual(await listenerSays('http', 'Accepted', 'ResolvedRefs'), holds)
      assert.deepEqual(await counted('http'), ['HTTPRoute', 1])
    })
    await edge.with(
      [
        gateway([listener('http', 'HTTP', 80, httpRoutes({ hostname: 'foo.example.com' }))]),
        route(all('one'), { name: 'a' }),
        route(all('one'), { name: 'b' }),
        route(all('one'), { name: 'c', hostnames: ['not-accepted.test.com'] }),
      ],
      async () => {
        assert.deepEqual(await counted('http'), ['HTTPRoute', 2])
        assert.deepEqual(await edge.verdict('HTTPRoute', 'c', 'first', ['Accepted']), ['False NoMatchingListenerHostname'])
      },
    )
    const unresolved = https('tls', 443, httpRoutes({ tls: { mode: 'Terminate', certificateRefs: [{ ...secretRef, name: 'nobody' }] } }))
    await edge.with([gateway([unresolved]), route(all('nobody'), { parents: [{ name: 'first', sectionName: 'tls' }] })], async () => {
      const said = await listenerSays('tls', 'Programmed', 'ResolvedRefs')
      assert.deepEqual(
        said.map(each => each.split(' ')[0]),
        ['False', 'False'],
      )
      assert.deepEqual(await counted('tls'), ['HTTPRoute', 1])
      assert.match((await edge.verdict('HTTPRoute', 'case', 'first', ['ResolvedRefs']))[0]!, /^False/)
    })
  })

  test('GatewayWithAttachedRoutesWithPort8080', () =>
    edge.with(
      [
        gateway([
          listener('other', 'HTTP', 8080, { allowedRoutes: { kinds: [{ kind: 'HTTPRoute' }] } }),
          listener('http', 'HTTP', 80, { allowedRoutes: { kinds: [{ kind: 'HTTPRoute' }] } }),
        ]),
        route(all('one'), { parents: [{ name: 'first', sectionName: 'http' }] }),
      ],
      async () => {
        assert.deepEqual(await counted('other'), ['HTTPRoute', 0])
        assert.deepEqual(await counted('http'), ['HTTPRoute', 1])
        for (const name of ['other', 'http']) assert.deepEqual(await listenerSays(name, 'Accepted', 'ResolvedRefs'), holds)
      },
    ))

  const validation = (name: string, more: object = {}): object => ({
    validation: { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name, ...more }] },
  })
  const modes = (mode: string): object => {
    const of = (name: string) => ({ validation: { mode, caCertificateRefs: [{ group: '', kind: 'ConfigMap', name }] } })
    return { tls: { frontend: { default: of('partner'), perPort: [{ port: at(8443), tls: of('stranger') }] } } }
  }
  const asking = (mode: string): readonly Resource[] => [
    edge.authority('partner', 'partner'),
    edge.authority('stranger', 'stranger'),
    gateway([https('https', 443), https('named', 8443, { hostname: 'second-example.org' })], modes(mode)),
    route(all('one'), { name: 'a', hostnames: ['example.org'] }),
    route(all('two'), { name: 'b', parents: [{ name: 'first', sectionName: 'named' }] }),
  ]
  const shows = (port: number, name: string | undefined): Case => {
    const sni = port === 443 ? 'example.org' : 'second-example.org'
    return {
      port,
      host: sni,
      tls: { sni, ...(name === undefined ? {} : { cert: edge.read(`${name}.crt`), key: edge.read(`${name}.key`) }) },
    }
  }
  test('GatewayFrontendClientCertificateValidation', () =>
    edge.with(asking('AllowValidOnly'), async () => {
      await edge.expect({ ...shows(443, 'partner'), pod: 'one' })
      await edge.expect({ ...shows(443, 'stranger'), status: 0 })
      await edge.expect({ ...shows(443, undefined), status: 0 })
      await edge.expect({ ...shows(8443, 'stranger'), pod: 'two' })
      await edge.expect({ ...shows(8443, 'partner'), status: 0 })
    }))

  test('GatewayFrontendClientCertificateValidationInsecureFallback', () =>
    edge.with(asking('AllowInsecureFallback'), async () => {
      assert.deepEqual(await edge.says('Gateway', 'first', ['InsecureFrontendValidationMode']), ['True ConfigurationChanged'])
      for (const name of ['partner', 'stranger', undefined]) {
        await edge.expect({ ...shows(443, name), pod: 'one' })
        await edge.expect({ ...shows(8443, name), pod: 'two' })
      }
    }))

  test('GatewayInvalidFrontendClientCertificateValidation', () =>
    edge.with(
      [
        edge.authority('partner', 'partner'),
        edge.authority('elsewhere', 'partner', web),
        gateway(
          [
            https('good', 443),
            ...[
              ['unresolved', 7443],
              ['kind', 8443],
              ['grant', 6443],
            ].map(([name, port]) => https(String(name), Number(port), { hostname: `${name}.example.org` })),
          ],
          {
            tls: {
              frontend: {
                default: validation('partner'),
                perPort: [
                  { port: at(7443), tls: validation('nobody') },
                  { port: at(8443), tls: validation('one', { kind: 'Service' }) },
                  { port: at(6443), tls: validation('elsewhere', { namespace: web }) },
                ],
              },
            },
          },
        ),
      ],
      async () => {
        assert.deepEqual(await listenerSays('good', 'ResolvedRefs', 'Accepted', 'Programmed'), [
          'True ResolvedRefs',
          'True Accepted',
          'True Programmed',
        ])
        for (const [name, reason] of [
          ['unresolved', 'InvalidCACertificateRef'],
          ['kind', 'InvalidCACertificateKind'],
          ['grant', 'RefNotPermitted'],
        ] as const) {
          const [resolved, accepted, programmed = ''] = await listenerSays(name, 'ResolvedRefs', 'Accepted', 'Programmed')
          assert.deepEqual([resolved, accepted, programmed.split(' ')[0]], [`False ${reason}`, 'False NoValidCACertificate', 'False'])
        }
      },
    ))

  test('GatewayFrontendInvalidDefaultClientCertificateValidation', () =>
    edge.with(
      [
        edge.authority('partner', 'partner'),
        gateway([https('https', 443), plain()], {
          tls: { frontend: { default: validation('nobody'), perPort: [{ port: at(80), tls: validation('partner') }] } },
        }),
        route(all('one'), { hostnames: ['example.org'] }),
      ],
      async () => {
        assert.deepEqual(await listenerSays('http', 'ResolvedRefs', 'Accepted', 'Programmed'), [
          'True ResolvedRefs',
          'True Accepted',
          'True Programmed',
        ])
        await edge.expect({ host: 'example.org', pod: 'one' })
        const [resolved, accepted, programmed = ''] = await listenerSays('https', 'ResolvedRefs', 'Accepted', 'Programmed')
        assert.deepEqual(
          [resolved, accepted, programmed.split(' ')[0]],
          ['False InvalidCACertificateRef', 'False NoValidCACertificate', 'False'],
        )
        await edge.expect({ port: 443, host: 'example.org', tls: { sni: 'example.org' }, status: 0 })
      },
    ))
})
