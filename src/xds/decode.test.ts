/** What a proxy takes of xDS that others wrote, and what it refuses by name. One file as a whole: the cases change one configuration, and stand beside each other to be compared with Envoy's. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, type DescMessage, fromJson, type JsonValue, type Registry, createRegistry, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import type { Backend } from '#model/backend'
import type { Listener } from '#model/listener'
import type { RouteTable } from '#model/route'
import { emptyView } from '#model/view'
import { decodeResource, type Part } from './decode.ts'
import { encodeView } from './encode.ts'
import { ClusterConfigSchema as ChainSchema } from './gen/envoy/extensions/clusters/aggregate/v3/cluster_pb.ts'
import { ClusterSchema } from './gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from './gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ListenerSchema } from './gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from './gen/envoy/config/route/v3/route_pb.ts'
import { HTTPFaultSchema } from './gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { RouterSchema } from './gen/envoy/extensions/filters/http/router/v3/router_pb.ts'
import { HttpConnectionManagerSchema } from './gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { TcpProxySchema } from './gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'
import { FilterConfigSchema as HttpCapsuleSchema } from './gen/envoy/extensions/filters/udp/udp_proxy/session/http_capsule/v3/http_capsule_pb.ts'
import { UdpProxyConfigSchema } from './gen/envoy/extensions/filters/udp/udp_proxy/v3/udp_proxy_pb.ts'
import { LeastRequestSchema } from './gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.ts'
import { DownstreamTlsContextSchema, UpstreamTlsContextSchema } from './gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import { SecretSchema } from './gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { TypedStructSchema } from './gen/xds/type/v3/typed_struct_pb.ts'
import { typeUrls } from './types.ts'

const registry: Registry = createRegistry(
  ChainSchema,
  HTTPFaultSchema,
  RouterSchema,
  HttpConnectionManagerSchema,
  TcpProxySchema,
  UpstreamTlsContextSchema,
  DownstreamTlsContextSchema,
  UdpProxyConfigSchema,
  HttpCapsuleSchema,
  LeastRequestSchema,
  TypedStructSchema,
)

/** Envoy's own configuration form, as others write it. */
function decoded(typeUrl: string, schema: DescMessage, json: JsonValue): Part {
  const name = String((json as Record<string, unknown>)['name'] ?? (json as Record<string, unknown>)['clusterName'])
  const result = decodeResource(typeUrl, name, toBinary(schema, fromJson(schema, json, { registry })))
  if ('rejected' in result) throw new Error(result.rejected)
  return result.part
}
const listener = (json: Record<string, JsonValue>) =>
  decoded(typeUrls.listener, ListenerSchema, {
    name: 'l',
    trafficDirection: 'OUTBOUND',
    address: { socketAddress: { address: '10.0.0.1', portValue: 80 } },
    ...json,
  }).value as Listener
const routes = (...list: Record<string, JsonValue>[]) =>
  (
    decoded(typeUrls.route, RouteConfigurationSchema, {
      name: 'r',
      virtualHosts: [{ name: 'all', domains: ['*'], routes: list as JsonValue[] }],
    }).value as RouteTable
  ).hosts[0]!.routes
const to = { route: { cluster: 'c' } }
const ads = { ads: {}, resourceApiVersion: 'V3' }
const manager = (more: Record<string, JsonValue> = {}) => ({
  name: 'hcm',
  typedConfig: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    statPrefix: 'x',
    rds: { routeConfigName: 'r', configSource: ads },
    httpFilters: [{ name: 'router', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }],
    ...more,
  },
})

test('a listener that others wrote, without labels of ours, is taken', () => {
  assert.deepEqual(listener({ filterChains: [{ filters: [manager()] }] }), {
    name: 'l',
    direction: 'outbound',
    host: '10.0.0.1',
    port: 80,
    protocol: 'http',
    routes: 'r',
    service: '',
  })
})

