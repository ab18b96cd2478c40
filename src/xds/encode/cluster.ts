/** Backend → Cluster and EndpointSet → ClusterLoadAssignment. Mutual TLS is chosen per endpoint, by its metadata. */

import { create } from '@bufbuild/protobuf'
import type { Backend, Endpoint, EndpointSet, Health } from '#model/backend'
import { type Cluster, Cluster_DiscoveryType, ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import { SocketAddress_Protocol } from '../gen/envoy/config/core/v3/address_pb.ts'
import { HealthStatus } from '../gen/envoy/config/core/v3/health_check_pb.ts'
import type { LocalityLbEndpoints } from '../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts'
import { LbEndpointSchema, LocalityLbEndpointsSchema } from '../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts'
import { type ClusterLoadAssignment, ClusterLoadAssignmentSchema } from '../gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import {
  type HttpProtocolOptions,
  HttpProtocolOptions_ExplicitHttpConfigSchema,
  HttpProtocolOptions_UseDownstreamHttpConfigSchema,
  HttpProtocolOptionsSchema,
} from '../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts'
import { alpnOf, meshTls, serverNameOf, socketMetadata, weftMetadata } from '../types.ts'
import { constraintLabel, encodeResilience, spareLabel } from './resilience.ts'
import { encodeBalance } from './balance.ts'
import { encodeHealthCheck } from './health-check.ts'
import { originatedTls, outsidePlace } from './outside.ts'
import { duration, fromAds, labels, typed } from './source.ts'
import { announced, plaintext, upstreamTls } from './tls.ts'

export const httpOptions = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'

export function encodeBackend(backend: Backend): Cluster {
  const options = protocolOptions(backend)
  const bare = backend.proxyProtocol === undefined ? plaintext : announced(backend.proxyProtocol)
  return create(ClusterSchema, {
    name: backend.name,
    ...(isOutside(backend)
      ? outsidePlace(backend, () => encodeEndpoints({ backend: backend.name, endpoints: backend.hosts ?? [] }))
      : backend.type === 'endpoints'
        ? { clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS }, edsClusterConfig: { edsConfig: fromAds } }
        : { clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC }, loadAssignment: local(backend) }),
    ...(backend.type === 'named' || backend.type === 'original' ? {} : encodeBalance(backend)),
    connectTimeout: duration(backend.connectTimeoutMs),
    ...(options === undefined ? {} : { typedExtensionProtocolOptions: { [httpOptions]: options } }),
    transportSocketMatches:
      backend.identities.length === 0
        ? []
        : [
            {
              name: 'mesh',
              match: meshTls,
              transportSocket: upstreamTls(backend.identities, alpnOf[backend.protocol], serverNameOf(backend), backend.profile),
            },
            // Envoy has no TLS inside that of the mesh: it begins it with endpoints that have no proxy.
            backend.isTlsInside === true && backend.tls !== undefined
              ? { name: 'tls', match: {}, transportSocket: originatedTls(backend.tls, backend.protocol) }
              : { name: 'plaintext', match: {}, transportSocket: bare },
          ],
    ...(backend.tls !== undefined && backend.isTlsInside !== true
      ? { transportSocket: originatedTls(backend.tls, backend.protocol) }
      : backend.identities.length === 0 && backend.proxyProtocol !== undefined
        ? { transportSocket: bare }
        : {}),
    ...encodeResilience(backend),
    ...encodeHealthCheck(backend),
    metadata: labels({
      service: backend.service,
      port: backend.port,
      protocol: backend.protocol,
      ...(backend.isExternal === true ? { external: true } : {}),
      ...(backend.isTlsInside === true ? { tlsInside: true } : {}),
      ...constraintLabel(backend),
      ...spareLabel(backend),
    }),
  })
}

const isOutside = ({ type }: Backend): boolean => type === 'hosts' || type === 'named' || type === 'original'

