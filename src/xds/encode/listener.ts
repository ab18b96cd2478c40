/** Listener → envoy.config.listener.v3.Listener: one filter chain per way of speaking (TLS or not, HTTP or opaque), and the DNS table as a UDP listener. */

import { create, type MessageInitShape } from '@bufbuild/protobuf'
import type { Listener, ServerNames } from '#model/listener'
import type { DnsName } from '#model/view'
import { SocketAddress_Protocol } from '../gen/envoy/config/core/v3/address_pb.ts'
import { TrafficDirection } from '../gen/envoy/config/core/v3/base_pb.ts'
import {
  type FilterChain,
  FilterChainMatchSchema,
  FilterChainSchema,
  type ListenerFilter,
  ListenerFilterSchema,
} from '../gen/envoy/config/listener/v3/listener_components_pb.ts'
import { type Listener as EnvoyListener, ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.ts'
import { RouterSchema } from '../gen/envoy/extensions/filters/http/router/v3/router_pb.ts'
import { HttpInspectorSchema } from '../gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts'
import { ProxyProtocolSchema } from '../gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.ts'
import { TlsInspectorSchema } from '../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts'
import {
  HttpConnectionManager_CodecType,
  HttpConnectionManager_ForwardClientCertDetails as Certificate,
  HttpConnectionManager_PathWithEscapedSlashesAction as Escaped,
  HttpConnectionManager_ServerHeaderTransformation,
  HttpConnectionManagerSchema,
} from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { TcpProxySchema } from '../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'
import { DnsFilterConfigSchema } from '../gen/envoy/extensions/filters/udp/dns_filter/v3/dns_filter_pb.ts'
import { dnsListener, invalidCluster } from '../types.ts'
import { networkAccess, toldLabels } from './access.ts'
import { encodeTcpHash } from './affinity.ts'
import { encodeConcurrency } from './concurrency.ts'
import { encodeDatagrams } from './datagrams.ts'
import { egressLabel, encodeWayOut, networkEgress, sleepingEgress } from './egress.ts'
import { encodeGateway } from './gateway.ts'
import { connectionFilters, httpFiltersOf } from './per-route.ts'
import { encodeLimitService } from './rate-limit.ts'
import { duration, fromAds, labels, typed } from './source.ts'
import { encodeAccessLog, encodeTracing, telemetryLabels } from './telemetry.ts'
import { downstreamTls } from './tls.ts'
import { tokenLabels } from './tokens.ts'

type Transport = 'tls' | 'raw_buffer'
type Payload = 'http' | 'tcp'

/** What the bytes of each protocol may turn out to be. */
export const payloadsOf: Readonly<Record<Exclude<Listener['protocol'], 'udp'>, readonly Payload[]>> = {
  http: ['http'],
  http2: ['http'],
  grpc: ['http'],
  tcp: ['tcp'],
  tls: ['tcp'],
  detect: ['http', 'tcp'],
}

/** What the inspectors call HTTP: in clear from its first bytes, in TLS from the ALPN of the hello. */
export const httpNames = { raw_buffer: ['http/1.0', 'http/1.1', 'h2c'], tls: ['http/1.1', 'h2'] } as const

export const proxyProtocolFilter = 'envoy.filters.listener.proxy_protocol'
const httpInspector = create(ListenerFilterSchema, {
  name: 'envoy.filters.listener.http_inspector',
  configType: typed(HttpInspectorSchema, create(HttpInspectorSchema)),
})
const tlsInspector = create(ListenerFilterSchema, {
  name: 'envoy.filters.listener.tls_inspector',
  configType: typed(TlsInspectorSchema, create(TlsInspectorSchema)),
})

const proxyProtocol = create(ListenerFilterSchema, {
  name: proxyProtocolFilter,
  configType: typed(ProxyProtocolSchema, create(ProxyProtocolSchema)),
})

export function encodeListener(listener: Listener): EnvoyListener {
  if (listener.egress !== undefined && listener.host === anyHost)
    return encodeWayOut(listener, listener.egress, {
      inspectors: [tlsInspector, httpInspector],
      httpNames: httpNames.raw_buffer,
      httpFilter,
      tcpFilter,
    })
  if (listener.serverNames !== undefined) return encodeByName(listener, listener.serverNames)
  const { protocol } = listener
  if (protocol === 'udp') return encodeDatagrams(listener)
  if (listener.direction === 'gateway' && protocol === 'http')
    return encodeGateway(
      listener,
      tlsInspector,
      routes => httpFilter({ ...listener, routes }),
      ({ backends = [], hash }) => tcpFilter({ ...listener, backends, ...(hash === undefined ? {} : { hash }) }),
    )
  const payloads = payloadsOf[protocol]
  const detects = payloads.length > 1
  const transports: readonly Transport[] =
    listener.tls === undefined ? ['raw_buffer'] : listener.tls.mode === 'strict' ? ['tls'] : ['tls', 'raw_buffer']
  const chains = transports.flatMap(transport =>
    payloads.map(payload =>
      chainOf(listener, transport, payload, { saysTransport: transports.length > 1, mayBeHttp: payloads.includes('http') }),
    ),
  )
  const inspectors: ListenerFilter[] = listener.proxyProtocol === true ? [proxyProtocol] : []
  if (listener.tls?.mode === 'permissive' || (listener.tls !== undefined && detects)) inspectors.push(tlsInspector)
  if (detects && transports.includes('raw_buffer')) inspectors.push(httpInspector)
  // With one transport, what is not HTTP goes to the default chain; with two, every chain says its own.
  const fallback = detects && transports.length === 1 ? chains.pop() : undefined
  return create(ListenerSchema, {
    ...place(listener),
    filterChains: chains,
    ...(fallback === undefined ? {} : { defaultFilterChain: fallback }),
    listenerFilters: inspectors,
    // A server may speak first: a client that stays silent is not HTTP, and is waited for only this long.
    ...(inspectors.length > 0
      ? { listenerFiltersTimeout: duration(500), continueOnListenerFiltersTimeout: listener.proxyProtocol !== true }
      : {}),
    metadata: labelsFor(listener),
  })
}

/** Of a listener that stands for all addresses of a port. */
const anyHost = '0.0.0.0'

/** A chain for each set of server names; what names none of them goes to the default chain, or is closed. */
function encodeByName(listener: Listener, serverNames: readonly ServerNames[]): EnvoyListener {
  const chain = (name: string, { backends }: Pick<Listener, 'backends'>, match?: FilterChain['filterChainMatch']): FilterChain =>
    create(FilterChainSchema, {
      name,
      ...(match === undefined ? {} : { filterChainMatch: match }),
      filters: [
        ...networkEgress(listener.egress, listener.name),
        ...connectionFilters(listener),
        tcpFilter({ ...listener, backends: backends ?? [] }),
      ],
    })
  return create(ListenerSchema, {
    ...place(listener),
    filterChains: serverNames.map(share =>
      chain(share.names[0]!, share, create(FilterChainMatchSchema, { serverNames: [...share.names] })),
    ),
    ...(listener.backends === undefined ? {} : { defaultFilterChain: chain('other names', listener) }),
    listenerFilters: [tlsInspector],
    metadata: labelsFor(listener),
  })
}

const labelsFor = (listener: Listener) => {
  const { service, protocol, direction, egress, tokens, tellsWhy } = listener
  return labels({
    service,
    protocol,
    ...telemetryLabels(listener),
    ...tokenLabels(tokens),
    ...toldLabels(tellsWhy),
    ...(direction === 'gateway' ? { direction } : {}),
    ...egressLabel(egress),
  })
}

const place = ({ name, host, port, direction, isBound }: Listener) => ({
  name,
  address: {
    address: { case: 'socketAddress' as const, value: { address: host, portSpecifier: { case: 'portValue' as const, value: port } } },
  },
  trafficDirection: direction === 'outbound' ? TrafficDirection.OUTBOUND : TrafficDirection.INBOUND,
  ...(direction === 'outbound' && isBound !== true ? { bindToPort: false } : {}),
})

function chainOf(
  listener: Listener,
  transport: Transport,
  payload: Payload,
  { saysTransport, mayBeHttp }: { readonly saysTransport: boolean; readonly mayBeHttp: boolean },
): FilterChain {
  const names = listener.protocol === 'detect' && payload === 'http' ? httpNames[transport] : []
  const match = {
    ...(saysTransport ? { transportProtocol: transport } : {}),
    ...(names.length > 0 ? { applicationProtocols: [...names] } : {}),
  }
  const alpn = mayBeHttp ? ['h2', 'http/1.1'] : []
  return create(FilterChainSchema, {
    name: `${transport}/${payload}`,
    ...(Object.keys(match).length > 0 ? { filterChainMatch: match } : {}),
    ...(transport === 'tls' ? { transportSocket: downstreamTls(alpn, listener.tls?.profile) } : {}),
    filters:
      payload === 'http'
        ? [httpFilter(listener, listener.egress === undefined ? [] : sleepingEgress)]
        : [
            ...networkAccess(listener.access, listener.name),
            ...networkEgress(listener.egress, listener.name),
            ...connectionFilters(listener),
            tcpFilter(listener),
          ],
  })
}

/** more: asleep, or about where it goes, in front of the router. */
function httpFilter(listener: Listener, more: NonNullable<MessageInitShape<typeof HttpConnectionManagerSchema>['httpFilters']> = []) {
  if (listener.routes === undefined) throw new Error(`listener ${listener.name}: protocol ${listener.protocol} needs a route table`)
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: listener.name,
    codecType:
      listener.protocol === 'http2' || listener.protocol === 'grpc'
        ? HttpConnectionManager_CodecType.HTTP2
        : HttpConnectionManager_CodecType.AUTO,
    routeSpecifier: { case: 'rds', value: { configSource: fromAds, routeConfigName: listener.routes } },
    httpFilters: [
      ...encodeConcurrency(listener.concurrency),
      ...httpFiltersOf(listener.direction, listener.tokens, listener.authorizers, listener.logins),
      ...encodeLimitService(listener.limitService),
      ...more,
      { name: 'envoy.filters.http.router', configType: typed(RouterSchema, create(RouterSchema)) },
    ],
    serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH,
    // Who called is written from its certificate, whatever the caller says.
    ...(listener.direction === 'inbound'
      ? { forwardClientCertDetails: Certificate.SANITIZE_SET, setCurrentClientCertDetails: { uri: true } }
      : {}),
    // What comes from outside speaks for itself: who called is written from the address it came from.
    ...(listener.direction === 'gateway' ? atEdge(listener) : {}),
    upgradeConfigs: [{ upgradeType: 'websocket' }],
    ...encodeAccessLog(listener, 'requests'),
    ...encodeTracing(listener),
  })
  return { name: 'envoy.filters.network.http_connection_manager', configType: typed(HttpConnectionManagerSchema, manager) }
}

