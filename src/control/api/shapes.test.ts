import { test } from 'node:test'
import assert from 'node:assert/strict'
import { kinds } from '#resources/registry'
import { tellDuration } from '#resources/age'
import { catalogOf } from './catalog.ts'
import { shapeOf } from './negotiate.ts'
import { readProtobuf } from './protobuf.ts'
import { targetOf } from './target.ts'

const catalog = catalogOf(kinds)
const told = (path: string): string => {
  const { served, namespace, name, subresource } = targetOf(catalog, path)
  return [served.kind.kind, served.version, namespace ?? '*', name ?? '*', subresource ?? ''].join(' ').trim()
}

test('a path names kind, version, namespace, object and subresource', () => {
  assert.equal(told('/api/v1/namespaces'), 'Namespace v1 * *')
  assert.equal(told('/api/v1/namespaces/shop'), 'Namespace v1 * shop')
  assert.equal(told('/api/v1/namespaces/shop/status'), 'Namespace v1 * shop status')
  assert.equal(told('/api/v1/namespaces/shop/services'), 'Service v1 shop *')
  assert.equal(told('/api/v1/services'), 'Service v1 * *')
  assert.equal(
    told('/apis/gateway.networking.k8s.io/v1beta1/namespaces/shop/httproutes/split/status'),
    'HTTPRoute v1beta1 shop split status',
  )
  for (const path of [
    '/api/v1/pods',
    '/api/v2/services',
    '/api/v1/services/cart',
    '/api/v1/namespaces/shop/services/cart/scale',
    '/apis/nobody/v1/x',
    '/api/v1/namespaces/shop/services/cart/status/x',
  ])
    assert.throws(() => told(path), { code: 404 }, path)
})

test('versions are told best first', () => {
  assert.deepEqual(
    catalog.groups.find(({ group }) => group === 'gateway.networking.k8s.io')?.versions.map(({ version }) => version)[0],
    'v1',
  )
})

test('the client chooses a table, plain objects, or metadata alone; what cannot be had is a 406', () => {
  assert.deepEqual(shapeOf('application/json;as=Table;v=v1;g=meta.k8s.io,application/json'), { as: 'Table', version: 'v1' })
  assert.deepEqual(shapeOf('application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'), {
    as: 'PartialObjectMetadataList',
    version: 'v1',
  })
  assert.deepEqual(shapeOf('application/vnd.kubernetes.protobuf, */*'), { as: 'object', version: '' })
  assert.deepEqual(shapeOf('application/json;q=0.5,application/json;as=Table;v=v1;g=meta.k8s.io'), { as: 'Table', version: 'v1' })
  assert.equal(shapeOf(undefined).as, 'object')
  assert.throws(() => shapeOf('application/vnd.kubernetes.protobuf'), { code: 406 })
})

test('ages are as short as kubectl shows them', () => {
  const s = 1000
  const h = 3600 * s
  const cases: readonly [number, string][] = [
    [0, '0s'],
    [119 * s, '119s'],
    [120 * s, '2m'],
    [125 * s, '2m5s'],
    [11 * 60 * s + 30 * s, '11m'],
    [179 * 60 * s, '179m'],
    [3 * h, '3h'],
    [3 * h + 300 * s, '3h5m'],
    [47 * h, '47h'],
    [48 * h, '2d'],
    [51 * h, '2d3h'],
    [24 * h * 9, '9d'],
    [24 * h * 800, '2y70d'],
    [-500, '0s'],
    [-9 * s, '<invalid>'],
  ]
  for (const [ms, shown] of cases) assert.equal(tellDuration(ms), shown)
})

test('a protobuf body is read, and one that is cut short or something else is a 400', () => {
  const text = (field: number, value: string | readonly number[]): number[] => {
    const bytes = typeof value === 'string' ? [...new TextEncoder().encode(value)] : value
    return [field * 8 + 2, bytes.length, ...bytes]
  }
  const meta = [...text(1, 'shop'), ...text(2, ''), ...text(11, [...text(1, 'a'), ...text(2, 'b')])]
  const body = [
    0x6b,
    0x38,
    0x73,
    0,
    ...text(1, [...text(1, 'v1'), ...text(2, 'Namespace')]),
    ...text(2, text(1, meta)),
    ...text(3, ''),
    ...text(4, ''),
  ]
  assert.deepEqual(readProtobuf(Uint8Array.from(body)), {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', labels: { a: 'b' } },
  })
  assert.throws(() => readProtobuf(Uint8Array.from(body.slice(0, -3))), { code: 400 })
  assert.throws(() => readProtobuf(new TextEncoder().encode('{"kind":"Namespace"}')), { code: 400 })
})
