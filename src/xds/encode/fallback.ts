/** A backend with a fallback → two Clusters: its own endpoints by another name, and by its name an aggregate of these and of those that help out. */

import { create } from '@bufbuild/protobuf'
import type { Backend } from '#model/backend'
import type { View } from '#model/view'
import { type Cluster, Cluster_LbPolicy, ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterConfigSchema } from '../gen/envoy/extensions/clusters/aggregate/v3/cluster_pb.ts'
import { encodeBackend } from './cluster.ts'
import { duration, typed } from './source.ts'

export const aggregate = 'envoy.clusters.aggregate'
const own = '+own'
export const ownName = (name: string): string => `${name}${own}`
/** The name of the backend whose own endpoints a cluster has. */
export const nameOfOwn = (cluster: string): string => (cluster.endsWith(own) ? cluster.slice(0, -own.length) : cluster)

export function encodeOwn(backend: Backend): Cluster {
  const message = encodeBackend(backend)
  message.name = ownName(backend.name)
  if (message.edsClusterConfig !== undefined) message.edsClusterConfig.serviceName = backend.name
  return message
}

/** Flat, for Envoy looks only for endpoints in the clusters of an aggregate, and another aggregate has none. */
export function encodeChain({ name, connectTimeoutMs }: Backend, all: View['backends']): Cluster {
  const clusters: string[] = []
  for (let next: string | undefined = name; next !== undefined && !clusters.includes(ownName(next)); next = all[next]?.fallback)
    clusters.push(all[next]?.fallback === undefined ? next : ownName(next))
  return create(ClusterSchema, {
    name,
    clusterDiscoveryType: {
      case: 'clusterType',
      value: { name: aggregate, typedConfig: typed(ClusterConfigSchema, create(ClusterConfigSchema, { clusters })).value },
    },
    connectTimeout: duration(connectTimeoutMs),
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
  })
}
