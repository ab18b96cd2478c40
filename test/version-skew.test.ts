/** What a newer control plane may say to an older proxy: a word of ours that this one does not know is refused with its place, wherever it stands, and never passed over. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { create, fromBinary, type Message, toBinary } from '@bufbuild/protobuf'
import { type Any, ValueSchema } from '@bufbuild/protobuf/wkt'
import { emptyView, type View } from '#model/view'
import { decodeResource } from '#xds/decode'
import { encodeView } from '#xds/encode'
import { registry } from '../src/xds/file/registry.ts'

const cases = join(import.meta.dirname, 'cases/compiler')
const views = readdirSync(cases).flatMap(name => {
  const { views } = JSON.parse(readFileSync(join(cases, name, 'expected.json'), 'utf8')) as { views: Record<string, View> }
  return Object.values(views).map(view => ({ ...view, trust: emptyView.trust }))
})

type Place = { readonly path: string; readonly name: string }
const added = 'fromTheFuture'

/** Changes one place after the other, and changes it back: each list of words of ours gets one more. */
function* withOneMore(value: unknown, path = '', name = ''): Generator<Place> {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return
  const message = value as Message & { fields?: Record<string, unknown> }
  if (message.$typeName === 'google.protobuf.Any') {
    const any = value as Any
    const schema = registry.getMessage(any.typeUrl.slice(any.typeUrl.indexOf('/') + 1))
    if (schema === undefined) return
    const [inner, before] = [fromBinary(schema, any.value), any.value]
    for (const place of withOneMore(inner, path, name)) {
      any.value = toBinary(schema, inner)
      yield place
      any.value = before
    }
    return
  }
  if (message.$typeName === 'google.protobuf.Struct') {
    const fields = message.fields!
    fields[added] = create(ValueSchema, { kind: { case: 'numberValue', value: 1 } })
    yield { path, name }
    delete fields[added]
    return
  }
  for (const [key, each] of Object.entries(value)) {
    if (key === 'filterMetadata') {
      const own = (each as Record<string, Record<string, unknown>>)['dev.weft']
      if (own === undefined) continue
      own[added] = 1
      yield { path: `${path}.metadata`, name }
      delete own[added]
    } else yield* withOneMore(each, Array.isArray(value) ? `${path}[]` : `${path}.${key}`, name)
  }
}

test('a word of ours that a proxy does not know is refused, wherever it stands', () => {
  const taken = new Map<string, string>()
  const refused = new Map<string, string>()
  for (const view of views)
    for (const resources of Object.values(encodeView(view)))
      for (const { typeUrl, name, body } of resources.values()) {
        const schema = registry.getMessage(typeUrl.slice(typeUrl.indexOf('/') + 1))!
        const message = fromBinary(schema, body)
        for (const { path } of withOneMore(message, schema.name)) {
          if (taken.has(path) || refused.has(path)) continue
          const decoded = decodeResource(typeUrl, name, toBinary(schema, message))
          if ('rejected' in decoded) refused.set(path, decoded.rejected)
          else taken.set(path, name)
        }
      }
  assert.deepEqual([...taken], [])
  assert.ok(refused.size > 10, 'there are such places')
  for (const why of refused.values())
    assert.match(why, /fromTheFuture: (?:unknown to this version of|not carried out by this) (?:the )?proxy/)
})