/** Datagrams travel to endpoints of the mesh in HTTP/2. */
function protocolOptions({ protocol, type, tls }: Backend) {
  if (protocol === 'tcp' || (protocol === 'udp' && type === 'local')) return undefined
  const upstreamProtocolOptions: HttpProtocolOptions['upstreamProtocolOptions'] =
    protocol === 'downstream'
      ? {
          case: 'useDownstreamProtocolConfig',
          value: create(HttpProtocolOptions_UseDownstreamHttpConfigSchema, { httpProtocolOptions: {}, http2ProtocolOptions: {} }),
        }
      : {
          case: 'explicitHttpConfig',
          value: create(HttpProtocolOptions_ExplicitHttpConfigSchema, {
            protocolConfig:
              protocol === 'http2' || protocol === 'udp'
                ? { case: 'http2ProtocolOptions', value: {} }
                : { case: 'httpProtocolOptions', value: {} },
          }),
        }
  return typed(
    HttpProtocolOptionsSchema,
    create(HttpProtocolOptionsSchema, {
      upstreamProtocolOptions,
      // The name that was asked for is what the server must prove.
      ...(type === 'named' && tls !== undefined ? { upstreamHttpProtocolOptions: { autoSni: true, autoSanValidation: true } } : {}),
    }),
  ).value
}

function local({ name, port, protocol }: Backend): ClusterLoadAssignment {
  const address = addressOf('127.0.0.1', port, protocol === 'udp' ? SocketAddress_Protocol.UDP : SocketAddress_Protocol.TCP)
  return create(ClusterLoadAssignmentSchema, {
    clusterName: name,
    endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address } } }] }],
  })
}

const addressOf = (address: string, port: number, protocol: SocketAddress_Protocol = SocketAddress_Protocol.TCP) =>
  ({ address: { case: 'socketAddress', value: { protocol, address, portSpecifier: { case: 'portValue', value: port } } } }) as const

const statusOf: Readonly<Record<Health, HealthStatus>> = {
  healthy: HealthStatus.HEALTHY,
  degraded: HealthStatus.DEGRADED,
  unhealthy: HealthStatus.UNHEALTHY,
  draining: HealthStatus.DRAINING,
}

/** Grouped by how near they are and by locality, in the order in which each group first appears; numbers of nearness are from 0 on without gaps, as Envoy wants them. An endpoint of weight 0, which gets nothing, is left out: Envoy takes no zero. */
export function encodeEndpoints(set: EndpointSet): ClusterLoadAssignment {
  const groups = new Map<string, LocalityLbEndpoints>()
  for (const endpoint of set.endpoints) {
    if (endpoint.weight < 1) continue
    const { locality, priority = 0 } = endpoint
    const key = locality === undefined ? `${priority}` : `${priority}\n${locality.region}\n${locality.zone}\n${locality.host ?? ''}`
    let group = groups.get(key)
    if (group === undefined) {
      const { region, zone, host = '' } = locality ?? {}
      group = create(LocalityLbEndpointsSchema, {
        ...(region === undefined || zone === undefined ? {} : { locality: { region, zone, subZone: host } }),
        priority,
      })
      groups.set(key, group)
    }
    group.lbEndpoints.push(endpointOf(endpoint))
  }
  return create(ClusterLoadAssignmentSchema, { clusterName: set.backend, endpoints: [...groups.values()] })
}

const endpointOf = (endpoint: Endpoint) =>
  create(LbEndpointSchema, {
    hostIdentifier: { case: 'endpoint', value: { address: addressOf(endpoint.host, endpoint.port) } },
    healthStatus: statusOf[endpoint.health],
    loadBalancingWeight: Math.floor(endpoint.weight),
    metadata: {
      filterMetadata: {
        ...(endpoint.mtls ? { [socketMetadata]: meshTls } : {}),
        [weftMetadata]: { workload: endpoint.workload },
      },
    },
  })
