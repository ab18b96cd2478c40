import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kinds, versionsOf } from './registry.ts'
import type { JsonSchema } from './schema.ts'
import { openApiV2, openApiV2Proto, openApiV3, openApiV3Index, schemaOf } from './schema.ts'

function* fields(schema: JsonSchema, path: string): Iterable<[string, JsonSchema]> {
  for (const [name, field] of Object.entries((schema['properties'] as Record<string, JsonSchema> | undefined) ?? {})) {
    yield [`${path}.${name}`, field]
    yield* fields(field, `${path}.${name}`)
  }
  for (const key of ['items', 'additionalProperties']) if (schema[key]) yield* fields(schema[key] as JsonSchema, `${path}[]`)
}

test('every field of every kind is described and typed', () => {
  const bare = kinds.flatMap(kind =>
    [...fields(schemaOf(kind), kind.kind)].filter(([, field]) => !field['description'] || !(field['type'] ?? field['oneOf'])),
  )
  assert.deepEqual(
    bare.map(([path]) => path),
    [],
  )
})

test('every list says how server-side apply merges it', () => {
  const unsaid = kinds.flatMap(kind =>
    [...fields(schemaOf(kind), kind.kind)].filter(([, field]) => field['type'] === 'array' && !field['x-kubernetes-list-type']),
  )
  assert.deepEqual(
    unsaid.map(([path]) => path),
    [],
  )
})

test('each version that is read has its OpenAPI v3 document, found by its group-version-kind', () => {
  for (const kind of kinds)
    for (const version of versionsOf(kind)) {
      const document = openApiV3(kind.group, version) as {
        components: { schemas: Record<string, JsonSchema> }
        paths: Record<string, unknown>
      }
      const found = Object.values(document.components.schemas).filter(schema =>
        JSON.stringify(schema['x-kubernetes-group-version-kind'])?.includes(
          JSON.stringify({ group: kind.group, kind: kind.kind, version }),
        ),
      )
      assert.equal(found.length, 1, `${kind.kind} ${version}`)
      const refs = JSON.stringify(document).match(/#\/components\/schemas\/[^"]+/g) ?? []
      for (const ref of refs) assert.ok(document.components.schemas[ref.split('/').at(-1) ?? ''], ref)
    }
  assert.equal(openApiV3('apps', 'v1'), undefined)
  assert.equal(
    Object.keys((openApiV3Index() as { paths: object }).paths).length,
    new Set(kinds.flatMap(kind => versionsOf(kind).map(version => `${kind.group}/${version}`))).size,
  )
})

test('OpenAPI v2 has no word of v3, and its protobuf form carries the same definitions', () => {
  const text = JSON.stringify(openApiV2())
  for (const word of ['oneOf', 'allOf', 'components/schemas']) assert.ok(!text.includes(`"${word}`) && !text.includes(`#/${word}`), word)
  const bytes = Buffer.from(openApiV2Proto())
  assert.equal(bytes.subarray(0, 5).toString('latin1'), '\n\x032.0') // field 1, swagger
  const names = definitions(bytes)
  assert.deepEqual(names, Object.keys(openApiV2().definitions))
})

/** Reads field 9 (definitions) → field 1 (named schema) → field 1 (name) of the message. */
function definitions(bytes: Buffer): string[] {
  const parts = (of: Buffer): [number, Buffer][] => {
    const out: [number, Buffer][] = []
    let at = 0
    const varint = (): number => {
      let [value, shift] = [0, 0]
      for (;;) {
        const byte = of[at++]!
        value += (byte & 127) * 2 ** shift
        if (byte < 128) return value
        shift += 7
      }
    }
    while (at < of.length) {
      const tag = varint()
      assert.equal(tag & 7, 2, 'only messages and strings on this path')
      const length = varint()
      out.push([tag >> 3, of.subarray(at, at + length)])
      at += length
    }
    return out
  }
  const only = (of: Buffer, field: number) =>
    parts(of)
      .filter(([tag]) => tag === field)
      .map(([, inner]) => inner)
  return only(bytes, 9)
    .flatMap(all => only(all, 1))
    .map(named => only(named, 1)[0]!.toString())
}
