import assert from 'node:assert/strict'
import type { Listener } from './listener.ts'
import { test } from 'node:test'
import { backendsFor } from './server-name.ts'

const to = (backend: string) => [{ backend, weight: 1 }]
const listener: Listener = {
  name: 'outbound/shop/all:443',
  direction: 'outbound',
  host: '10.0.0.1',
  port: 443,
  protocol: 'tls',
  service: 'all.shop',
  serverNames: [
    { names: ['*.example.com', 'example.com'], backends: to('wide') },
    { names: ['www.example.com'], backends: to('exact') },
    { names: ['*.deep.example.com'], backends: to('deep') },
  ],
}

const cases: readonly (readonly [string | undefined, string | undefined])[] = [
  ['www.example.com', 'exact'],
  ['api.example.com', 'wide'],
  ['a.b.example.com', 'wide'],
  ['example.com', 'wide'],
  ['x.deep.example.com', 'deep'],
  ['deep.example.com', 'wide'],
  ['myexample.com', undefined],
  ['com', undefined],
  [undefined, undefined],
]

for (const [name, backend] of cases)
  test(`the server name ${name ?? '(none)'} leads to ${backend ?? 'nobody'}`, () => {
    assert.equal(backendsFor(listener, name)?.[0]?.backend, backend)
  })

test('what names nothing that is known goes where the listener sends all others', () => {
  const open = { ...listener, backends: to('rest') }
  assert.equal(backendsFor(open, 'elsewhere.test')?.[0]?.backend, 'rest')
  assert.equal(backendsFor(open, undefined)?.[0]?.backend, 'rest')
  assert.equal(backendsFor(open, 'www.example.com')?.[0]?.backend, 'exact')
})
