/**
 * The expectations of Gateway API's conformance tests of BackendTLSPolicy and of the certificate that a Gateway shows to backends (v1.6), each under its own name, against our operator API and
 * `weft gateway`. Written anew from what those tests ask.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Resource } from '../../../src/resources/kind.ts'
import { below, Edge, group, https, listener, own, route, skip, to, web } from './edge.ts'
import { ports } from './edge-pods.ts'

type Target = { readonly name: string; readonly sectionName?: string }
const policy = (name: string, target: Target, validation: object = {}): Resource =>
  ({
    apiVersion: `${group}/v1`,
    kind: 'BackendTLSPolicy',
    metadata: { name, namespace: own },
    spec: {
      targetRefs: [{ group: '', kind: 'Service', ...target }],
      validation: { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'server-ca' }], hostname: 'abc.example.com', ...validation },
    },
  }) as unknown as Resource
/** Over TLS, by the pod `one` on 443 and 8443; `three` asks for a certificate. */
const service = (name: string, pod = 0): Resource =>
  ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: own },
    spec: {
      selector: { app: 'pods' },
      ports: [443, 8443].map((port, index) => ({ name: `https-${index + 1}`, port, targetPort: ports.https + pod })),
    },
  }) as unknown as Resource
const leads = (path: string, name: string, port = 443): object => ({
  matches: [{ path: { type: 'Exact', value: path } }],
  backendRefs: [to(name, port)],
})
const fails = [500, 502, 503]

