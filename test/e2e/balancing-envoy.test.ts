/** Envoy itself takes what the control plane sends of choosing an endpoint: clusters, health checks, hash policies, sessions. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type JsonObject, toJson } from '@bufbuild/protobuf'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import type { Backend } from '../../src/model/backend.ts'
import type { Listener } from '../../src/model/listener.ts'
import type { RouteTable } from '../../src/model/route.ts'
import { encodeBackend } from '../../src/xds/encode/cluster.ts'
import { encodeListener } from '../../src/xds/encode/listener.ts'
import { encodeRouteTable } from '../../src/xds/encode/route.ts'
import { registry } from '../../src/xds/file/registry.ts'
import { ClusterSchema } from '../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ListenerSchema } from '../../src/xds/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.ts'

const envoy = presentEnvoy()
const folder = mkdtempSync(join(tmpdir(), 'weft-envoy-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const policies: Readonly<Record<string, Pick<Backend, 'balance' | 'balancing'>>> = {
  'round-robin': { balance: 'round-robin', balancing: { slowStartMs: 3000, panicPercent: 10 } },
  random: { balance: 'random' },
  'least-request': { balance: 'least-request', balancing: { choices: 5, slowStartMs: 1000 } },
  scan: { balance: 'least-request', balancing: { choices: 'all', slowStartMs: 1000 } },
  'peak-ewma': { balance: 'peak-ewma', balancing: { slowStartMs: 1000 } },
  ring: { balance: 'ring-hash', balancing: { ringSize: { min: 64, max: 4096 } } },
  maglev: { balance: 'maglev', balancing: { tableSize: 2039 } },
}
const often = { intervalMs: 5000, timeoutMs: 500, unhealthyAfter: 3, healthyAfter: 2, jitterPercent: 10 }
const checks: Readonly<Record<string, Pick<Backend, 'protocol' | 'healthCheck'>>> = {
  'asked-http': {
    protocol: 'http1',
    healthCheck: {
      ...often,
      ask: {
        type: 'http',
        method: 'HEAD',
        path: '/healthz',
        host: 'shop.example',
        headers: [{ name: 'x-check', value: 'yes' }],
        statuses: [{ first: 200, last: 399 }],
      },
    },
  },
  'asked-http2': {
    protocol: 'http2',
    healthCheck: {
      ...often,
      idleMs: 5000,
      ask: { type: 'http', method: 'GET', path: '/', headers: [], statuses: [{ first: 204, last: 204 }] },
    },
  },
  'asked-grpc': { protocol: 'http2', healthCheck: { ...often, ask: { type: 'grpc', service: 'shop.Cart' } } },
  'asked-tcp': { protocol: 'tcp', healthCheck: { ...often, ask: { type: 'tcp', send: '50494e47', expect: ['504f4e47'] } } },
}
const asked = Object.entries(checks).map(([name, check]) => ({ name, ...policies['random']!, ...check }))
const chosen = Object.entries(policies).map(([name, policy]) => ({ name, protocol: 'http1' as const, ...policy }))
const clusters = [...chosen, ...asked].map(backend =>
  toJson(
    ClusterSchema,
    encodeBackend({
      service: 'x.d',
      type: 'endpoints',
      port: 80,
      connectTimeoutMs: 1000,
      identities: [],
      ...backend,
    }),
    { registry },
  ),
)
const forward = (backend: string) => ({ type: 'forward' as const, backends: [{ backend, weight: 1 }] })
const table: RouteTable = {
  name: 't',
  hosts: [
    {
      name: '*',
      domains: ['*'],
      routes: [
        {
          name: 'cookie',
          origin: 'cookie',
          match: { path: { type: 'prefix', value: '/a' } },
          filters: [],
          action: {
            ...forward('ring'),
            hash: [
              { type: 'header', name: 'x' },
              { type: 'query', name: 'q' },
              { type: 'cookie', name: 'c', ttlMs: 0, path: '/' },
              { type: 'cookie', name: 'd' },
              { type: 'source-ip' },
            ],
            session: { type: 'cookie', name: 's', path: '/', ttlMs: 5000 },
          },
        },
        {
          name: 'header',
          origin: 'header',
          match: {},
          filters: [],
          action: { ...forward('peak-ewma'), session: { type: 'header', name: 'x-s' } },
        },
      ],
    },
  ],
}
const listener = (name: string, port: number, more: Partial<Listener>): JsonObject =>
  toJson(
    ListenerSchema,
    encodeListener({ name, direction: 'outbound', host: '127.0.0.1', port, service: 'x.d', protocol: 'tcp', ...more }),
    { registry },
  ) as JsonObject

/** With its route table in it, so that no control plane is needed. */
function withTable(http: JsonObject): JsonObject {
  const text = JSON.stringify(http)
  const whole = JSON.parse(text) as { filterChains: { filters: { typedConfig: JsonObject }[] }[] }
  const manager = whole.filterChains[0]!.filters[0]!.typedConfig
  delete manager['rds']
  manager['routeConfig'] = toJson(RouteConfigurationSchema, encodeRouteTable(table), { registry })
  return whole as unknown as JsonObject
}

function verdictOf(resources: JsonObject): string {
  const file = join(folder, 'envoy.json')
  const ads = {
    apiType: 'GRPC',
    transportApiVersion: 'V3',
    grpcServices: [{ googleGrpc: { targetUri: '127.0.0.1:1', statPrefix: 'ads' } }],
  }
  writeFileSync(file, JSON.stringify({ node: { id: 'a', cluster: 'b' }, dynamicResources: { adsConfig: ads }, staticResources: resources }))
  const { status, stderr } = spawnSync(envoy!, ['--mode', 'validate', '-c', file], { encoding: 'utf8', timeout: 50_000 })
  return status === 0 ? 'taken' : `${stderr}`.trim().split('\n').slice(-2).join('\n')
}

test('Envoy takes every way of choosing, every hash, both kinds of session and every health check', {
  skip: envoy === undefined && 'Envoy is not here',
}, () => {
  const listeners = [
    withTable(listener('h', 1, { protocol: 'http', routes: 't' })),
    listener('t', 2, { backends: [{ backend: 'maglev', weight: 1 }], hash: 'source-ip' }),
  ]
  assert.equal(verdictOf({ clusters, listeners }), 'taken')
  const wrong = clusters.map(cluster => {
    const json = cluster as JsonObject
    return json['name'] === 'maglev' ? { ...json, maglevLbConfig: { tableSize: 10 } } : json
  })
  assert.match(verdictOf({ clusters: wrong, listeners }), /prime/, 'and a wrong one it does not')
})