test('what a listener asks for and the proxy does not do is refused by name', () => {
  const chain = (filter: JsonValue) => ({ filterChains: [{ filters: [filter] }] })
  const fault = {
    name: 'envoy.filters.http.fault',
    typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault', maxActiveFaults: 1 },
  }
  assert.throws(
    () => listener(chain(manager({ httpFilters: [fault] }))),
    /http_filters: envoy\.filters\.http\.fault\.max_active_faults: not carried out/,
  )
  assert.throws(() => listener(chain(manager({ mergeSlashes: true }))), /filter_chains\[0\]\.filters\[0\]\.merge_slashes: not carried out/)
  assert.throws(() => listener({ ...chain(manager()), useOriginalDst: true }), /^Error: use_original_dst: not carried out/)
  assert.throws(
    () => listener({ filterChains: [{ filters: [manager()], filterChainMatch: { serverNames: ['a'] } }] }),
    /filter_chain_match\.server_names: carried out only for a tcp_proxy chain/,
  )
  assert.throws(() => listener({ ...chain(manager()), trafficDirection: 'UNSPECIFIED' }), /traffic_direction: must be/)
  assert.throws(
    () => listener({ filterChains: [{ filters: [manager()] }, { filters: [manager()] }] }),
    /two chains for the same kind of connection/,
  )
})

const relay = (cluster: string, more: Record<string, JsonValue> = {}) => ({
  filters: [
    {
      name: 'tcp',
      typedConfig: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
        statPrefix: 'x',
        cluster,
        ...more,
      },
    },
  ],
})
const byName = (...names: string[]) => ({ filterChainMatch: { serverNames: names, transportProtocol: 'tls' } })

test('chains by server name, as Istio writes them, lead to a place each; the default chain takes the others', () => {
  const { protocol, serverNames, backends, idleMs } = listener({
    filterChains: [
      { ...byName('a.test', '*.a.test'), ...relay('a', { idleTimeout: '90s' }) },
      { ...byName('b.test'), ...relay('b', { idleTimeout: '90s' }) },
    ],
    defaultFilterChain: relay('rest', { idleTimeout: '90s' }),
  })
  assert.deepEqual(
    { protocol, serverNames, backends, idleMs },
    {
      protocol: 'tls',
      serverNames: [
        { names: ['a.test', '*.a.test'], backends: [{ backend: 'a', weight: 1 }] },
        { names: ['b.test'], backends: [{ backend: 'b', weight: 1 }] },
      ],
      backends: [{ backend: 'rest', weight: 1 }],
      idleMs: 90_000,
    },
  )
  const chains =
    (...filterChains: JsonValue[]) =>
    () =>
      listener({ filterChains })
  assert.throws(chains({ ...byName('a'), ...relay('a') }, { ...byName('a'), ...relay('b') }), /server_names: "a" stands in two chains/)
  assert.throws(chains({ ...byName('*'), ...relay('a') }), /"\*" is no name in lower case/)
  assert.throws(chains({ ...byName('A.test'), ...relay('a') }), /"A\.test" is no name in lower case/)
  assert.throws(chains({ ...byName('a'), ...relay('a') }, { filters: [manager()] }), /only where all chains are tcp_proxy/)
})

const tunnel = { proxyHost: 'any', targetHost: '10.0.0.1', defaultTargetPort: 53 }
const capsules = [
  {
    name: 'capsule',
    typedConfig: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.session.http_capsule.v3.FilterConfig',
    },
  },
]
const udpProxy = (more: Record<string, JsonValue>, other: Record<string, JsonValue> = {}) =>
  listener({
    address: { socketAddress: { protocol: 'UDP', address: '10.0.0.1', portValue: 53 } },
    listenerFilters: [
      {
        name: 'envoy.filters.udp_listener.udp_proxy',
        typedConfig: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig',
          statPrefix: 'x',
          cluster: 'dns',
          ...more,
        },
      },
    ],
    ...other,
  })

