import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import type { Resource } from '#resources/kind'
import { same } from '../../store/change.ts'
import { fieldsOf, join, readFields, writeFields } from './fields.ts'
import { afterUpdate, readOwners } from './managed.ts'
import { applyServerSide, type Applied } from './server-side.ts'
import type { JsonSchema } from './shape.ts'

const text = { type: 'string' }
const schema: JsonSchema = {
  type: 'object',
  properties: {
    metadata: { properties: { labels: { additionalProperties: text }, finalizers: { 'x-kubernetes-list-type': 'set' } } },
    spec: {
      type: 'object',
      properties: {
        size: { type: 'integer' },
        rules: { type: 'array', 'x-kubernetes-list-type': 'atomic' },
        selector: { type: 'object', 'x-kubernetes-map-type': 'atomic' },
        ports: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['port', 'protocol'],
          items: { properties: { port: { type: 'integer' }, protocol: { type: 'string', default: 'TCP' }, name: text } },
        },
      },
    },
    status: { type: 'object' },
  },
}
const thing = (spec: object, more: object = {}): Resource => ({ apiVersion: 't/v1', kind: 'Thing', metadata: { name: 'a', ...more }, spec })
const attempt = (manager: string, live: Resource | undefined, applied: Resource, force = false): Applied =>
  applyServerSide({ live, applied, schema, manager, subresource: undefined, force, now: 0 })
function apply(manager: string, live: Resource | undefined, applied: Resource, force = false): Resource {
  const result = attempt(manager, live, applied, force)
  assert.ok('next' in result, 'there was a conflict')
  return result.next
}
function update(manager: string, old: Resource | undefined, next: Resource): Resource {
  return {
    ...next,
    metadata: { ...next.metadata, managedFields: afterUpdate({ old, next, schema, manager, subresource: undefined, now: 0 }) },
  }
}
const ownedBy = (resource: Resource, manager: string): readonly string[] =>
  [...(readOwners(resource).find(owner => owner.manager === manager)?.paths ?? [])].map(path => path.replaceAll('\u0000', ' ')).toSorted()

test('fields: scalars, atomic values whole, items of keyed lists by key with defaults, members of sets', () => {
  const fields = fieldsOf(
    thing(
      { size: 1, rules: [{ a: 1 }], selector: { x: 'y' }, ports: [{ port: 80, name: 'a' }], none: {} },
      { labels: { l: 'v' }, finalizers: ['f'], uid: 'u' },
    ),
    schema,
    undefined,
  )
  assert.deepEqual([...fields.keys()].map(path => path.replaceAll('\u0000', ' ')).toSorted(), [
    'f:metadata f:finalizers v:"f"',
    'f:metadata f:labels f:l',
    'f:spec f:none',
    'f:spec f:ports k:{"port":80,"protocol":"TCP"}',
    'f:spec f:ports k:{"port":80,"protocol":"TCP"} f:name',
    'f:spec f:ports k:{"port":80,"protocol":"TCP"} f:port',
    'f:spec f:rules',
    'f:spec f:selector',
    'f:spec f:size',
  ])
})

test('FieldsV1 is written as Kubernetes writes it and read back the same', () => {
  const paths = new Set([
    join(['f:spec', 'f:ports', 'k:{"port":80}']),
    join(['f:spec', 'f:ports', 'k:{"port":80}', 'f:name']),
    join(['f:spec', 'f:size']),
  ])
  assert.deepEqual(writeFields(paths), { 'f:spec': { 'f:ports': { 'k:{"port":80}': { '.': {}, 'f:name': {} } }, 'f:size': {} } })
  fc.assert(
    fc.property(fc.uniqueArray(fc.array(fc.constantFrom('f:a', 'f:b', 'k:{"x":1}', 'v:"s"'), { minLength: 1, maxLength: 4 })), lists => {
      const set = new Set(lists.map(join))
      assert.deepEqual(readFields(writeFields(set)), set)
    }),
  )
})

test('an applier owns what it names, and what it no longer names goes', () => {
  const first = apply('a', undefined, thing({ size: 1, ports: [{ port: 80, name: 'x' }, { port: 81 }] }, { labels: { l: 'v' } }))
  const second = apply('a', first, thing({ ports: [{ port: 81 }] }))
  assert.deepEqual([second.spec, second.metadata.labels], [{ ports: [{ port: 81 }] }, undefined])
  assert.deepEqual(ownedBy(second, 'a'), [
    'f:spec f:ports k:{"port":81,"protocol":"TCP"}',
    'f:spec f:ports k:{"port":81,"protocol":"TCP"} f:port',
  ])
})

test('an object that is applied empty stays when the last field in it goes, and goes when it is not applied any more', () => {
  const first = apply('a', undefined, thing({ size: 1, inner: { a: 'x', b: 'y' } }))
  const second = apply('a', first, thing({ size: 1, inner: {} }))
  assert.deepEqual(second.spec, { size: 1, inner: {} })
  assert.deepEqual(apply('a', second, thing({ size: 1, inner: {} })).spec, second.spec)
  assert.deepEqual(apply('a', second, thing({ size: 1 })).spec, { size: 1 })
  const shared = apply('b', first, thing({ inner: { a: 'x' } }))
  assert.deepEqual(apply('a', shared, thing({ inner: {} })).spec, { inner: { a: 'x' } })
})

