/** A listener of datagrams → Envoy's: outbound its UDP proxy, which tunnels them to the other proxy; inbound HTTP/2 that takes CONNECT-UDP and leads it to the workload's port. */

import { create } from '@bufbuild/protobuf'
import type { Listener } from '#model/listener'
import { SocketAddress_Protocol } from '../gen/envoy/config/core/v3/address_pb.ts'
import { TrafficDirection } from '../gen/envoy/config/core/v3/base_pb.ts'
import { type Listener as EnvoyListener, ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.ts'
import { UdpListenerConfigSchema } from '../gen/envoy/config/listener/v3/udp_listener_config_pb.ts'
import {
  RouteAction_UpgradeConfig_ConnectConfigSchema,
  RouteActionSchema,
  RouteMatchSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.ts'
import { RouterSchema } from '../gen/envoy/extensions/filters/http/router/v3/router_pb.ts'
import {
  HttpConnectionManager_CodecType,
  HttpConnectionManagerSchema,
} from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { FilterConfigSchema as HttpCapsuleSchema } from '../gen/envoy/extensions/filters/udp/udp_proxy/session/http_capsule/v3/http_capsule_pb.ts'
import { UdpProxyConfigSchema } from '../gen/envoy/extensions/filters/udp/udp_proxy/v3/udp_proxy_pb.ts'
import { invalidCluster } from '../types.ts'
import { httpAccess } from './access.ts'
import { encodeUdpHash } from './affinity.ts'
import { egressLabel } from './egress.ts'
import { bytesFault } from './per-route.ts'
import { duration, labels, typed } from './source.ts'
import { encodeAccessLog, telemetryLabels } from './telemetry.ts'
import { downstreamTls } from './tls.ts'

export const udpProxyFilter = 'envoy.filters.udp_listener.udp_proxy'
export const capsuleFilter = 'envoy.filters.udp.session.http_capsule'
export const upgradeType = 'CONNECT-UDP'

export const encodeDatagrams = (listener: Listener): EnvoyListener =>
  listener.direction === 'inbound' ? encodeInbound(listener) : encodeOutbound(listener)

const addressOf = ({ host, port }: Listener, protocol: SocketAddress_Protocol) => ({
  address: {
    case: 'socketAddress' as const,
    value: { protocol, address: host, portSpecifier: { case: 'portValue' as const, value: port } },
  },
})

function encodeOutbound(listener: Listener): EnvoyListener {
  const { name, host, port, service, idleMs, direction, isBound, backends = [] } = listener
  const only = backends.length === 1 && backends[0]!.weight === 1
  const proxy = create(UdpProxyConfigSchema, {
    statPrefix: name,
    // Envoy knows one cluster: of several it is told the heaviest, and the label says all.
    routeSpecifier: { case: 'cluster', value: backends.toSorted((a, b) => b.weight - a.weight)[0]?.backend ?? invalidCluster },
    ...(idleMs === undefined ? {} : { idleTimeout: duration(idleMs) }),
    ...encodeUdpHash(listener),
    ...encodeAccessLog(listener, 'connections'),
    sessionFilters: [
      ...(listener.fault === undefined ? [] : [bytesFault(listener.fault)]),
      { name: capsuleFilter, configType: typed(HttpCapsuleSchema, create(HttpCapsuleSchema)) },
    ],
    tunnelingConfig: {
      proxyHost: `${service}:${port}`,
      targetHost: host,
      defaultTargetPort: port,
      bufferOptions: { maxBufferedDatagrams: 64, maxBufferedBytes: 65_536n },
      retryOptions: { maxConnectAttempts: 4 },
    },
  })
  return create(ListenerSchema, {
    name,
    address: addressOf(listener, SocketAddress_Protocol.UDP),
    trafficDirection: direction === 'gateway' ? TrafficDirection.INBOUND : TrafficDirection.OUTBOUND,
    // Who sends to a Gateway comes to its own port.
    ...(direction === 'gateway' || isBound === true ? { udpListenerConfig: create(UdpListenerConfigSchema) } : { bindToPort: false }),
    listenerFilters: [{ name: udpProxyFilter, configType: typed(UdpProxyConfigSchema, proxy) }],
    metadata: labels({
      service,
      protocol: 'udp',
      ...telemetryLabels(listener),
      ...(direction === 'gateway' ? { direction } : {}),
      ...(only ? {} : { backends: backends.map(({ backend, weight }) => ({ backend: backend ?? invalidCluster, weight })) }),
      ...egressLabel(listener.egress),
    }),
  })
}

function encodeInbound(listener: Listener): EnvoyListener {
  const { name, service, backends = [], access } = listener
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: name,
    codecType: HttpConnectionManager_CodecType.HTTP2,
    http2ProtocolOptions: { allowConnect: true },
    routeSpecifier: {
      case: 'routeConfig',
      value: create(RouteConfigurationSchema, {
        name,
        virtualHosts: [
          {
            name: '*',
            domains: ['*'],
            routes: [
              {
                match: create(RouteMatchSchema, { pathSpecifier: { case: 'connectMatcher', value: {} } }),
                action: {
                  case: 'route',
                  value: create(RouteActionSchema, {
                    clusterSpecifier: { case: 'cluster', value: backends[0]?.backend ?? invalidCluster },
                    upgradeConfigs: [{ upgradeType, connectConfig: create(RouteAction_UpgradeConfig_ConnectConfigSchema) }],
                  }),
                },
              },
            ],
          },
        ],
      }),
    },
    httpFilters: [...httpAccess(access), { name: 'envoy.filters.http.router', configType: typed(RouterSchema, create(RouterSchema)) }],
    upgradeConfigs: [{ upgradeType }],
    ...encodeAccessLog(listener, 'connections'),
  })
  return create(ListenerSchema, {
    name,
    address: addressOf(listener, SocketAddress_Protocol.TCP),
    trafficDirection: TrafficDirection.INBOUND,
    filterChains: [
      {
        name: 'tls/udp',
        transportSocket: downstreamTls(['h2'], listener.tls?.profile),
        filters: [{ name: 'envoy.filters.network.http_connection_manager', configType: typed(HttpConnectionManagerSchema, manager) }],
      },
    ],
    metadata: labels({ service, protocol: 'udp', ...telemetryLabels(listener) }),
  })
}