test('a UDP proxy that tunnels, as Envoy has it, is a listener of datagrams; what would lead elsewhere is refused by name', () => {
  assert.deepEqual(udpProxy({ tunnelingConfig: tunnel, sessionFilters: capsules, idleTimeout: '30s' }), {
    name: 'l',
    direction: 'outbound',
    host: '10.0.0.1',
    port: 53,
    protocol: 'udp',
    backends: [{ backend: 'dns', weight: 1 }],
    idleMs: 30_000,
    service: '',
  })
  assert.deepEqual(udpProxy({}).backends, [{ backend: 'dns', weight: 1 }])
  assert.throws(() => udpProxy({ tunnelingConfig: tunnel }), /session_filters: http_capsule, and no other/)
  const tunnelled = (more: Record<string, JsonValue>) => () =>
    udpProxy({ tunnelingConfig: { ...tunnel, ...more }, sessionFilters: capsules })
  assert.throws(tunnelled({ targetHost: '10.9.9.9' }), /target_host and default_target_port must be the listener's own address/)
  assert.throws(tunnelled({ usePost: true }), /use_post: not carried out/)
  assert.throws(() => udpProxy({ useOriginalSrcIp: true }), /use_original_src_ip: not carried out/)
  assert.throws(() => udpProxy({ idleTimeout: '0s' }), /idle_timeout: must be above 0/)
  assert.throws(() => udpProxy({}, { trafficDirection: 'INBOUND' }), /must be OUTBOUND/)
})

const connectUdp = (more: Record<string, JsonValue> = {}, action: Record<string, JsonValue> = {}) =>
  listener({
    trafficDirection: 'INBOUND',
    filterChains: [
      {
        transportSocket: {
          name: 'tls',
          typedConfig: {
            '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
            requireClientCertificate: true,
            commonTlsContext: {
              tlsCertificateSdsSecretConfigs: [{ name: 'default', sdsConfig: ads }],
              validationContextSdsSecretConfig: { name: 'ROOTCA', sdsConfig: ads },
            },
          },
        },
        filters: [
          {
            name: 'hcm',
            typedConfig: {
              ...Object.fromEntries(Object.entries(manager().typedConfig).filter(([name]) => name !== 'rds')),
              http2ProtocolOptions: { allowConnect: true },
              upgradeConfigs: [{ upgradeType: 'CONNECT-UDP' }],
              routeConfig: {
                virtualHosts: [
                  {
                    name: 'all',
                    domains: ['*'],
                    routes: [
                      {
                        match: { connectMatcher: {} },
                        route: { cluster: 'app', upgradeConfigs: [{ upgradeType: 'CONNECT-UDP', connectConfig: {} }], ...action },
                      },
                    ],
                  },
                ],
              },
              ...more,
            },
          },
        ],
      },
    ],
  })

test('HTTP/2 that takes CONNECT-UDP out of mutual TLS, as Envoy has it, is an inbound listener of datagrams', () => {
  const { protocol, direction, tls, backends } = connectUdp()
  assert.deepEqual(
    { protocol, direction, tls, backends },
    { protocol: 'udp', direction: 'inbound', tls: { mode: 'strict' }, backends: [{ backend: 'app', weight: 1 }] },
  )
  assert.throws(() => connectUdp({ http2ProtocolOptions: {} }), /needs allow_connect/)
  assert.throws(() => connectUdp({ upgradeConfigs: [{ upgradeType: 'CONNECT-UDP' }, { upgradeType: 'websocket' }] }), /carried out alone/)
  assert.throws(() => connectUdp({}, { upgradeConfigs: [{ upgradeType: 'CONNECT-UDP' }] }), /with connect_config/)
  assert.throws(() => connectUdp({}, { timeout: '3s' }), /routes\[0\]\.timeout: not carried out/)
})

test('matches that the model has no word for become the same pattern', () => {
  const [one, two, three] = routes(
    { match: { prefix: '/api.v1', headers: [{ name: 'X-A', stringMatch: { prefix: 'a+' } }] }, ...to },
    {
      match: {
        prefix: '/',
        headers: [
          { name: 'x-b', presentMatch: true },
          { name: ':method', stringMatch: { exact: 'PUT' } },
        ],
      },
      ...to,
    },
    { match: { pathSeparatedPrefix: '/a', queryParameters: [{ name: 'q', stringMatch: { contains: 'x' } }] }, ...to },
  )
  assert.deepEqual(one!.match, {
    path: { type: 'regex', value: '/api\\.v1.*' },
    headers: [{ name: 'x-a', type: 'regex', value: 'a\\+.*' }],
  })
  assert.deepEqual(two!.match, {
    path: { type: 'prefix', value: '/' },
    method: 'PUT',
    headers: [{ name: 'x-b', type: 'regex', value: '.*' }],
  })
  assert.deepEqual(three!.match, { path: { type: 'prefix', value: '/a' }, query: [{ name: 'q', type: 'regex', value: '.*x.*' }] })
})

test("Envoy's default timeout of fifteen seconds is kept where nothing else is said", () => {
  assert.deepEqual(routes({ match: { prefix: '/' }, ...to })[0]!.timeouts, { requestMs: 15_000 })
  assert.equal(routes({ match: { prefix: '/' }, route: { cluster: 'c', timeout: '0s' } })[0]!.timeouts, undefined)
})

test('fields that a proxy writes itself cannot be changed by a route', () => {
  const at = (change: object) => () => routes({ match: { prefix: '/' }, ...to, ...change })
  assert.throws(at({ requestHeadersToRemove: ['x-a', 'Host'] }), /request_headers_to_remove\[1\]: "host" cannot be changed here/)
  assert.throws(
    at({ responseHeadersToAdd: [{ header: { key: 'Content-Length', value: '1' } }] }),
    /response_headers_to_add\[0\]: "content-length" cannot be changed here/,
  )
  assert.throws(at({ requestHeadersToAdd: [{ header: { key: ':path', value: '/' } }] }), /":path" cannot be changed here/)
})

test('what a route asks for and the proxy does not do is refused by name', () => {
  const match = { prefix: '/' }
  assert.throws(
    () => routes({ match, route: { cluster: 'c', retryPolicy: { retryOn: '5xx,envoy-ratelimited' } } }),
    /virtual_hosts\[0\]\.routes\[0\]\.route\.retry_policy\.retry_on: "envoy-ratelimited" is not carried out/,
  )
  assert.throws(() => routes({ match, route: { clusterHeader: 'x' } }), /route\.cluster_header: not carried out/)
  assert.throws(
    () => routes({ match: { ...match, headers: [{ name: 'x', invertMatch: true, presentMatch: true }] }, ...to }),
    /headers\[0\]\.invert_match: not carried out/,
  )
  assert.throws(
    () => routes({ match, ...to, requestHeadersToAdd: [{ header: { key: 'x', value: '%REQ(host)%' } }] }),
    /the substitution in "%REQ\(host\)%"/,
  )
  assert.throws(() => routes({ match, directResponse: { status: 101 } }), /101 is no status of an answer/)
  assert.throws(() => routes({ match: { safeRegex: { regex: '(' } }, ...to }), /the pattern cannot be used/)
  assert.throws(() => routes({ match, route: { cluster: 'c', prefixRewrite: '/x' } }), /would run into the first segment/)
})

test('clusters and endpoints that others wrote are taken, or refused by name', () => {
  const cluster = (json: Record<string, JsonValue>) => decoded(typeUrls.cluster, ClusterSchema, { name: 'c', ...json }).value
  const eds = { type: 'EDS', edsClusterConfig: { edsConfig: ads } }
  assert.deepEqual(cluster({ ...eds, lbPolicy: 'LEAST_REQUEST', connectTimeout: '0.25s' }), {
    name: 'c',
    service: '',
    type: 'endpoints',
    port: 0,
    protocol: 'http1',
    balance: 'least-request',
    balancing: { panicPercent: 50 },
    connectTimeoutMs: 250,
    identities: [],
  })
  const balanced = (json: Record<string, JsonValue>) => {
    const { balance, balancing } = cluster({ ...eds, commonLbConfig: { healthyPanicThreshold: { value: 0 } }, ...json }) as Backend
    return { balance, balancing }
  }
  assert.deepEqual(balanced({ lbPolicy: 'MAGLEV', maglevLbConfig: { tableSize: 2039 } }), {
    balance: 'maglev',
    balancing: { tableSize: 2039 },
  })
  assert.deepEqual(balanced({ lbPolicy: 'RING_HASH', ringHashLbConfig: { maximumRingSize: 8_000_000 } }), {
    balance: 'ring-hash',
    balancing: { ringSize: { max: 131_072 } },
  })
  assert.deepEqual(balanced({ lbPolicy: 'RANDOM', commonLbConfig: {} }), { balance: 'random', balancing: { panicPercent: 50 } })
  assert.deepEqual(
    balanced({
      loadBalancingPolicy: {
        policies: [
          {
            typedExtensionConfig: {
              name: 'x',
              typedConfig: { '@type': `type.googleapis.com/${TypedStructSchema.typeName}`, typeUrl: 'x/y.Z' },
            },
          },
          {
            typedExtensionConfig: {
              name: 'least',
              typedConfig: { '@type': `type.googleapis.com/${LeastRequestSchema.typeName}`, selectionMethod: 'FULL_SCAN' },
            },
          },
        ],
      },
    }),
    { balance: 'least-request', balancing: { choices: 'all' } },
    'of several policies the first that is known',
  )
  assert.throws(() => cluster({ ...eds, lbPolicy: 'CLUSTER_PROVIDED' }), /lb_policy: only ROUND_ROBIN/)
  assert.throws(() => cluster({ ...eds, lbPolicy: 'MAGLEV', maglevLbConfig: { tableSize: 65_536 } }), /65536 is not a prime/)
  assert.throws(() => cluster({ ...eds, lbPolicy: 'RANDOM', maglevLbConfig: {} }), /lb_config: is for maglev/)
  assert.throws(
    () => cluster({ ...eds, commonLbConfig: { zoneAwareLbConfig: {} } }),
    /common_lb_config\.zone_aware_lb_config: not carried out/,
  )
  assert.throws(
    () => cluster({ ...eds, roundRobinLbConfig: { slowStartConfig: { slowStartWindow: '9s', aggression: { defaultValue: 2 } } } }),
    /slow_start_config\.aggression: not carried out/,
  )
  assert.throws(() => cluster({ type: 'STRICT_DNS' }), /load_assignment: is missing/)
  assert.throws(
    () => cluster({ ...eds, outlierDetection: { alwaysEjectOneHost: true } }),
    /outlier_detection.always_eject_one_host: not carried out/,
  )
  assert.throws(
    () =>
      cluster({
        ...eds,
        transportSocket: {
          name: 'tls',
          typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext' },
        },
      }),
    /transport_socket: common_tls_context is missing/,
  )
  const set = (json: Record<string, JsonValue>) =>
    decoded(typeUrls.endpoints, ClusterLoadAssignmentSchema, { clusterName: 'c', ...json }).value
  const endpoint = { endpoint: { address: { socketAddress: { address: '10.0.0.1', portValue: 80 } } } }
  assert.deepEqual(set({ endpoints: [{ locality: { region: 'eu', zone: 'a', subZone: 'r1' }, lbEndpoints: [endpoint] }] }), {
    backend: 'c',
    endpoints: [
      {
        host: '10.0.0.1',
        port: 80,
        weight: 1,
        health: 'healthy',
        mtls: false,
        workload: '',
        locality: { region: 'eu', zone: 'a', host: 'r1' },
      },
    ],
  })
  assert.deepEqual(set({ endpoints: [{ priority: 1, lbEndpoints: [endpoint] }] }), {
    backend: 'c',
    endpoints: [{ host: '10.0.0.1', port: 80, weight: 1, health: 'healthy', mtls: false, workload: '', priority: 1 }],
  })
  assert.throws(() => set({ policy: { dropOverloads: [{ category: 'x' }] } }), /policy: not carried out/)
  assert.throws(() => decoded(typeUrls.secret, SecretSchema, { name: 'other' }), /only "ROOTCA"/)
})

test('a cluster is not taken with weaker TLS than it asks for, nor with stronger', () => {
  const view = {
    ...emptyView,
    backends: {
      b: {
        name: 'b',
        service: 'x.default',
        type: 'endpoints' as const,
        port: 80,
        protocol: 'http1' as const,
        balance: 'round-robin' as const,
        connectTimeoutMs: 1,
        identities: ['spiffe://t/ns/a/sa/b'],
      },
    },
  }
  const { body } = encodeView(view)[typeUrls.cluster].get('b')!
  const text = Buffer.from(body).toString('latin1')
  const changed = (from: string, to: string) => decodeResource(typeUrls.cluster, 'b', Buffer.from(text.replaceAll(from, to), 'latin1'))
  assert.ok('part' in changed('nothing', 'nothing'))
  for (const [from, to, reason] of [
    ['ROOTCA', 'ROOTXX', /validated by the secret "ROOTCA" only/],
    ['http/1.1', 'http/9.9', /ALPN \[http\/9\.9\]/],
    ['80.x.default.mesh', '81.x.default.mesh', /sni "81\.x\.default\.mesh"/],
  ] as const) {
    const result = changed(from, to)
    assert.match('rejected' in result ? result.rejected : 'taken', reason)
  }
})

test('a field of a newer protocol is refused, and so is one resource under the name of another', () => {
  const body = toBinary(ClusterSchema, create(ClusterSchema, { name: 'c' }))
  const newer = Uint8Array.from([...body, 0xf8, 0x3f, 1]) // field 1023, varint
  assert.deepEqual(decodeResource(typeUrls.cluster, 'c', newer), { rejected: 'field 1023: unknown to this version of the proxy' })
  assert.deepEqual(decodeResource(typeUrls.cluster, 'd', body), { rejected: 'name: announced as "d", but is "c"' })
  assert.match(JSON.stringify(decodeResource('type.googleapis.com/x.Y', 'd', body)), /x\.Y is not carried out/)
})

test('bytes of any kind are taken or refused, and never break the reader', () => {
  const seeds = Object.entries(
    encodeView({
      ...emptyView,
      listeners: {
        l: {
          name: 'l',
          direction: 'inbound',
          host: '127.0.0.1',
          port: 1,
          protocol: 'detect',
          tls: { mode: 'permissive' },
          routes: 'r',
          backends: [{ backend: 'b', weight: 2 }],
          service: 's',
        },
      },
      routes: {
        r: {
          name: 'r',
          hosts: [
            {
              name: 'h',
              domains: ['*'],
              routes: [
                {
                  name: 'x',
                  origin: 'o',
                  match: { path: { type: 'prefix', value: '/a' } },
                  filters: [{ type: 'rewrite', path: { type: 'prefix', value: '/' } }],
                  action: { type: 'forward', backends: [{ backend: 'b', weight: 3 }] },
                },
              ],
            },
          ],
        },
      },
    }),
  ).flatMap(([typeUrl, resources]) => [...resources.values()].map(({ name, body }) => ({ typeUrl, name, body })))
  const mutated = fc
    .tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 6 }))
    .map(([seed, changes]) => {
      const body = Uint8Array.from(seed.body)
      for (const [at, byte] of changes) body[at % body.length] = byte
      return { ...seed, body }
    })
  const random = fc.record({
    typeUrl: fc.constantFrom(...Object.values(typeUrls)),
    name: fc.string(),
    body: fc.uint8Array({ maxLength: 200 }),
  })
  fc.assert(
    fc.property(fc.oneof(mutated, random), ({ typeUrl, name, body }) => {
      const result = decodeResource(typeUrl, name, body)
      assert.ok('part' in result || result.rejected.length > 0)
    }),
    { numRuns: 3000 },
  )
})

