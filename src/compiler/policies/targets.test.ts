import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from '#resources/kind'
import { admit } from '#resources/validate'
import { compile } from '../../compiler.ts'

const service: Resource = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'shop' },
  spec: { clusterIP: '240.77.1.1', selector: { app: 'web' }, ports: [{ name: 'http', port: 80 }] },
}
const policy = (name: string, from: readonly object[] | undefined, timeouts: object): Resource => ({
  apiVersion: 'weft.dev/v1alpha1',
  kind: 'RoutePolicy',
  metadata: { name, namespace: 'shop', creationTimestamp: `2026-01-01T00:00:0${name.length}Z` },
  spec: { targetRefs: [{ kind: 'Service', name: 'web' }], ...(from === undefined ? {} : { from }), timeouts },
})
const told = (...policies: readonly Resource[]): readonly string[] =>
  compile([service, ...policies].map(admit), { workloads: [] }, { trustDomain: 'weft.local', roots: [] })
    .statuses.filter(({ kind }) => kind === 'RoutePolicy')
    .map(({ ancestors }) =>
      (ancestors?.[0]?.conditions ?? []).map(({ type, reason, message }) => `${type} ${reason}: ${message}`).join('\n'),
    )

test('two policies that name some clients alike and say one field are a conflict for these, and both say so', () => {
  const [older, younger] = told(
    policy('a', [{ service: 'cart' }, { service: 'desk' }], { request: '1s' }),
    policy('bb', [{ service: 'cart', labels: { version: 'v2' } }], { request: '2s', try: '1s' }),
  )
  assert.match(
    older!,
    /^Accepted Accepted: .*\nConflicted Overrules: spec\.targetRefs\[0\]: timeouts\.request: RoutePolicy shop\/bb says it too for clients that both name in from/,
  )
  assert.match(
    younger!,
    /^Accepted Accepted: .*\nConflicted Overruled: .*timeouts\.request: RoutePolicy shop\/a is older and holds for the clients/,
  )
})

test('other clients, everybody beside some, and other fields are no conflict', () => {
  for (const [one, other] of [
    [policy('a', [{ service: 'cart' }], { request: '1s' }), policy('bb', [{ service: 'desk' }], { request: '2s' })],
    [policy('a', [{ labels: { version: 'v1' } }], { request: '1s' }), policy('bb', [{ labels: { version: 'v2' } }], { request: '2s' })],
    [policy('a', undefined, { request: '1s' }), policy('bb', [{ service: 'cart' }], { request: '2s' })],
    [policy('a', [{ service: 'cart' }], { request: '2s' }), policy('bb', [{ service: 'cart', labels: { a: 'b' } }], { idle: '1s' })],
  ] as const)
    for (const text of told(one, other)) assert.doesNotMatch(text, /Conflicted/)
})

test('attempts of 0 take back the further tries that are asked for more widely, by a policy and by a rule itself', () => {
  const wide = policy('a', undefined, {})
  const retrying = (name: string, target: object, retry: object): Resource => ({
    ...wide,
    metadata: { ...wide.metadata, name },
    spec: { targetRefs: [target], retry },
  })
  const route: Resource = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'route', namespace: 'shop' },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'web' }],
      rules: [
        { name: 'own', matches: [{ path: { value: '/own' } }], retry: { attempts: 0 }, backendRefs: [{ name: 'web', port: 80 }] },
        { backendRefs: [{ name: 'web', port: 80 }] },
      ],
    },
  }
  const triesOf = (...more: readonly Resource[]): readonly (number | undefined)[] => {
    const { mesh } = compile(
      [service, route, retrying('wide', { kind: 'Namespace' }, { codes: [503], attempts: 3 }), ...more].map(admit),
      { workloads: [] },
      { trustDomain: 'weft.local', roots: [] },
    )
    return mesh.outbound.routes['shop/web:80']!.hosts[0]!.routes.map(each => each.retry?.attempts)
  }
  assert.deepEqual(triesOf(), [undefined, 3])
  assert.deepEqual(triesOf(retrying('narrow', { kind: 'Service', name: 'web' }, { attempts: 0 })), [undefined, undefined])
})

test('what a port of TCP cannot keep is refused by its field: limits of requests, a budget of further tries, a hash of what requests have', () => {
  const opaque: Resource = {
    ...service,
    spec: {
      clusterIP: '240.77.1.1',
      selector: { app: 'web' },
      ports: [
        { name: 'tcp', port: 80, appProtocol: 'tcp' },
        { name: 'http', port: 81, appProtocol: 'http' },
      ],
    },
  }
  const said = (sectionName: string | undefined, spec: object): string =>
    compile(
      [
        opaque,
        {
          apiVersion: 'weft.dev/v1alpha1',
          kind: 'BackendPolicy',
          metadata: { name: 'a', namespace: 'shop' },
          spec: { targetRefs: [{ name: 'web', ...(sectionName === undefined ? {} : { sectionName }) }], ...spec },
        },
      ].map(admit),
      { workloads: [] },
      { trustDomain: 'weft.local', roots: [] },
    )
      .statuses.filter(({ kind }) => kind === 'BackendPolicy')
      .flatMap(({ ancestors }) => ancestors?.[0]?.conditions ?? [])
      .map(({ type, status, message }) => `${type} ${status}: ${message}`)
      .join('; ')
  for (const [spec, why] of [
    [{ limits: { requests: 1 } }, /spec\.limits: port 80 of Service shop\/web speaks tcp: .*only limits\.connections can be kept/],
    [{ retryConstraint: { budget: { percent: 1 } } }, /spec\.retryConstraint: port 80 .*requests of HTTP, which are not seen there/],
    [{ balance: 'Maglev', hash: [{ header: 'x' }] }, /spec\.balance: port 80 .*only sourceIP can be in hash/],
  ] as const) {
    assert.match(said('tcp', spec), why)
    assert.match(said('tcp', spec), /^Accepted False/)
    assert.equal(said('http', spec), 'Accepted True: The policy holds')
    assert.equal(said(undefined, spec), 'Accepted True: The policy holds')
  }
  for (const spec of [
    { limits: { connections: 1, requests: 1 } },
    { limits: {} },
    { balance: 'Maglev', hash: [{ header: 'x' }, { sourceIP: true }] },
  ])
    assert.equal(said('tcp', spec), 'Accepted True: The policy holds')
})

test('a Mesh that names a rate limit service that is not there says so, also before any policy needs it', () => {
  const mesh = (port: number): Resource => ({
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'Mesh',
    metadata: { name: 'default' },
    spec: { rateLimits: { service: { name: 'web', namespace: 'shop', port } } },
  })
  const conditions = (port: number) =>
    compile(
      [{ ...service, spec: { ...(service.spec as object), ports: [{ name: 'grpc', port: 80, appProtocol: 'grpc' }] } }, mesh(port)].map(
        admit,
      ),
      { workloads: [] },
      { trustDomain: 'weft.local', roots: [] },
    )
      .statuses.filter(({ kind }) => kind === 'Mesh')
      .flatMap(each => each.conditions ?? [])
      .map(({ type, message }) => `${type}: ${message}`)
  assert.deepEqual(conditions(80), ['Accepted: The settings hold'])
  assert.match(
    conditions(81)[1]!,
    /^PartiallyInvalid: Mesh default: spec\.rateLimits\.service: Service shop\/web has no port 81; no global limit holds/,
  )
})
