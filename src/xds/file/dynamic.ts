/** What may stand whole in a file, taken apart into the resources that the proxy knows: routes by name, endpoints by cluster, certificates by secret. */

import { create } from '@bufbuild/protobuf'
import { anyUnpack } from '@bufbuild/protobuf/wkt'
import { decodeBackend } from '../decode/cluster.ts'
import { refuse } from '../decode/carried.ts'
import { textLabel } from '../decode/words.ts'
import { upgradeType } from '../encode/datagrams.ts'
import { fromAds, typed } from '../encode/source.ts'
import {
  type Cluster,
  Cluster_DiscoveryType,
  Cluster_EdsClusterConfigSchema,
  Cluster_TransportSocketMatchSchema,
} from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import { MetadataSchema, TrafficDirection } from '../gen/envoy/config/core/v3/base_pb.ts'
import type { ClusterLoadAssignment } from '../gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import type { FilterChain } from '../gen/envoy/config/listener/v3/listener_components_pb.ts'
import type { Listener } from '../gen/envoy/config/listener/v3/listener_pb.ts'
import type { RouteConfiguration } from '../gen/envoy/config/route/v3/route_pb.ts'
import {
  HttpConnectionManagerSchema,
  RdsSchema,
} from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { alpnOf, meshTls, socketMetadata, weftMetadata } from '../types.ts'
import { type NamedTls, withSecrets } from './tls.ts'

export type Inline<Message> = { readonly message: Message; readonly where: string }

/** The listener with its route tables named, and the tables that stood in it. Where it says no direction: TLS comes in, plaintext goes out. */
export function takeListener(listener: Listener, tls: NamedTls): { listener: Listener; tables: readonly Inline<RouteConfiguration>[] } {
  const tables: Inline<RouteConfiguration>[] = []
  const chain = (each: FilterChain, where: string): FilterChain =>
    ({
      ...each,
      transportSocket: withSecrets(each.transportSocket, `${where}.transport_socket`, tls, []),
      filters: each.filters.map((filter, at) => {
        if (filter.configType.case !== 'typedConfig') return filter
        const manager = anyUnpack(filter.configType.value, HttpConnectionManagerSchema)
        // The table of CONNECT-UDP is part of the listener.
        const isDatagrams = manager?.upgradeConfigs.some(each => each.upgradeType.toUpperCase() === upgradeType)
        if (manager?.routeSpecifier.case !== 'routeConfig' || isDatagrams === true) return filter
        const table = { ...manager.routeSpecifier.value, name: manager.routeSpecifier.value.name || listener.name }
        tables.push({ message: table, where: `${where}.filters[${at}].route_config` })
        const named = { case: 'rds' as const, value: create(RdsSchema, { configSource: fromAds, routeConfigName: table.name }) }
        return { ...filter, configType: typed(HttpConnectionManagerSchema, { ...manager, routeSpecifier: named } as never) }
      }),
    }) as FilterChain
  const filterChains = listener.filterChains.map((each, at) => chain(each, `filter_chains[${at}]`))
  const fallback = listener.defaultFilterChain && chain(listener.defaultFilterChain, 'default_filter_chain')
  const isSecure = [...filterChains, ...(fallback ? [fallback] : [])].some(each => each.transportSocket?.name.includes('tls'))
  const direction = isSecure ? TrafficDirection.INBOUND : TrafficDirection.OUTBOUND
  const isSaid = listener.trafficDirection !== TrafficDirection.UNSPECIFIED
  return {
    listener: labelled(
      {
        ...listener,
        filterChains,
        ...(fallback ? { defaultFilterChain: fallback } : {}),
        trafficDirection: isSaid ? listener.trafficDirection : direction,
      },
      { service: listener.name },
    ),
    tables,
  }
}

/**
 * The cluster as one of endpoints by name, and the endpoints that stood in it. A STATIC cluster of one plaintext endpoint on 127.0.0.1 stays: it is
 * the workload itself. assigned: endpoints that stand in the file apart.
 */
