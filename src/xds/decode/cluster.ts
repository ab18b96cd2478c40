/** Cluster → Backend and ClusterLoadAssignment → EndpointSet. */

import type { Backend, Endpoint, EndpointSet, Health } from '#model/backend'
import { httpOptions } from '../encode/cluster.ts'
import { namesKept } from '../encode/egress.ts'
import { nameOfOwn } from '../encode/fallback.ts'
import { type Cluster, Cluster_DiscoveryType, ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import { SocketAddress_Protocol } from '../gen/envoy/config/core/v3/address_pb.ts'
import { HealthStatus } from '../gen/envoy/config/core/v3/health_check_pb.ts'
import {
  EndpointSchema,
  type LbEndpoint,
  LbEndpointSchema,
  LocalityLbEndpointsSchema,
} from '../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts'
import { type ClusterLoadAssignment, ClusterLoadAssignmentSchema } from '../gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import {
  HttpProtocolOptions_ExplicitHttpConfigSchema,
  HttpProtocolOptions_UseDownstreamHttpConfigSchema,
  HttpProtocolOptionsSchema,
} from '../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts'
import { alpnOf, meshTls, serverNameOf, socketMetadata } from '../types.ts'
import { balanceOf } from './balance.ts'
import { carries, hostAndPort, msOf, mustBeAds, refuse, unpack } from './carried.ts'
import { labelsOf, textLabel } from './words.ts'
import { healthCheckOf } from './health-check.ts'
import { decodeResilience } from './resilience.ts'
import { isOrigination, originationOf, outsideType } from './outside.ts'
import { headerOf, isPlaintext, upstreamOf } from './tls.ts'

const checkCluster = carries(ClusterSchema, [
  'name',
  'alt_stat_name',
  'type',
  'cluster_type',
  'dns_lookup_family',
  'eds_cluster_config',
  'load_assignment',
  'lb_policy',
  'round_robin_lb_config',
  'least_request_lb_config',
  'ring_hash_lb_config',
  'maglev_lb_config',
  'load_balancing_policy',
  'common_lb_config',
  'connect_timeout',
  'circuit_breakers',
  'outlier_detection',
  'health_checks',
  'typed_extension_protocol_options',
  'http2_protocol_options',
  'transport_socket_matches',
  'transport_socket',
  'metadata',
])
const checkOptions = carries(HttpProtocolOptionsSchema, [
  'explicit_http_config',
  'use_downstream_protocol_config',
  'upstream_http_protocol_options',
])
const checkExplicit = carries(HttpProtocolOptions_ExplicitHttpConfigSchema, ['http_protocol_options', 'http2_protocol_options'])
const checkDownstream = carries(HttpProtocolOptions_UseDownstreamHttpConfigSchema, ['http_protocol_options', 'http2_protocol_options'])
const checkAssignment = carries(ClusterLoadAssignmentSchema, ['cluster_name', 'endpoints'])
// A weight of the locality counts only with locality_weighted_lb_config, which no cluster that is accepted can have.
const checkGroup = carries(LocalityLbEndpointsSchema, ['locality', 'lb_endpoints', 'metadata', 'load_balancing_weight', 'priority'])
const checkLbEndpoint = carries(LbEndpointSchema, ['endpoint', 'health_status', 'metadata', 'load_balancing_weight'])
const checkEndpoint = carries(EndpointSchema, ['address', 'hostname'])

export function decodeBackend(message: Cluster): Backend {
  checkCluster(message, '')
  const labels = labelsOf(message.metadata, 'cluster')
  const type = typeOf(message)
  const place = type === 'local' ? localPlace(message.loadAssignment) : undefined
  const local = place?.port
  const protocol = protocolOf(message, textLabel(labels, 'protocol'), place?.isUdp)
  const port = typeof labels['port'] === 'number' ? labels['port'] : (local ?? 0)
  if (local !== undefined && local !== port) refuse('load_assignment', `leads to port ${local}, the label says ${port}`)
  const service = textLabel(labels, 'service') ?? ''
  return {
    name: message.name,
    service,
    type,
    port,
    protocol,
    ...(type === 'named' || type === 'original' ? { balance: 'round-robin' as const } : balanceOf(message, type)),
    ...(type === 'hosts' ? { hosts: decodeHosts(message) } : {}),
    ...(type === 'endpoints' || type === 'local' ? {} : { isExternal: true as const }),
    ...(labels['external'] === true ? { isExternal: true as const } : {}),
    ...(labels['tlsInside'] === true ? { ...insideTlsOf(message, protocol), isTlsInside: true as const } : tlsOf(message, protocol)),
    connectTimeoutMs: message.connectTimeout === undefined ? 5000 : msOf(message.connectTimeout),
    ...provenOf(message, { port, service, protocol }, labels['tlsInside'] === true),
    ...proxyProtocolOf(message),
    ...decodeResilience(message, labels),
    ...(type === 'local' ? {} : healthCheckOf(message, { protocol, service })),
  }
}

