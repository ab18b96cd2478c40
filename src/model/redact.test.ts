import assert from 'node:assert/strict'
import type { Listener } from './listener.ts'
import { test } from 'node:test'
import { withoutKeys } from './redact.ts'
import { emptyView } from './view.ts'

test('a view is shown with certificates and without their keys, and as it is where there are none', () => {
  const listener: Listener = {
    name: 'gateway/443',
    direction: 'gateway',
    host: '0.0.0.0',
    port: 443,
    protocol: 'http',
    terminates: [{ names: [], certificates: [{ cert: 'CERT', key: 'SECRET' }], routes: 'r' }],
    service: 'web.default',
  }
  const view = { ...emptyView, listeners: { [listener.name]: listener } }
  const shown = JSON.stringify(withoutKeys(view))
  assert.ok(shown.includes('CERT') && !shown.includes('SECRET'))
  assert.equal(view.listeners[listener.name]!.terminates![0]!.certificates[0]!.key, 'SECRET', 'the view itself stays as it is')
  const { terminates: _, ...plain } = listener
  const without = { ...emptyView, listeners: { [plain.name]: plain } }
  assert.equal(withoutKeys(without), without)
})