describe('Gateway API conformance: TLS to backends', { skip }, () => {
  let edge: Edge
  before(async () => {
    edge = await Edge.start(1)
    await edge.apply(edge.secret('server', 'server'))
    await edge.apply(edge.authority('server-ca', 'server'))
    await edge.apply(edge.authority('other-ca', 'stranger'))
    await edge.apply(edge.gateway('first', [listener('http', 'HTTP', 80)]))
  })
  after(() => edge[Symbol.asyncDispose]())

  type Ancestors = {
    readonly ancestors?: readonly {
      readonly ancestorRef: { readonly kind: string; readonly name: string }
      readonly conditions: readonly {
        readonly type: string
        readonly status: string
        readonly reason: string
        readonly observedGeneration?: number
      }[]
    }[]
  }
  const ancestor = async (name: string) => {
    const { ancestors = [] } = (await edge.status('BackendTLSPolicy', name)) as Ancestors
    const found = ancestors.find(each => each.ancestorRef.kind === 'Gateway' && each.ancestorRef.name === 'first')
    assert.ok(found !== undefined, `BackendTLSPolicy ${name} says nothing of the Gateway: ${JSON.stringify(ancestors)}`)
    return found
  }
  const says = async (name: string): Promise<readonly string[]> => {
    const { conditions } = await ancestor(name)
    return ['Accepted', 'ResolvedRefs'].map(
      type => conditions.filter(each => each.type === type).map(each => `${each.status} ${each.reason}`)[0] ?? 'nothing',
    )
  }
  const holds = ['True Accepted', 'True ResolvedRefs']
  const asks = (path: string, sni: string) => edge.expect({ host: 'abc.example.com', path, pod: 'one', sent: { sni } })

  test('BackendTLSPolicy', () =>
    edge.with(
      [
        ...['good', 'host', 'cert', 'late'].map(name => service(`sealed-${name}`)),
        policy('good', { name: 'sealed-good' }),
        policy('host', { name: 'sealed-host' }, { hostname: 'nomatch.test' }),
        policy('cert', { name: 'sealed-cert' }, { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'other-ca' }] }),
        policy('late', { name: 'sealed-late' }, { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'late-ca' }] }),
        edge.gateway('first', [listener('http', 'HTTP', 80), https('https', 443)]),
        route(['good', 'host', 'cert', 'late'].map(name => leads(`/${name}`, `sealed-${name}`))),
      ],
      async () => {
        for (const name of ['good', 'host', 'cert']) assert.deepEqual(await says(name), holds)
        await asks('/good', 'abc.example.com')
        await edge.expect({
          port: 443,
          host: 'example.org',
          tls: { sni: 'example.org' },
          path: '/good',
          pod: 'one',
          sent: { sni: 'abc.example.com' },
        })
        for (const path of ['/host', '/cert']) await edge.expect({ path, status: fails })
        const missing = ['False NoValidCACertificate', 'False InvalidCACertificateRef']
        assert.deepEqual(await says('late'), missing)
        await edge.expect({ path: '/late', status: fails })
        const late = edge.authority('late-ca', 'server')
        await edge.with([late], async () => {
          assert.deepEqual(await says('late'), holds)
          await asks('/late', 'abc.example.com')
          await edge.apply({ ...late, data: { 'ca.crt': '' } } as unknown as Resource)
          assert.deepEqual(await says('late'), missing)
          await edge.apply(late)
          assert.deepEqual(await says('late'), holds)
        })
      },
    ))

  test('BackendTLSPolicyConflictResolution', () =>
    edge.with(
      [
        ...['whole', 'part', 'both'].map(name => service(`sealed-${name}`)),
        policy('whole-1', { name: 'sealed-whole' }, { hostname: 'other.example.com' }),
        policy('part-1', { name: 'sealed-part', sectionName: 'https-1' }, { hostname: 'other.example.com' }),
      ],
      async () => {
        // Times of creation are whole seconds: the older wins.
        await new Promise(resolve => setTimeout(resolve, 1100))
        await edge.with(
          [
            policy('whole-2', { name: 'sealed-whole' }),
            policy('part-2', { name: 'sealed-part', sectionName: 'https-1' }),
            policy('both-port', { name: 'sealed-both', sectionName: 'https-1' }, { hostname: 'other.example.com' }),
            policy('both-whole', { name: 'sealed-both' }),
            route([
              leads('/whole', 'sealed-whole'),
              leads('/part', 'sealed-part'),
              leads('/both-port', 'sealed-both'),
              leads('/both-whole', 'sealed-both', 8443),
            ]),
          ],
          async () => {
            for (const name of ['whole-1', 'part-1', 'both-port', 'both-whole']) assert.equal((await says(name))[0], 'True Accepted')
            for (const name of ['whole-2', 'part-2']) assert.equal((await says(name))[0], 'False Conflicted')
            for (const path of ['/whole', '/part', '/both-port']) await asks(path, 'other.example.com')
            await asks('/both-whole', 'abc.example.com')
          },
        )
      },
    ))

  test('BackendTLSPolicyInvalidCACertificateRef and BackendTLSPolicyInvalidKind', async () => {
    const empty = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'empty', namespace: own }, data: {} } as unknown as Resource
    for (const [ref, reason] of [
      [{ group: '', kind: 'ConfigMap', name: 'nobody' }, 'InvalidCACertificateRef'],
      [{ group: '', kind: 'ConfigMap', name: 'empty' }, 'InvalidCACertificateRef'],
      [{ group: 'invalid.io', kind: 'InvalidKind', name: 'server-ca' }, 'InvalidKind'],
    ] as const)
      await edge.with(
        [
          empty,
          service('sealed-wrong'),
          policy('wrong', { name: 'sealed-wrong' }, { caCertificateRefs: [ref] }),
          route([leads('/wrong', 'sealed-wrong')]),
        ],
        async () => {
          assert.deepEqual(await says('wrong'), ['False NoValidCACertificate', `False ${reason}`])
          await edge.expect({ path: '/wrong', status: fails })
        },
      )
  })

  test('BackendTLSPolicyObservedGenerationBump', () =>
    edge.with(
      [
        service('sealed-bump'),
        policy('bump', { name: 'sealed-bump', sectionName: 'https-1' }),
        route([{ backendRefs: [to('sealed-bump', 443)] }]),
      ],
      async () => {
        const before = await edge.apply(policy('bump', { name: 'sealed-bump', sectionName: 'https-1' }))
        const after = await edge.apply(policy('bump', { name: 'sealed-bump', sectionName: 'https-1' }, { hostname: 'foo.example.com' }))
        assert.notEqual(before.metadata.generation, after.metadata.generation)
        assert.equal((await says('bump'))[0], 'True Accepted')
        for (const each of (await ancestor('bump')).conditions) assert.equal(each.observedGeneration, after.metadata.generation)
      },
    ))

  const dns = (hostname: string): object => ({ type: 'Hostname', hostname })
  const uri = (host: string): object => ({ type: 'URI', uri: `spiffe://${host}/test-identity` })
  const sans = {
    dns: [dns('abc.example.com')],
    'dns-mismatch': [dns('dce.example.net')],
    uri: [uri('abc.example.com')],
    'uri-mismatch': [uri('def.example.com')],
    several: [uri('nobody.example.com'), dns('abc.example.com')],
    'several-mismatch': [uri('def.example.com'), dns('def.example.net')],
  }
  test('BackendTLSPolicySANValidation', () =>
    edge.with(
      [
        ...Object.entries(sans).flatMap(([name, subjectAltNames]) => [
          service(`san-${name}`),
          policy(`san-${name}`, { name: `san-${name}`, sectionName: 'https-1' }, { subjectAltNames }),
        ]),
        route(Object.keys(sans).map(name => leads(`/${name}`, `san-${name}`))),
      ],
      async () => {
        for (const name of Object.keys(sans)) {
          assert.equal((await says(`san-${name}`))[0], 'True Accepted')
          if (name.endsWith('mismatch')) await edge.expect({ path: `/${name}`, status: fails })
          else await asks(`/${name}`, 'abc.example.com')
        }
      },
    ))

  test('GatewayTLSBackendClientCertificate', () => {
    const shows = (name: string): Resource =>
      edge.gateway('first', [listener('http', 'HTTP', 80)], {
        tls: { backend: { clientCertificateRef: { group: '', kind: 'Secret', name } } },
      })
    return edge.with(
      [
        edge.secret('shown', 'partner'),
        service('asking', 2),
        policy('asking', { name: 'asking' }),
        shows('shown'),
        route([below('/', 'asking', { backendRefs: [to('asking', 443)] })]),
      ],
      async () => {
        assert.deepEqual(await edge.says('Gateway', 'first', ['Accepted', 'ResolvedRefs']), holds)
        const { echo } = await edge.expect({ pod: 'three' })
        assert.equal(echo?.client, 'partner', 'the backend sees the certificate of the Gateway')
        await edge.apply(edge.gateway('first', [listener('http', 'HTTP', 80)]))
        await edge.mesh.until('a refused Gateway', async () => fails.includes((await edge.ask({})).status))
      },
    )
  })

  test('GatewayInvalidTLSBackendConfiguration', async () => {
    const malformed = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'malformed', namespace: own },
      type: 'Opaque',
      data: {},
    } as unknown as Resource
    await edge.apply(malformed)
    await edge.apply(edge.secret('server', 'server', web))
    for (const [ref, reason] of [
      [{ name: 'nobody' }, 'InvalidClientCertificateRef'],
      [{ group: 'wrong.example.com', name: 'server' }, 'InvalidClientCertificateRef'],
      [{ kind: 'WrongKind', name: 'server' }, 'InvalidClientCertificateRef'],
      [{ name: 'malformed' }, 'InvalidClientCertificateRef'],
      [{ name: 'server', namespace: web }, 'RefNotPermitted'],
    ] as const)
      await edge.with(
        [
          edge.gateway('first', [listener('http', 'HTTP', 80)], {
            tls: { backend: { clientCertificateRef: { group: '', kind: 'Secret', ...ref } } },
          }),
        ],
        async () =>
          assert.deepEqual(
            await edge.says('Gateway', 'first', ['Accepted', 'ResolvedRefs']),
            ['True Accepted', `False ${reason}`],
            JSON.stringify(ref),
          ),
      )
  })
})