/** As `spellAtEdge` has it. It does not ask by which route the other reading of a path would go: where routes guard something, what has one is refused. */
const atEdge = ({ tokens = [], logins = [], authorizers = [] }: Listener) => ({
  useRemoteAddress: true,
  normalizePath: true,
  mergeSlashes: true,
  stripTrailingHostDot: true,
  pathWithEscapedSlashesAction: [...tokens, ...logins, ...authorizers].length > 0 ? Escaped.REJECT_REQUEST : Escaped.KEEP_UNCHANGED,
})

function tcpFilter(listener: Listener) {
  // Envoy takes no weight of zero here; such a backend gets nothing either way.
  const backends = (listener.backends ?? []).filter(({ weight }) => weight > 0)
  const only = backends.length === 1 && backends[0]!.weight === 1 ? backends[0] : undefined
  const proxy = create(TcpProxySchema, {
    statPrefix: listener.name,
    clusterSpecifier:
      backends.length === 0 || only
        ? { case: 'cluster', value: only?.backend ?? invalidCluster }
        : {
            case: 'weightedClusters',
            value: { clusters: backends.map(({ backend, weight }) => ({ name: backend ?? invalidCluster, weight })) },
          },
    ...(listener.idleMs === undefined ? {} : { idleTimeout: duration(listener.idleMs) }),
    ...encodeTcpHash(listener),
    ...encodeAccessLog(listener, 'connections'),
  })
  return { name: 'envoy.filters.network.tcp_proxy', configType: typed(TcpProxySchema, proxy) }
}

/** host: where it is answered; of proxies that have an answer of their own it says nothing. */
export function encodeDns(names: readonly DnsName[], host = '127.0.0.1'): EnvoyListener {
  const config = create(DnsFilterConfigSchema, {
    statPrefix: dnsListener,
    serverConfig: {
      configSource: {
        case: 'inlineDnsTable',
        value: {
          virtualDomains: names.map(({ name, addresses }) => ({
            name,
            ...(addresses.length > 0
              ? { endpoint: { endpointConfig: { case: 'addressList' as const, value: { address: [...addresses] } } } }
              : {}),
          })),
        },
      },
    },
  })
  return create(ListenerSchema, {
    name: dnsListener,
    address: {
      address: {
        case: 'socketAddress',
        value: { protocol: SocketAddress_Protocol.UDP, address: host, portSpecifier: { case: 'portValue', value: 15053 } },
      },
    },
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [{ name: 'envoy.filters.udp.dns_filter', configType: typed(DnsFilterConfigSchema, config) }],
  })
}
