import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Listener } from '../listener.ts'
import type { View } from '../view.ts'
import { enter, isEdge } from './enter.ts'

const gateway = (port: number, more: Partial<Listener>): Listener => ({
  name: `gateway/${port}`,
  direction: 'gateway',
  host: '0.0.0.0',
  port,
  protocol: 'http',
  service: 'web.default',
  ...more,
})
const to = (backend: string) => [{ backend, weight: 1 }]
const pair = { cert: 'CERT', key: 'KEY' }
const view = {
  listeners: Object.fromEntries(
    [
      gateway(80, { routes: 'plain' }),
      gateway(443, {
        terminates: [
          { names: ['*.shop.test'], certificates: [pair], routes: 'shop' },
          { names: ['vault.shop.test'], certificates: [], backends: to('vault') },
          { names: ['db.shop.test'], certificates: [pair], backends: to('db'), callers: { roots: [], isRequired: true } },
        ],
      }),
      gateway(53, { name: 'gateway/53/udp', protocol: 'udp', backends: to('dns') }),
    ].map(each => [each.name, each]),
  ),
} as unknown as View
const request = { method: 'GET', host: 'shop.test', path: '/', search: '', header: () => undefined }
const at = (name: string, more: object = {}) => enter(view, { name, request, ...more })

test('a request in plaintext meets the listener of its port, and one over TLS that of its name', () => {
  assert.ok(isEdge(view))
  const plain = at('shop.test')
  assert.ok('met' in plain && plain.met.routes === 'plain' && plain.tls === undefined)
  const ended = at('a.shop.test', { isSecure: true })
  assert.ok('met' in ended && ended.met.routes === 'shop')
  assert.deepEqual(ended.tls, { name: 'a.shop.test', entry: ['*.shop.test'], becomes: 'ended' })
})

test('TLS that is passed on, and TLS that ends for opaque bytes, lead to backends', () => {
  const passed = at('vault.shop.test', { isSecure: true })
  assert.ok('met' in passed && passed.met.routes === undefined && passed.tls?.becomes === 'passed on')
  assert.deepEqual(passed.met.backends, to('vault'))
  const ended = at('db.shop.test', { isSecure: true })
  assert.ok('met' in ended && ended.tls?.becomes === 'ended' && ended.tls.certificates === 'required')
})

test('what cannot begin says why: no such port, no such name, TLS where there is none and none where there is', () => {
  const why = (name: string, more: object) => {
    const said = at(name, more)
    return 'failure' in said ? `${said.failure.code}: ${said.failure.detail}` : 'it begins'
  }
  assert.match(why('shop.test', { port: 81 }), /^no-listener: .* no port 81 open; it has 80, 443$/)
  assert.match(why('other.test', { isSecure: true }), /^tls-failed: .* the name "other\.test"; they have \*\.shop\.test, vault/)
  assert.match(why('a.shop.test', { port: 443 }), /^tls-failed: port 443 takes TLS only/)
  assert.match(why('shop.test', { port: 80, isSecure: true }), /^bad-request: port 80 takes HTTP without TLS/)
  assert.match(why('shop.test', { transport: 'udp', port: 54 }), /no port 54 of UDP open; it has 53/)
})
