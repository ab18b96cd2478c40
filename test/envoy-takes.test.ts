/** What an Envoy is sent holds no extension that it does not know and may not pass over: for every view of the compiler's cases. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fromBinary } from '@bufbuild/protobuf'
import { type Any, anyUnpack } from '@bufbuild/protobuf/wkt'
import { forEnvoy } from '#model/envoy'
import { emptyView, type View } from '#model/view'
import { encodeView } from '#xds/encode'
import { FilterConfigSchema } from '../src/xds/gen/envoy/config/route/v3/route_components_pb.ts'
import { typeUrls } from '../src/xds/types.ts'
import { registry } from '../src/xds/file/registry.ts'

const cases = join(import.meta.dirname, 'cases/compiler')
const views = readdirSync(cases).flatMap(name => {
  const { views } = JSON.parse(readFileSync(join(cases, name, 'expected.json'), 'utf8')) as { views: Record<string, View> }
  return Object.entries(views).map(([id, view]) => ({ name: `${name} ${id}`, view: { ...view, trust: emptyView.trust } }))
})

const own = (name: unknown): boolean => typeof name === 'string' && name.startsWith('dev.weft.')

/** Ours, wherever they stand: a filter, or what a route says of one. Optional ones are passed over. */
function* unknownIn(value: unknown): Generator<string> {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return
  const message = value as { readonly $typeName?: string; readonly typeUrl?: string; readonly value?: Uint8Array }
  if (message.$typeName === 'google.protobuf.Any') {
    const schema = registry.getMessage(message.typeUrl!.slice(message.typeUrl!.indexOf('/') + 1))
    if (schema !== undefined) yield* unknownIn(fromBinary(schema, message.value!))
    return
  }
  for (const [key, each] of Object.entries(value)) {
    if (key === 'name' && own(each)) yield String(each)
    if (key === 'typedPerFilterConfig')
      for (const [name, config] of Object.entries(each as Record<string, Any>))
        if (own(name) && anyUnpack(config, FilterConfigSchema)?.isOptional !== true) yield name
    yield* unknownIn(each)
  }
}

const refusedIn = (view: View): readonly string[] =>
  [typeUrls.listener, typeUrls.route].flatMap(type =>
    [...encodeView(view)[type].values()].flatMap(({ name, typeUrl, body }) =>
      [...unknownIn(fromBinary(registry.getMessage(typeUrl.slice(typeUrl.indexOf('/') + 1))!, body))].map(each => `${name}: ${each}`),
    ),
  )

test('of what Weft has beyond Envoy nothing is sent to an Envoy that it would refuse', () => {
  const beyond = views.filter(({ view }) => refusedIn(view).length > 0)
  assert.ok(beyond.length > 5, 'the cases have something to leave out')
  for (const { name, view } of views) {
    const { view: sent, lacking } = forEnvoy(view)
    assert.deepEqual(refusedIn(sent), [], name)
    if (sent !== view) assert.ok(lacking.length > 0, `${name}: what is left out is told`)
  }
})
