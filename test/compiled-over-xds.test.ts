import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { emptyView, type View } from '#model/view'
import { type Chain, decodeResource, joinChains } from '#xds/decode'
import { encodeView } from '#xds/encode'

const cases = join(import.meta.dirname, 'cases/compiler')

/** What a proxy makes of the resources of a view. */
function received(view: View): View {
  const got = structuredClone(emptyView) as { -readonly [part in keyof View]: View[part] }
  const chains: Chain[] = []
  for (const resources of Object.values(encodeView(view)))
    for (const { typeUrl, name, body } of resources.values()) {
      const decoded = decodeResource(typeUrl, name, body)
      assert.ok('part' in decoded, `${name}: ${'rejected' in decoded ? decoded.rejected : ''}`)
      const { part } = decoded
      if (part.type === 'listener') got.listeners = { ...got.listeners, [name]: part.value }
      else if (part.type === 'route') got.routes = { ...got.routes, [name]: part.value }
      else if (part.type === 'backend') got.backends = { ...got.backends, [name]: part.value }
      else if (part.type === 'endpoints') got.endpoints = { ...got.endpoints, [name]: part.value }
      else if (part.type === 'chain') chains.push(part.value)
      else if (part.type === 'withdrawn') got.trust = { ...got.trust, ...part.value }
      else got[part.type] = part.value as never
    }
  got.backends = Object.fromEntries(joinChains(Object.values(got.backends), chains).map(each => [each.name, each]))
  return got
}

for (const name of readdirSync(cases))
  test(`what case ${name} compiles to reaches the proxy unchanged over xDS`, () => {
    const { views } = JSON.parse(readFileSync(join(cases, name, 'expected.json'), 'utf8')) as { views: Record<string, View> }
    for (const view of Object.values(views)) {
      const sent = { ...view, trust: emptyView.trust }
      // JSON has no undefined: a backend that leads nowhere is a missing key in the case
      assert.deepEqual(JSON.parse(JSON.stringify(received(sent))), sent)
    }
  })
