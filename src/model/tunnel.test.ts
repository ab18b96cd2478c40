import assert from 'node:assert/strict'
import type { Access, AccessRule } from './access-rule.ts'
import type { Listener } from './listener.ts'
import type { Route } from './route.ts'
import { test } from 'node:test'
import { accessFor, noTunnel, routeAt, tellJudged } from './tunnel.ts'

const route: Route = { name: 'r', origin: 'r', match: {}, filters: [], action: { type: 'forward', backends: [] } }
const listener = {
  name: 'in',
  direction: 'inbound',
  host: '127.0.0.1',
  port: 80,
  protocol: 'http',
  service: 'web.default',
} satisfies Listener
const rule = (name: string, methods: readonly string[], type: 'exact' | 'prefix' = 'exact'): AccessRule => ({
  name: `shop/${name}#0`,
  from: [],
  to: methods.length === 0 ? [] : [[{ on: 'method', any: methods.map(value => ({ type, value })) }]],
})
const allowing = (access: Access, method = 'CONNECT') => accessFor(listener, { ...route, access }, method)?.allow?.map(({ name }) => name)

test('of CONNECT only Allow rules count that name the method itself, and other methods are judged by all', () => {
  const access = { deny: [], allow: [rule('all', []), rule('get', ['GET']), rule('con', ['CON'], 'prefix'), rule('connect', ['CONNECT'])] }
  assert.deepEqual(allowing(access), ['shop/connect#0'])
  assert.equal(accessFor(listener, { ...route, access }, 'GET'), access)
  assert.equal(accessFor(listener, { ...route, access }, 'CONNECT'), accessFor(listener, { ...route, access }, 'CONNECT'))
})

test('of an alternative that names other methods nothing holds for CONNECT', () => {
  const [to] = rule('x', ['GET']).to
  const [connect] = rule('x', ['CONNECT']).to
  const access = { deny: [], allow: [{ name: 'shop/two#0', from: [], to: [to!, connect!] }] }
  assert.deepEqual(accessFor(listener, { ...route, access }, 'CONNECT')?.allow?.[0]?.to, [connect])
})

test('where nothing is judged CONNECT is not; what takes an identity back judges no request', () => {
  assert.equal(accessFor(listener, route, 'CONNECT'), undefined)
  assert.equal(allowing({ deny: [rule('no', ['GET'])] })?.length, 0)
  assert.equal(allowing({ deny: [{ name: 'Revocation/x#0', from: [], to: [] }] }), undefined)
  assert.deepEqual(accessFor(listener, { ...route, tokens: 'shop/t' }, 'CONNECT'), { deny: [], allow: [] })
  assert.equal(accessFor({ ...listener, direction: 'outbound' }, { ...route, tokens: 'shop/t' }, 'CONNECT'), undefined)
})

test('what is only tried denies no tunnel, and would as it will', () => {
  const tried = accessFor(listener, { ...route, access: { deny: [], audit: { deny: [rule('no', ['GET'])] } } }, 'CONNECT')
  assert.deepEqual([tried?.allow, tried?.audit?.allow], [undefined, []])
})

test('at a Gateway CONNECT takes the route that names it, wherever it stands', () => {
  const named = { ...route, match: { method: 'CONNECT' } }
  const table = (...routes: Route[]) => ({ name: 't', hosts: [{ name: 't', domains: ['*'], routes }] })
  const request = { method: 'CONNECT', host: 'db:5432', path: '/', search: '', header: () => undefined }
  assert.equal(routeAt('gateway', table(route, named), request), named)
  assert.equal(routeAt('gateway', table(route), request), undefined)
  assert.equal(routeAt('inbound', table(route), request), route)
  assert.equal(routeAt('gateway', table(route, named), { ...request, method: 'GET' }), route)
})

test('why no tunnel is made tells how one is allowed', () => {
  assert.equal(tellJudged({ isAllowed: false }, 'CONNECT'), noTunnel)
  assert.equal(tellJudged({ isAllowed: false }, 'GET'), 'no Allow policy matches')
})