function typeOf(message: Cluster): Backend['type'] {
  const outside = outsideType(message)
  if (outside !== undefined) return outside
  const type =
    message.clusterDiscoveryType.case === 'type'
      ? message.clusterDiscoveryType.value
      : message.clusterDiscoveryType.case === undefined
        ? Cluster_DiscoveryType.STATIC
        : -1
  if (type === Cluster_DiscoveryType.STATIC) return 'local'
  if (type !== Cluster_DiscoveryType.EDS) refuse('type', 'only EDS, and STATIC for the workload itself, are carried out')
  const name = message.edsClusterConfig?.serviceName ?? ''
  if (name !== '' && name !== nameOfOwn(message.name))
    refuse('eds_cluster_config.service_name', 'must be the name of the cluster or absent')
  mustBeAds(message.edsClusterConfig?.edsConfig, 'eds_cluster_config.eds_config')
  if (message.loadAssignment !== undefined) refuse('load_assignment', 'not carried out beside EDS')
  return 'endpoints'
}

/** Of a cluster outside the mesh, by name. */
function decodeHosts({ loadAssignment, dnsLookupFamily }: Cluster): readonly Endpoint[] {
  if (loadAssignment === undefined) refuse('load_assignment', 'is missing')
  if (dnsLookupFamily !== namesKept.dnsLookupFamily) refuse('dns_lookup_family', 'only V4_PREFERRED is carried out')
  return decodeEndpoints(loadAssignment, SocketAddress_Protocol.TCP, true).endpoints
}

function tlsOf({ transportSocket }: Cluster, protocol: Backend['protocol']): Pick<Backend, 'tls'> {
  const tls = originationOf(transportSocket, protocol, 'transport_socket')
  return tls === undefined ? {} : { tls }
}

/** Of those that have no proxy; inside the mutual TLS of the mesh the same. */
function insideTlsOf({ transportSocketMatches }: Cluster, protocol: Backend['protocol']): Pick<Backend, 'tls'> {
  const tls = originationOf(transportSocketMatches.at(-1)?.transportSocket, protocol, 'transport_socket_matches')
  return tls === undefined ? {} : { tls }
}

/** STATIC is the workload behind the proxy and nothing else. */
function localPlace(assignment: ClusterLoadAssignment | undefined): { readonly port: number; readonly isUdp: boolean } {
  const [group, ...groups] = assignment?.endpoints ?? []
  const [entry, ...entries] = group?.lbEndpoints ?? []
  if (assignment === undefined || entry === undefined || groups.length > 0 || entries.length > 0)
    refuse('load_assignment', 'a STATIC cluster must have exactly one endpoint')
  const { hostIdentifier } = entry
  const address = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined
  const isUdp = address?.case === 'socketAddress' && address.value.protocol === SocketAddress_Protocol.UDP
  const [endpoint] = decodeEndpoints(assignment, isUdp ? SocketAddress_Protocol.UDP : SocketAddress_Protocol.TCP).endpoints
  if (endpoint!.host !== '127.0.0.1') refuse('load_assignment', `a STATIC cluster must lead to 127.0.0.1, not ${endpoint!.host}; use EDS`)
  return { port: endpoint!.port, isUdp }
}

/** isUdp: of the workload's port; undefined for endpoints, which are reached by HTTP/2 and where the label says that it carries datagrams. */
function protocolOf(message: Cluster, label: string | undefined, isUdp: boolean | undefined): Backend['protocol'] {
  const found = message.http2ProtocolOptions === undefined ? optionsOf(message) : 'http2'
  if (isUdp === true || (isUdp === undefined && label === 'udp' && found === 'http2')) {
    if (found !== undefined && isUdp === true) refuse('typed_extension_protocol_options', `${found} is not spoken to a port of UDP`)
    if (label !== undefined && label !== 'udp') refuse('metadata', `the label says ${label}, the address UDP`)
    return 'udp'
  }
  if (label === undefined) return found ?? 'http1' // what Envoy speaks when nothing is said
  if (label !== (found ?? 'tcp')) refuse('metadata', `the label says ${label}, the protocol options ${found ?? 'tcp'}`)
  return found ?? 'tcp'
}

function optionsOf(message: Cluster): Exclude<Backend['protocol'], 'tcp' | 'udp'> | undefined {
  let found: Exclude<Backend['protocol'], 'tcp' | 'udp'> | undefined
  for (const [name, any] of Object.entries(message.typedExtensionProtocolOptions)) {
    const where = `typed_extension_protocol_options["${name}"]`
    if (name !== httpOptions) refuse(where, 'not carried out by this proxy')
    const options = unpack(any, HttpProtocolOptionsSchema, where)
    checkOptions(options, where)
    const said = options.upstreamProtocolOptions
    if (said.case === 'useDownstreamProtocolConfig') {
      checkDownstream(said.value, where)
      found = 'downstream'
      continue
    }
    if (said.case !== 'explicitHttpConfig') refuse(where, 'explicit_http_config or use_downstream_protocol_config is needed')
    checkExplicit(said.value, where)
    found = said.value.protocolConfig.case === 'http2ProtocolOptions' ? 'http2' : 'http1'
  }
  return found
}