test('retries, limits and ejection are read with the defaults of Envoy, and what is not carried out of them is refused by name', () => {
  const retryPolicy = { retryOn: '5xx, retriable-status-codes,connect-failure', retriableStatusCodes: [429] }
  assert.deepEqual(routes({ match: { prefix: '/' }, route: { cluster: 'c', retryPolicy } })[0]!.retry, {
    attempts: 1,
    codes: [429],
    on: ['5xx'],
    backoff: { baseMs: 25, maxMs: 250 },
  })
  const cluster = (json: Record<string, JsonValue>) =>
    decoded(typeUrls.cluster, ClusterSchema, { name: 'c', type: 'EDS', edsClusterConfig: { edsConfig: ads }, ...json }).value as Backend
  const detection = (json: Record<string, JsonValue>) => cluster({ outlierDetection: { enforcingSuccessRate: 0, ...json } })
  assert.deepEqual(detection({}).outlierDetection, {
    consecutive5xx: 5,
    consecutiveGatewayErrors: 0,
    consecutiveLocalOriginFailures: 5,
    splitsLocalOrigin: false,
    intervalMs: 10_000,
    baseEjectionMs: 30_000,
    maxEjectionMs: 300_000,
    maxEjectionPercent: 10,
  })
  assert.deepEqual(cluster({ outlierDetection: {} }).outlierDetection?.successRate, {
    minimumHosts: 5,
    requestVolume: 100,
    stdevThousandths: 1900,
  })
  assert.deepEqual(detection({ enforcingConsecutive5xx: 50 }).outlierDetection?.enforcing, { consecutive5xx: 50 })
  assert.deepEqual(detection({ enforcingFailurePercentage: 100, failurePercentageThreshold: 50 }).outlierDetection?.failurePercentage, {
    percent: 50,
    minimumHosts: 5,
    requestVolume: 50,
  })
  assert.throws(() => detection({ enforcingConsecutive5xx: 101 }), /101 \(consecutive5xx\) is no part of a hundred/)
  assert.throws(() => detection({ maxEjectionTimeJitter: '1s' }), /max_ejection_time_jitter: not carried out/)
  const breakers = (json: Record<string, JsonValue>) => cluster({ circuitBreakers: { thresholds: [json] } })
  assert.deepEqual(breakers({ maxRequests: 7 }).limits, { requests: 7 })
  assert.deepEqual(breakers({ retryBudget: {} }).retryConstraint, {
    percent: 20,
    intervalMs: 10_000,
    least: { count: 3, intervalMs: 1000 },
  })
  assert.throws(() => breakers({ priority: 'HIGH' }), /circuit_breakers.thresholds: only those of the default priority/)
  assert.throws(() => breakers({ maxConnectionPools: 1 }), /max_connection_pools: not carried out/)
})

