/** Envoy's UDP proxy that tunnels, and HTTP/2 that takes CONNECT-UDP, → a listener of datagrams. */

import type { JsonObject } from '@bufbuild/protobuf'
import type { Listener } from '#model/listener'
import type { WeightedBackend } from '#model/route'
import { upgradeType } from '../encode/datagrams.ts'
import { SocketAddress_Protocol } from '../gen/envoy/config/core/v3/address_pb.ts'
import { TrafficDirection } from '../gen/envoy/config/core/v3/base_pb.ts'
import { Http2ProtocolOptionsSchema } from '../gen/envoy/config/core/v3/protocol_pb.ts'
import { FilterChainSchema } from '../gen/envoy/config/listener/v3/listener_components_pb.ts'
import { type Listener as EnvoyListener, ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.ts'
import {
  RouteAction_UpgradeConfig_ConnectConfigSchema,
  RouteAction_UpgradeConfigSchema,
  RouteActionSchema,
  RouteSchema,
  VirtualHostSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.ts'
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { FilterConfigSchema as HttpCapsuleSchema } from '../gen/envoy/extensions/filters/udp/udp_proxy/session/http_capsule/v3/http_capsule_pb.ts'
import { type UdpProxyConfig, UdpProxyConfigSchema } from '../gen/envoy/extensions/filters/udp/udp_proxy/v3/udp_proxy_pb.ts'
import { decodeAccessFilters } from './access.ts'
import { decodeOpaqueHash } from './affinity.ts'
import { perRoute } from '../encode/per-route.ts'
import { decodeConnectionFault } from './per-route.ts'
import { carries, hostAndPort, msOf, refuse, typeName, unpack } from './carried.ts'
import { labelsOf, textLabel } from './words.ts'
import { backendNamed } from './network-filters.ts'
import { checkDownstream } from './tls.ts'

const checkOutbound = carries(ListenerSchema, [
  'name',
  'address',
  'stat_prefix',
  'metadata',
  'listener_filters',
  'traffic_direction',
  'bind_to_port',
  'udp_listener_config',
  'enable_reuse_port',
])
const checkProxy = carries(UdpProxyConfigSchema, [
  'stat_prefix',
  'cluster',
  'idle_timeout',
  'hash_policies',
  'upstream_socket_config',
  'session_filters',
  'tunneling_config',
  // Read by telemetry.ts.
  'access_log',
])
const checkInbound = carries(ListenerSchema, [
  'name',
  'address',
  'stat_prefix',
  'filter_chains',
  'metadata',
  'traffic_direction',
  'bind_to_port',
  'enable_reuse_port',
  'tcp_backlog_size',
  'connection_balance_config',
])
const checkChain = carries(FilterChainSchema, ['name', 'filters', 'transport_socket', 'metadata'])
const checkManager = carries(HttpConnectionManagerSchema, [
  'codec_type',
  'stat_prefix',
  'http2_protocol_options',
  'route_config',
  'http_filters',
  'server_header_transformation',
  'upgrade_configs',
  'generate_request_id',
  'use_remote_address',
  'access_log',
])
const checkOptions = carries(Http2ProtocolOptionsSchema, ['allow_connect'])
const checkTable = carries(RouteConfigurationSchema, ['name', 'virtual_hosts', 'ignore_port_in_host_matching'])
const checkHost = carries(VirtualHostSchema, ['name', 'domains', 'routes'])
const checkRoute = carries(RouteSchema, ['name', 'match', 'route'])
const checkAction = carries(RouteActionSchema, ['cluster', 'upgrade_configs', 'cluster_not_found_response_code'])
const checkUpgrade = carries(RouteAction_UpgradeConfigSchema, ['upgrade_type', 'enabled', 'connect_config'])
const checkConnect = carries(RouteAction_UpgradeConfig_ConnectConfigSchema, [])

/** A UDP listener with `envoy.filters.udp_listener.udp_proxy`. */
export function decodeUdpProxy(message: EnvoyListener): Listener {
  checkOutbound(message, '')
  const at = 'listener_filters[0]'
  const [filter, ...others] = message.listenerFilters
  if (others.length > 0 || filter?.configType.case !== 'typedConfig') refuse('listener_filters', 'the UDP proxy must be the only one')
  const labels = labelsOf(message.metadata, 'listener')
  const isGateway = textLabel(labels, 'direction') === 'gateway'
  if (message.trafficDirection !== TrafficDirection.OUTBOUND && !isGateway)
    refuse('traffic_direction', 'must be OUTBOUND: datagrams come in by CONNECT-UDP over mutual TLS')
  const proxy = unpack(filter.configType.value, UdpProxyConfigSchema, at)
  checkProxy(proxy, at)
  const place = hostAndPort(message.address, 'address', SocketAddress_Protocol.UDP)
  const { routeSpecifier, idleTimeout } = proxy
  if (routeSpecifier.case !== 'cluster') refuse(at, 'a cluster is needed')
  checkTunnel(proxy, place, at)
  const idleMs = idleTimeout === undefined ? undefined : msOf(idleTimeout)
  if (idleMs === 0) refuse(`${at}.idle_timeout`, 'must be above 0: nobody says when a session is over')
  const shares = sharesIn(labels, routeSpecifier.value)
  return {
    name: message.name,
    direction: isGateway ? 'gateway' : 'outbound',
    ...place,
    protocol: 'udp',
    backends: shares ?? [{ backend: backendNamed(routeSpecifier.value), weight: 1 }],
    ...(idleMs === undefined ? {} : { idleMs }),
    ...decodeOpaqueHash(proxy.hashPolicies, `${at}.hash_policies`),
    service: textLabel(labels, 'service') ?? '',
    ...faultIn(proxy, at),
  }
}

function faultIn({ sessionFilters: [first] }: UdpProxyConfig, at: string): Pick<Listener, 'fault'> {
  if (first?.name !== perRoute.weftFault || first.configType.case !== 'typedConfig') return {}
  return { fault: decodeConnectionFault(first.configType.value, `${at}.session_filters[0]`) }
}

/** Whether a cluster is reached by a tunnel is said by the cluster; here that the two agree on what is in it. */
function checkTunnel(proxy: UdpProxyConfig, { host, port }: { host: string; port: number }, at: string): void {
  const { tunnelingConfig: tunnel, sessionFilters } = proxy
  const filters = sessionFilters
    .filter(({ name }, index) => index > 0 || name !== perRoute.weftFault)
    .map(({ configType }) => (configType.case === 'typedConfig' ? typeName(configType.value) : ''))
  const wanted = tunnel === undefined ? [] : [HttpCapsuleSchema.typeName]
  if (filters.join() !== wanted.join())
    refuse(`${at}.session_filters`, tunnel === undefined ? 'none is carried out' : 'http_capsule, and no other, is carried out in a tunnel')
  if (tunnel === undefined) return
  if (tunnel.usePost || tunnel.postPath !== '') refuse(`${at}.tunneling_config.use_post`, 'not carried out by this proxy: CONNECT-UDP only')
  if (tunnel.headersToAdd.length > 0) refuse(`${at}.tunneling_config.headers_to_add`, 'not carried out by this proxy')
  if (tunnel.targetHost !== host || (port !== 0 && tunnel.defaultTargetPort !== port))
    refuse(`${at}.tunneling_config`, `target_host and default_target_port must be the listener's own address, ${host} and ${port}`)
}

/** Several clusters by weight, which Envoy has no field for. */
function sharesIn(labels: JsonObject, cluster: string): readonly WeightedBackend[] | undefined {
  const said = labels['backends']
  if (said === undefined) return undefined
  const shares = (Array.isArray(said) ? said : []).map(each => {
    const share = typeof each === 'object' && each !== null && !Array.isArray(each) ? each : {}
    const { backend, weight } = share
    if (typeof backend !== 'string' || typeof weight !== 'number' || !Number.isInteger(weight) || weight < 0)
      return refuse('metadata', 'backends must be a list of a backend and a whole weight each')
    return { backend: backendNamed(backend), weight }
  })
  const heaviest = shares.toSorted((a, b) => b.weight - a.weight)[0]?.backend
  if (heaviest !== backendNamed(cluster)) refuse('metadata', `the heaviest of backends is not the cluster, ${cluster}`)
  return shares
}

/** The manager of a chain that takes CONNECT-UDP; undefined: the listener is another. */
export function connectUdpOf(message: EnvoyListener): HttpConnectionManager | undefined {
  const config = message.filterChains[0]?.filters[0]?.configType
  if (config?.case !== 'typedConfig' || typeName(config.value) !== HttpConnectionManagerSchema.typeName) return undefined
  const manager = unpack(config.value, HttpConnectionManagerSchema, 'filter_chains[0].filters[0]')
  return manager.upgradeConfigs.some(upgrade => upgrade.upgradeType.toUpperCase() === upgradeType) ? manager : undefined
}

/** manager: from `connectUdpOf`. */
export function decodeConnectUdp(message: EnvoyListener, manager: HttpConnectionManager): Listener {
  checkInbound(message, '')
  const at = 'filter_chains[0].filters[0]'
  const [chain, ...chains] = message.filterChains
  if (chains.length > 0 || chain!.filters.length > 1) refuse('filter_chains', `${upgradeType} is carried out in one chain with one filter`)
  checkChain(chain!, 'filter_chains[0]')
  const profile = checkDownstream(chain!.transportSocket, 'filter_chains[0].transport_socket')
  if (profile === undefined || message.trafficDirection !== TrafficDirection.INBOUND)
    refuse('filter_chains[0].transport_socket', `${upgradeType} is carried out over mutual TLS, INBOUND only`)
  checkManager(manager, at)
  if (manager.http2ProtocolOptions !== undefined) checkOptions(manager.http2ProtocolOptions, `${at}.http2_protocol_options`)
  if (manager.http2ProtocolOptions?.allowConnect !== true) refuse(`${at}.http2_protocol_options`, `${upgradeType} needs allow_connect`)
  if (manager.upgradeConfigs.length > 1) refuse(`${at}.upgrade_configs`, `${upgradeType} is carried out alone`)
  const filter = manager.httpFilters.at(-1)
  if (filter?.configType.case !== 'typedConfig' || !filter.configType.value.typeUrl.endsWith('.router.v3.Router'))
    refuse(`${at}.http_filters`, 'the router must be the last')
  const labels = labelsOf(message.metadata, 'listener')
  return {
    name: message.name,
    direction: 'inbound',
    ...hostAndPort(message.address, 'address'),
    protocol: 'udp',
    tls: { mode: 'strict', ...(profile === 'modern' ? {} : { profile }) },
    backends: [{ backend: clusterOf(manager, at), weight: 1 }],
    service: textLabel(labels, 'service') ?? '',
    ...decodeAccessFilters(manager.httpFilters.slice(0, -1), 'http', `${at}.http_filters`),
  }
}

/** Of the one route that every session takes. */
function clusterOf({ routeSpecifier }: HttpConnectionManager, at: string): string | undefined {
  const where = `${at}.route_config`
  if (routeSpecifier.case !== 'routeConfig') refuse(where, `${upgradeType} goes by a table in the listener itself`)
  const table = routeSpecifier.value
  checkTable(table, where)
  const [host, ...hosts] = table.virtualHosts
  const [route, ...routes] = host?.routes ?? []
  if (host === undefined || route === undefined || hosts.length + routes.length > 0)
    refuse(where, 'one virtual host with one route is carried out')
  checkHost(host, `${where}.virtual_hosts[0]`)
  const here = `${where}.virtual_hosts[0].routes[0]`
  checkRoute(route, here)
  if (host.domains.join() !== '*' || route.match?.pathSpecifier.case !== 'connectMatcher' || route.match.headers.length > 0)
    refuse(here, 'must match every CONNECT of every host: connect_matcher')
  if (route.action.case !== 'route') refuse(here, 'must lead to a cluster')
  const action = route.action.value
  checkAction(action, here)
  const [upgrade, ...upgrades] = action.upgradeConfigs
  if (
    upgrade === undefined ||
    upgrades.length > 0 ||
    upgrade.upgradeType.toUpperCase() !== upgradeType ||
    upgrade.connectConfig === undefined
  )
    refuse(`${here}.upgrade_configs`, `must be ${upgradeType} with connect_config: datagrams are taken out of it here`)
  checkUpgrade(upgrade, `${here}.upgrade_configs[0]`)
  checkConnect(upgrade.connectConfig, `${here}.upgrade_configs[0].connect_config`)
  return action.clusterSpecifier.case === 'cluster' ? backendNamed(action.clusterSpecifier.value) : refuse(here, 'a cluster is needed')
}
