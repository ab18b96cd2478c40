import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { ControlStatus, ProxyStatus } from '#api/mesh-api'
import { concerns } from './judge.ts'

const now = Date.parse('2026-06-01T00:00:00Z')
const inHours = (hours: number): string => new Date(now + hours * 3_600_000).toISOString()
const proxy = (more: Partial<ProxyStatus>): ProxyStatus => ({
  id: 'orders-1.default',
  workload: 'orders-1',
  namespace: 'default',
  service: 'orders',
  version: '1',
  state: 'synced',
  lastSeen: inHours(0),
  wanted: 2,
  active: 2,
  rejected: [],
  health: 'healthy',
  identity: '',
  ...more,
})
const status = (proxies: readonly ProxyStatus[], controlHours = 20): ControlStatus => ({
  version: '1',
  startedAt: inHours(-1),
  trustDomain: 'weft.local',
  xds: { host: '', port: 1 },
  store: { path: '', revision: 1 },
  authority: { type: 'BuiltIn', leafLifeSeconds: 86_400 },
  certificates: [
    { use: 'root', subject: '', notAfter: inHours(80_000) },
    { use: 'intermediate', subject: '', notAfter: inHours(8000) },
    { use: 'control', subject: '', notAfter: inHours(controlHours) },
  ],
  mtls: { strict: 0, permissive: 0, disabled: 0, plaintext: 0 },
  proxies,
})

test('a mesh in sync has nothing to complain of, a proxy that is just catching up neither', () => {
  assert.deepEqual(concerns(status([proxy({}), proxy({ state: 'pending', active: 1 })]), now), [])
})

test('a refusal is told with its reason', () => {
  const rejected = [{ type: 'route', resource: 'shop/orders:80', reason: 'bad regex', at: inHours(0) }]
  assert.deepEqual(concerns(status([proxy({ state: 'rejected', rejected })]), now), ['orders-1.default refused shop/orders:80: bad regex'])
})

test('what an Envoy does not carry out is told, but for what it does in another way', () => {
  const lacking = [
    { kind: 'RateLimitPolicy', name: 'shop/each', fate: 'closed', says: 'it has one bucket' },
    { kind: 'BackendTLSPolicy', name: '', fate: 'partly', says: 'it begins no TLS' },
    { kind: 'JWTPolicy', name: 'shop/staff', fate: 'less', says: 'it looks once' },
  ] as const
  assert.deepEqual(concerns(status([proxy({ lacking })]), now), [
    'orders-1.default does not carry out RateLimitPolicy shop/each: it has one bucket',
    'orders-1.default does not carry out a BackendTLSPolicy: it begins no TLS',
  ])
})

test('a proxy that is cut off is told with how long', () => {
  assert.match(
    concerns(status([proxy({ state: 'disconnected', lastSeen: inHours(-3) })]), now)[0]!,
    /^orders-1\.default is disconnected, last seen 3h ago/,
  )
})

test('certificates that were not renewed in time are told', () => {
  assert.deepEqual(concerns(status([proxy({ certificate: { notAfter: inHours(-1), serial: '' } })], 0.5), now), [
    'the control certificate expires in 30m',
    'the certificate of orders-1.default has expired',
  ])
})

test('one that is revoked is told so, and not that it serves with what it has', () => {
  const revoked = 'spiffe://weft.local/ns/default/sa/orders was revoked by Revocation x (KeyCompromise)'
  assert.deepEqual(concerns(status([proxy({ state: 'disconnected', lastSeen: inHours(-3), revoked })]), now), [
    `orders-1.default is revoked: ${revoked}`,
  ])
})