export function takeCluster(
  cluster: Cluster,
  assigned: ClusterLoadAssignment | undefined,
  tls: NamedTls,
): { cluster: Cluster; endpoints?: Inline<ClusterLoadAssignment> } {
  const type = cluster.clusterDiscoveryType
  const isStatic = type.case === undefined || (type.case === 'type' && type.value === Cluster_DiscoveryType.STATIC)
  const isSecure = cluster.transportSocket !== undefined
  if (isSecure && cluster.transportSocketMatches.length > 0)
    refuse('transport_socket', 'not carried out beside transport_socket_matches: say there what endpoints that match nothing get')
  const assignment = isStatic ? cluster.loadAssignment : assigned
  const isLocal = isStatic && !isSecure && cluster.transportSocketMatches.length === 0 && leadsHome(cluster.loadAssignment)
  if (isStatic && assignment === undefined) refuse('load_assignment', 'a STATIC cluster has its endpoints here')
  const { transportSocket, ...open } = cluster
  const { loadAssignment: _, ...apart } = open
  const labels = { service: cluster.name, port: firstPort(assignment) }
  const plain = labelled<Cluster>(isStatic && !isLocal ? { ...apart, ...fromEds } : open, labels)
  const endpoints = isLocal || assignment === undefined ? undefined : { ...assignment, clusterName: cluster.name }
  const where = isStatic ? 'load_assignment' : ''
  if (!isSecure) {
    const matches = cluster.transportSocketMatches.map((match, at) => ({
      ...match,
      transportSocket: withSecrets(match.transportSocket, `transport_socket_matches[${at}]`, tls, alpnFor(plain)),
    }))
    return {
      cluster: { ...plain, transportSocketMatches: matches } as Cluster,
      ...(endpoints ? { endpoints: { message: endpoints, where } } : {}),
    }
  }
  const secured = withSecrets(transportSocket, 'transport_socket', tls, alpnFor(plain))!
  const match = create(Cluster_TransportSocketMatchSchema, { name: 'mesh', match: { ...meshTls }, transportSocket: secured })
  return {
    cluster: { ...plain, transportSocketMatches: [match] },
    ...(endpoints ? { endpoints: { message: overTls(endpoints), where } } : {}),
  }
}

const fromEds = {
  clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
  edsClusterConfig: create(Cluster_EdsClusterConfigSchema, { edsConfig: fromAds }),
} as const

const alpnFor = (plain: Cluster): readonly string[] => alpnOf[decodeBackend({ ...plain, transportSocketMatches: [] }).protocol]

function leadsHome(assignment: ClusterLoadAssignment | undefined): boolean {
  const endpoints = assignment?.endpoints.flatMap(group => group.lbEndpoints) ?? []
  return endpoints.length === 1 && addressOf(endpoints[0])?.address === '127.0.0.1'
}

const firstPort = (assignment: ClusterLoadAssignment | undefined): number => {
  const port = addressOf(assignment?.endpoints[0]?.lbEndpoints[0])?.portSpecifier
  return port?.case === 'portValue' ? port.value : 0
}

function addressOf(endpoint: ClusterLoadAssignment['endpoints'][number]['lbEndpoints'][number] | undefined) {
  const address = endpoint?.hostIdentifier.case === 'endpoint' ? endpoint.hostIdentifier.value.address?.address : undefined
  return address?.case === 'socketAddress' ? address.value : undefined
}

/** Every endpoint marked as one that is reached over the mesh's TLS. */
const overTls = (assignment: ClusterLoadAssignment): ClusterLoadAssignment => ({
  ...assignment,
  endpoints: assignment.endpoints.map(group => ({
    ...group,
    lbEndpoints: group.lbEndpoints.map(endpoint => ({
      ...endpoint,
      metadata: withMetadata(endpoint.metadata, socketMetadata, { ...meshTls }),
    })),
  })),
})

type Labelled = { readonly metadata?: Cluster['metadata'] }

/** The labels that others write on what they make, where the file does not say them. */
function labelled<Message extends Labelled>(message: Message, fallback: Readonly<Record<string, string | number>>): Message {
  // Whether they are known is judged when it is read.
  const said = message.metadata?.filterMetadata[weftMetadata] ?? {}
  const missing = Object.fromEntries(
    Object.entries(fallback).filter(([name]) => (name === 'port' ? said[name] : textLabel(said, name)) === undefined),
  )
  return { ...message, metadata: withMetadata(message.metadata, weftMetadata, { ...missing, ...said }) }
}

function withMetadata(
  metadata: Cluster['metadata'],
  key: string,
  fields: Readonly<Record<string, string | number>> | object,
): Cluster['metadata'] {
  const base = metadata ?? create(MetadataSchema)
  return { ...base, filterMetadata: { ...base.filterMetadata, [key]: { ...base.filterMetadata[key], ...fields } } } as Cluster['metadata']
}