test('a field that another manager also names stays until both drop it', () => {
  const one = apply('a', undefined, thing({ size: 1 }))
  const both = apply('b', one, thing({ size: 1 }))
  const left = apply('a', both, thing({}))
  assert.deepEqual(left.spec, { size: 1 })
  assert.equal('size' in ((apply('b', left, thing({})).spec ?? {}) as object), false)
})

test('another value for a field of someone else is a conflict, and force hands the field over', () => {
  const mine = apply('a', undefined, thing({ size: 1, ports: [{ port: 80, name: 'x' }] }))
  const result = attempt('b', mine, thing({ size: 2, ports: [{ port: 80, name: 'y' }] }))
  assert.ok('conflicts' in result)
  assert.deepEqual(result.conflicts.map(({ field, owner }) => `${owner.manager} ${field}`).toSorted(), [
    'a .spec.ports[port=80,protocol="TCP"].name',
    'a .spec.size',
  ])
  const forced = apply('b', mine, thing({ size: 2 }), true)
  assert.deepEqual(
    [(forced.spec as { size: number }).size, ownedBy(forced, 'a').includes('f:spec f:size'), ownedBy(forced, 'b')],
    [2, false, ['f:spec f:size']],
  )
})

test('what a plain update changes is its own, and no longer the applier’s', () => {
  const applied = apply('a', undefined, thing({ size: 1, rules: [1] }))
  const updated = update('kubectl-edit', applied, { ...applied, spec: { size: 2, rules: [1] } })
  assert.deepEqual([ownedBy(updated, 'a'), ownedBy(updated, 'kubectl-edit')], [['f:spec f:rules'], ['f:spec f:size']])
  assert.ok('conflicts' in attempt('a', updated, thing({ size: 1, rules: [1] })))
})

test('null in an applied document is as if it were not there', () => {
  assert.deepEqual(apply('a', undefined, thing({ size: null, rules: [1] })).spec, { rules: [1] })
})

test('a writer that sends empty managedFields makes all owners forgotten', () => {
  const applied = apply('a', undefined, thing({ size: 1 }))
  const reset = update('b', applied, { ...applied, metadata: { ...applied.metadata, managedFields: [{}] } })
  assert.deepEqual(readOwners(reset), [])
})

test('to apply the same document again changes nothing, whatever is in it', () => {
  const value = fc.oneof(fc.integer(), fc.string(), fc.constant({}), fc.array(fc.integer(), { maxLength: 2 }))
  const spec = fc.record(
    {
      size: value,
      rules: fc.array(value),
      selector: fc.dictionary(fc.string(), value),
      ports: fc.uniqueArray(fc.record({ port: fc.integer(), name: fc.string() }), { selector: port => port.port }),
      other: fc.dictionary(fc.string(), value),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(spec, spec, (mine, other) => {
      const live = apply('b', apply('a', undefined, thing(mine)), thing(other), true)
      const again = apply('b', live, thing(other))
      assert.ok(same(again, live), JSON.stringify([live, again]))
    }),
  )
})

type Reference = {
  readonly schema: JsonSchema
  readonly scenarios: readonly (readonly {
    readonly manager: string
    readonly apply: boolean
    readonly force: boolean
    readonly doc: object
    readonly then: { readonly conflict?: true; readonly object?: { readonly spec?: unknown }; readonly managers?: object }
  }[])[]
}
const reference = JSON.parse(
  readFileSync(new URL('../../../../test/cases/server-side-apply/reference.json', import.meta.url), 'utf8'),
) as Reference

test('objects and owners come out as Kubernetes makes them, over applies and updates in turn', () => {
  for (const steps of reference.scenarios) {
    let live: Resource | undefined
    for (const { manager, apply, force, doc, then } of steps) {
      const sent = thing({}, {})
      const document = { ...doc, apiVersion: sent.apiVersion, kind: sent.kind, metadata: sent.metadata }
      const result = apply
        ? applyServerSide({ live, applied: document, schema: reference.schema, manager, subresource: undefined, force, now: 0 })
        : {
            next: {
              ...document,
              metadata: {
                ...document.metadata,
                managedFields: afterUpdate({
                  old: live,
                  next: { ...document, metadata: { ...document.metadata, managedFields: live?.metadata['managedFields'] } },
                  schema: reference.schema,
                  manager,
                  subresource: undefined,
                  now: 0,
                }),
              },
            },
          }
      assert.equal('conflicts' in result, then.conflict === true)
      if ('conflicts' in result) continue
      live = result.next
      assert.deepEqual(live.spec, then.object?.spec)
      const managers = (live.metadata['managedFields'] as { operation: string; manager: string; fieldsV1: object }[]).map(entry => [
        `${entry.operation.toLowerCase()}:${entry.manager}`,
        entry.fieldsV1,
      ])
      assert.deepEqual(Object.fromEntries(managers), then.managers)
    }
  }
})
