import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from '#resources/kind'
import { admit } from '#resources/validate'
import { compile } from '../../compiler.ts'

const service: Resource = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'shop' },
  spec: {
    clusterIP: '240.77.1.1',
    selector: { app: 'web' },
    ports: [
      { name: 'http', port: 80, appProtocol: 'http' },
      { name: 'grpc', port: 81, appProtocol: 'grpc' },
      { name: 'tcp', port: 82, appProtocol: 'tcp' },
      { name: 'udp', port: 83, protocol: 'UDP' },
    ],
  },
}
const told = (kind: string, port: number, ...weights: readonly (readonly number[])[]): readonly string[] =>
  compile(
    [
      service,
      {
        apiVersion:
          kind.startsWith('HTTP') || kind.startsWith('GRPC') ? 'gateway.networking.k8s.io/v1' : 'gateway.networking.k8s.io/v1alpha2',
        kind,
        metadata: { name: 'split', namespace: 'shop' },
        spec: {
          parentRefs: [{ group: '', kind: 'Service', name: 'web', port }],
          rules: weights.map(each => ({ backendRefs: each.map(weight => ({ name: 'web', port, weight })) })),
        },
      },
    ].map(admit),
    { workloads: [] },
    { trustDomain: 'weft.local', roots: [] },
  )
    .statuses.filter(each => each.kind === kind)
    .flatMap(({ parents }) => parents?.[0]?.conditions ?? [])
    .filter(({ type }) => type !== 'ResolvedRefs')
    .map(({ type, status, reason, message }) => `${type} ${status} ${reason}: ${message}`)

test('a rule in which no backend has a weight is refused by its field, and says what to do', () => {
  for (const [kind, port, answer] of [
    ['HTTPRoute', 80, 'requests that match are answered 500'],
    ['GRPCRoute', 81, 'calls that match are answered INTERNAL'],
    ['TCPRoute', 82, 'connections are closed'],
    ['UDPRoute', 83, 'datagrams are refused'],
  ] as const) {
    assert.deepEqual(told(kind, port, [0, 0]), [
      `Accepted False UnsupportedValue: spec.rules[0].backendRefs: no weight is above 0, so none of them gets anything: give at least one of them a weight of 1 or more; ${answer}`,
    ])
    assert.match(told(kind, port, [0, 1]).join(), /^Accepted True/)
  }
  const [accepted, partly] = told('HTTPRoute', 80, [1], [0])
  assert.match(accepted!, /^Accepted True/)
  assert.match(partly!, /^PartiallyInvalid True UnsupportedValue: Dropped Rule 1: spec\.rules\[1\]\.backendRefs: no weight is above 0/)
})

const conflictsOf = (...routes: readonly Resource[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    compile([service, ...routes].map(admit), { workloads: [] }, { trustDomain: 'weft.local', roots: [] })
      .statuses.filter(({ kind }) => kind.endsWith('Route'))
      .flatMap(({ name, parents }) =>
        (parents ?? []).flatMap(({ conditions }) =>
          conditions.filter(({ type }) => type === 'Conflicted').map(({ reason, message }) => [name, `${reason}: ${message}`]),
        ),
      ),
  )
const matching = (name: string, ...rules: readonly (readonly object[])[]): Resource => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { name, namespace: 'shop', creationTimestamp: `2026-01-01T00:00:0${name.length}Z` },
  spec: {
    parentRefs: [{ group: '', kind: 'Service', name: 'web', port: 80 }],
    rules: rules.map(matches => ({ matches, backendRefs: [{ name: 'web', port: 80 }] })),
  },
})
const [a, b] = [
  { name: 'a', value: '1' },
  { name: 'b', value: '2' },
]

test('a rule that matches what an older route matches is told that nothing comes to it, and so is the older route', () => {
  const found = conflictsOf(
    matching('old', [{ path: { value: '/x' }, headers: [a, b] }], [{ path: { value: '/y' } }]),
    matching('young', [{ path: { value: '/z' } }], [{ path: { value: '/x' }, headers: [b, a] }]),
  )
  assert.match(
    found['young']!,
    /^Overruled: spec\.rules\[1\]: rule 0 of HTTPRoute shop\/old matches the same and comes first, so nothing comes here/,
  )
  assert.equal(found['old'], 'Overrules: spec.rules[0]: rule 1 of HTTPRoute shop/young matches the same, comes later and gets nothing')
  assert.match(conflictsOf(matching('one', [{}], [{}]))['one']!, /^Overruled: spec\.rules\[1\]: rule 0 matches the same/)
})

test('rules of which one merely covers the other, other methods and values, and routes for other ports are no conflict', () => {
  const elsewhere = matching('elsewhere', [{ path: { value: '/x' } }])
  assert.deepEqual(
    conflictsOf(
      matching('old', [{ path: { value: '/x' } }], [{}]),
      matching(
        'young',
        [{ path: { value: '/x' }, method: 'GET' }],
        [{ path: { type: 'Exact', value: '/x' } }],
        [{ path: { value: '/x' }, headers: [a] }],
      ),
      { ...elsewhere, spec: { ...(elsewhere.spec as object), parentRefs: [{ group: '', kind: 'Service', name: 'web', port: 81 }] } },
    ),
    {},
  )
})