test('a second try beside the first, a chain of clusters and the adaptive limit are read as Envoy has them, and what is not carried out of them is refused by name', () => {
  const route = (more: Record<string, JsonValue>) => routes({ match: { prefix: '/' }, route: { cluster: 'c', timeout: '0s', ...more } })[0]!
  const retryPolicy = { retryOn: 'connect-failure', perTryTimeout: '0.05s', numRetries: 2 }
  const hedged = route({ retryPolicy, hedgePolicy: { hedgeOnPerTryTimeout: true } })
  assert.deepEqual(hedged.hedge, { afterMs: 50, attempts: 2, allMethods: true })
  assert.equal(hedged.timeouts, undefined, 'the time is that of the second try, and no limit of the first')
  assert.deepEqual(route({ retryPolicy, hedgePolicy: {} }).timeouts, { tryMs: 50 })
  assert.throws(() => route({ hedgePolicy: { hedgeOnPerTryTimeout: true } }), /hedge_policy: needs retry_policy.per_try_timeout/)
  assert.throws(() => route({ retryPolicy, hedgePolicy: { initialRequests: 2 } }), /initial_requests: only 1/)
  assert.throws(
    () => route({ retryPolicy, hedgePolicy: { additionalRequestChance: { numerator: 1 } } }),
    /additional_request_chance: not carried out/,
  )

  const chain = (clusters: string[], more: Record<string, JsonValue> = {}) =>
    decoded(typeUrls.cluster, ClusterSchema, {
      name: 'c',
      lbPolicy: 'CLUSTER_PROVIDED',
      clusterType: {
        name: 'envoy.clusters.aggregate',
        typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig', clusters },
      },
      ...more,
    }).value
  assert.deepEqual(chain(['c+own', 'd']), { name: 'c', own: 'c+own', next: 'd' })
  assert.deepEqual(chain(['c+own', 'd+own', 'e']), { name: 'c', own: 'c+own', next: 'd' })
  assert.throws(() => chain(['d', 'e']), /clusters: the first must be called c\+own/)
  assert.throws(() => chain(['c+own']), /clusters: at least two/)
  assert.throws(() => chain(['c+own', 'd', 'e']), /a third is carried out only where the second is an own cluster, d\+own/)
  assert.throws(() => chain(['c+own', 'd'], { lbPolicy: 'ROUND_ROBIN' }), /lb_policy: must be CLUSTER_PROVIDED/)
  assert.throws(() => chain(['c+own', 'd'], { outlierDetection: {} }), /outlier_detection: not carried out/)
})
