/** What an Envoy gets in the place of what it refused: closed where less is let in by it, without its log where that is all, else what it had. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Listener } from '#model/listener'
import type { Route, RouteTable } from '#model/route'
import { emptyView, type View } from '#model/view'
import { typeUrls } from '#xds/types'
import { StandIns } from './stand-ins.ts'

const listener = (more: Partial<Listener> = {}): Listener => ({
  name: 'inbound/80',
  direction: 'inbound',
  host: '127.0.0.1',
  port: 20_001,
  protocol: 'http',
  routes: 'inbound/80',
  service: 'app.shop',
  ...more,
})
const table = (more: Partial<Route> = {}): RouteTable => ({
  name: 'inbound/80',
  hosts: [
    {
      name: '*',
      domains: ['*'],
      routes: [
        {
          name: 'all',
          origin: 'all',
          match: {},
          filters: [],
          action: { type: 'forward', backends: [{ backend: 'local/80', weight: 1 }] },
          ...more,
        },
      ],
    },
  ],
})
const viewOf = (one: Listener, routes: RouteTable): View => ({
  ...emptyView,
  listeners: { 'inbound/80': one },
  routes: { 'inbound/80': routes },
})
const access = { deny: [], allow: [] }
const refusing = (typeUrl: string, reason = 'no such thing') => [{ typeUrl, resource: 'inbound/80', reason, version: '' }]
const first = (view: View): Route => view.routes['inbound/80']!.hosts[0]!.routes[0]!

test('a refused table that has a policy more is closed until another is compiled, and told all the while', () => {
  const standIns = new StandIns()
  const open = viewOf(listener(), table())
  standIns.settled(standIns.over(open), [])
  const tight = viewOf(open.listeners['inbound/80']!, table({ access }))
  assert.equal(standIns.over(tight), tight)
  assert.equal(standIns.refused(refusing(typeUrls.route), tight), true)
  const sent = standIns.over(tight)
  assert.match(JSON.stringify(first(sent).action), /"respond","status":503/)
  assert.equal(sent.listeners['inbound/80'], tight.listeners['inbound/80'])
  standIns.settled(sent, [])
  assert.match(standIns.rejected[0]!.reason, /^no such thing; it lets nothing in there/)
  assert.deepEqual(standIns.over({ ...tight, endpoints: {} }).routes, sent.routes)
  const other = viewOf(open.listeners['inbound/80']!, table({ access: { deny: [] } }))
  assert.equal(standIns.over(other), other)
  assert.deepEqual(standIns.rejected, [])
})

test('what lets as much in as before is not closed when it is refused: the proxy goes on with what it had', () => {
  const standIns = new StandIns()
  standIns.settled(viewOf(listener(), table({ access })), [])
  for (const less of [table({ access, timeouts: { requestMs: 5 } }), table()])
    assert.equal(standIns.refused(refusing(typeUrls.route), viewOf(listener(), less)), false)
  assert.deepEqual(standIns.rejected, [])
})

test('of a proxy of which nobody knows what it has, what has a policy is closed', () => {
  assert.equal(new StandIns().refused(refusing(typeUrls.route), viewOf(listener(), table())), false)
  assert.equal(new StandIns().refused(refusing(typeUrls.route), viewOf(listener(), table({ tokens: 'shop/t' }))), true)
})

test('with a refused listener that is stricter its routes are closed too, for connections that are open stay with the old one', () => {
  const standIns = new StandIns()
  const open = viewOf(listener({ tls: { mode: 'permissive' } }), table())
  standIns.settled(open, [])
  const strict = viewOf(listener({ tls: { mode: 'strict' } }), open.routes['inbound/80']!)
  assert.equal(standIns.refused(refusing(typeUrls.listener), strict), true)
  const sent = standIns.over(strict)
  assert.deepEqual(sent.listeners['inbound/80'], {
    name: 'inbound/80',
    direction: 'inbound',
    host: '127.0.0.1',
    port: 20_001,
    service: 'app.shop',
    protocol: 'tcp',
    access,
    backends: [],
  })
  assert.equal(first(sent).action.type, 'respond')
  assert.deepEqual(standIns.rejected.map(({ typeUrl }) => typeUrl).sort(), [typeUrls.listener, typeUrls.route].sort())
})

test('a listener whose log is refused is sent without it, and closed only where that is refused too', () => {
  const standIns = new StandIns()
  standIns.settled(viewOf(listener(), table()), [])
  const telemetry = { accessLog: { path: '/nowhere/log', format: { type: 'json' as const, fields: [] } } }
  const logged = viewOf(listener({ telemetry, tokens: [] }), table())
  assert.equal(standIns.refused(refusing(typeUrls.listener, 'unable to open file'), logged), true)
  assert.deepEqual(standIns.over(logged).listeners['inbound/80'], listener({ tokens: [] }))
  assert.equal(standIns.rejected[0]!.reason, 'unable to open file; it has it without an access log')
  assert.equal(standIns.refused(refusing(typeUrls.listener, 'another'), logged), true)
  assert.equal(standIns.over(logged).listeners['inbound/80']!.protocol, 'tcp')
  assert.match(standIns.rejected[0]!.reason, /^unable to open file; it lets nothing in there/)
  assert.equal(standIns.refused(refusing(typeUrls.listener, 'again'), logged), false)
})