/** What endpoints without TLS are reached by: transport_socket, or where endpoints are told apart the last of the matches. */
function proxyProtocolOf({ transportSocket, transportSocketMatches }: Cluster): Pick<Backend, 'proxyProtocol'> {
  const last = transportSocketMatches.at(-1)
  if (transportSocket !== undefined) {
    if (last !== undefined) refuse('transport_socket', 'not carried out beside transport_socket_matches')
    if (isOrigination(transportSocket)) return {}
    if (!isPlaintext(transportSocket) && headerOf(transportSocket, 'transport_socket') === undefined)
      refuse('transport_socket', `not carried out but for plaintext; TLS is for endpoints with tlsMode "${meshTls.tlsMode}"`)
  }
  const version = headerOf(transportSocket ?? last?.transportSocket, 'transport_socket')
  return version === undefined ? {} : { proxyProtocol: version }
}

/** Whom mutual TLS must prove, and what it agrees on. */
function provenOf(
  message: Cluster,
  backend: Pick<Backend, 'port' | 'service' | 'protocol'>,
  isTlsInside: boolean,
): Pick<Backend, 'identities' | 'profile'> {
  let identities: readonly string[] = []
  let profile: Backend['profile']
  message.transportSocketMatches.forEach(({ match, transportSocket }, index) => {
    const where = `transport_socket_matches[${index}]`
    const keys = Object.keys(match ?? {})
    const isInside = isTlsInside && keys.length === 0 && isOrigination(transportSocket)
    const tls = isInside ? undefined : upstreamOf(transportSocket, where)
    if (tls === undefined) {
      if (keys.length > 0 || index !== message.transportSocketMatches.length - 1)
        refuse(where, 'plaintext is carried out for the endpoints that match nothing else')
      return
    }
    if (index > 0 || keys.join() !== 'tlsMode' || match?.['tlsMode'] !== meshTls.tlsMode)
      refuse(where, `TLS is carried out for endpoints with tlsMode "${meshTls.tlsMode}" only`)
    if (tls.alpn.join() !== alpnOf[backend.protocol].join())
      refuse(where, `ALPN [${tls.alpn.join(', ')}] is not what this proxy offers to a backend of ${backend.protocol}`)
    if (tls.serverName !== '' && tls.serverName !== serverNameOf(backend))
      refuse(where, `sni "${tls.serverName}" is not what this proxy sends, ${serverNameOf(backend)}`)
    identities = tls.identities
    if (tls.profile !== 'modern') profile = tls.profile
  })
  return { identities, ...(profile === undefined ? {} : { profile }) }
}

export function decodeEndpoints(
  message: ClusterLoadAssignment,
  protocol: SocketAddress_Protocol = SocketAddress_Protocol.TCP,
  mayBeNames = false,
): EndpointSet {
  checkAssignment(message, '')
  const endpoints: Endpoint[] = []
  message.endpoints.forEach((group, index) => {
    const where = `endpoints[${index}]`
    checkGroup(group, where)
    const at = group.locality
    const host = at === undefined || at.subZone === '' ? {} : { host: at.subZone }
    const isSaid = at !== undefined && (at.region !== '' || at.zone !== '' || at.subZone !== '')
    const near = {
      ...(isSaid ? { locality: { region: at.region, zone: at.zone, ...host } } : {}),
      ...(group.priority === 0 ? {} : { priority: group.priority }),
    }
    group.lbEndpoints.forEach((entry, place) =>
      endpoints.push({ ...decodeEndpoint(entry, `${where}.lb_endpoints[${place}]`, protocol, mayBeNames), ...near }),
    )
  })
  return { backend: message.clusterName, endpoints }
}

function decodeEndpoint(entry: LbEndpoint, where: string, protocol: SocketAddress_Protocol, mayBeNames: boolean): Endpoint {
  checkLbEndpoint(entry, where)
  if (entry.hostIdentifier.case !== 'endpoint') refuse(where, 'an endpoint is missing')
  checkEndpoint(entry.hostIdentifier.value, `${where}.endpoint`)
  const mode = entry.metadata?.filterMetadata[socketMetadata]?.['tlsMode']
  return {
    ...hostAndPort(entry.hostIdentifier.value.address, `${where}.endpoint.address`, protocol, mayBeNames),
    weight: entry.loadBalancingWeight ?? 1,
    health: healthOf(entry.healthStatus),
    mtls: mode === meshTls.tlsMode,
    workload: textLabel(labelsOf(entry.metadata, 'endpoint'), 'workload') ?? '',
  }
}

function healthOf(status: HealthStatus): Health {
  if (status === HealthStatus.DEGRADED) return 'degraded'
  if (status === HealthStatus.DRAINING) return 'draining'
  return status === HealthStatus.UNHEALTHY || status === HealthStatus.TIMEOUT ? 'unhealthy' : 'healthy'
}
