/** An aggregate of Clusters → the backend of that name, with what helps out where none of its own endpoints may serve. */

import type { Backend } from '#model/backend'
import { aggregate, nameOfOwn, ownName } from '../encode/fallback.ts'
import { type Cluster, Cluster_LbPolicy, ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterConfigSchema } from '../gen/envoy/extensions/clusters/aggregate/v3/cluster_pb.ts'
import { outsideType } from './outside.ts'
import { carries, refuse, unpack } from './carried.ts'

/** What Weft says of such a backend stands at its own cluster. */
const checkChain = carries(ClusterSchema, ['name', 'alt_stat_name', 'cluster_type', 'connect_timeout', 'lb_policy', 'metadata'])
const checkConfig = carries(ClusterConfigSchema, ['clusters'])

/** own: the cluster with its own endpoints. next: the first that helps out. */
export type Chain = { readonly name: string; readonly own: string; readonly next: string }

/** Undefined where the cluster is none. */
export function decodeChain(message: Cluster): Chain | undefined {
  if (message.clusterDiscoveryType.case !== 'clusterType' || outsideType(message) !== undefined) return undefined
  const { name, typedConfig } = message.clusterDiscoveryType.value
  if (name !== aggregate) refuse('cluster_type', `${name} is not carried out by this proxy, only ${aggregate}`)
  checkChain(message, '')
  if (message.lbPolicy !== Cluster_LbPolicy.CLUSTER_PROVIDED) refuse('lb_policy', 'must be CLUSTER_PROVIDED')
  const config = unpack(typedConfig, ClusterConfigSchema, 'cluster_type')
  checkConfig(config, 'cluster_type')
  const [own, next, ...others] = config.clusters
  if (own !== ownName(message.name))
    return refuse('cluster_type.clusters', `the first must be called ${ownName(message.name)}, with the endpoints of ${message.name}`)
  if (next === undefined) return refuse('cluster_type.clusters', 'at least two are needed: one helps the other out')
  // What comes after the second is what helps the second out: only there a third is looked for.
  if (others.length > 0 && next === nameOfOwn(next))
    return refuse('cluster_type.clusters', `a third is carried out only where the second is an own cluster, ${ownName(next)}`)
  return { name: message.name, own, next: nameOfOwn(next) }
}

/** An own cluster is no backend by itself: it has the name of its chain. Kept, so that equal things are the same objects. */
const joined = new WeakMap<Backend, WeakMap<Chain, Backend>>()

export function joinChains(backends: readonly Backend[], chains: readonly Chain[]): readonly Backend[] {
  if (chains.length === 0) return backends
  const byOwn = new Map(chains.map(chain => [chain.own, chain]))
  return backends.map(backend => {
    const chain = byOwn.get(backend.name)
    if (chain === undefined) return backend
    const known = joined.get(backend) ?? new WeakMap<Chain, Backend>()
    joined.set(backend, known)
    let made = known.get(chain)
    if (made === undefined) known.set(chain, (made = { ...backend, name: chain.name, fallback: chain.next }))
    return made
  })
}
