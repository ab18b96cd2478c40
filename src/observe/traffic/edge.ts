/** What is remembered of the traffic between two services, as one side of it saw it. */

import { failures } from '#base/failure'
import type { MetricSource } from '#model/metrics'
import { outside } from '#model/topology'
import { bucketColumns } from './quantile.ts'
import { Ring, stepOf } from './ring.ts'

/** Protocols of which there are no requests to see; a session of datagrams counts as a connection. */
const opaque: ReadonlySet<string> = new Set(['tcp', 'tls', 'udp'])

/** Columns of an edge's ring; the latency buckets follow. For tcp, `calls` are connections opened and `ended` those closed. */
export const column = { calls: 0, ended: 1, failed: 2, bytes: 3, active: 4, latency: 5 } as const

/** name: service. `outside` where nothing is known of it. */
export type End = {
  readonly service: string
  readonly namespace: string
  readonly workload: string
  readonly identity: string
  readonly version: string
}
export type Ends = {
  readonly direction: string
  readonly source: End
  readonly destination: End
  readonly protocol: 'http' | 'tcp'
  readonly mtls: boolean | undefined
}

export type Edge = {
  readonly direction: string
  readonly source: { readonly service: string; readonly namespace: string }
  readonly destination: { readonly service: string; readonly namespace: string }
  readonly protocol: 'http' | 'tcp'
  readonly ring: Ring
  /** Calls per destination workload, NAME.NAMESPACE. */
  readonly workloads: Map<string, { readonly ring: Ring; version: string }>
  /** Open connections per pushing proxy and label set, for the sum. */
  readonly active: Map<string, number>
  sourceIdentity: string
  destinationIdentity: string
  mtls: boolean
  firstAt: number
  lastAt: number
}

export function newEdge(ends: Ends, firstAt: number): Edge {
  return {
    direction: ends.direction,
    source: ends.source,
    destination: ends.destination,
    protocol: ends.protocol,
    ring: new Ring(column.latency + (ends.protocol === 'http' ? bucketColumns : 0)),
    workloads: new Map(),
    active: new Map(),
    sourceIdentity: '',
    destinationIdentity: '',
    mtls: false,
    firstAt,
    lastAt: firstAt,
  }
}

/** Makes two edges one: what was counted under another name of the same service before that was known. */
export function absorb(edge: Edge, other: Edge): void {
  edge.ring.absorb(other.ring)
  for (const [workload, row] of other.workloads) {
    const own = edge.workloads.get(workload)
    if (own) own.ring.absorb(row.ring)
    else edge.workloads.set(workload, row)
  }
  for (const [key, value] of other.active) if (!edge.active.has(key)) edge.active.set(key, value)
  edge.sourceIdentity ||= other.sourceIdentity
  edge.destinationIdentity ||= other.destinationIdentity
  edge.mtls ||= other.mtls
  edge.firstAt = Math.min(edge.firstAt, other.firstAt)
}

/** The same for both directions, so that the two views of one edge meet. */
export const pairKey = (edge: Pick<Edge, 'source' | 'destination' | 'protocol'>): string =>
  `${edge.source.service}.${edge.source.namespace}>${edge.destination.service}.${edge.destination.namespace}/${edge.protocol}`

/** Reads labels; what the pushing proxy is itself, it need not say. An end without a name is `outside`. */
export function endsOf(labels: Readonly<Record<string, string>>, pushed: MetricSource): Ends {
  const direction = labels['direction'] === 'inbound' ? 'inbound' : 'outbound'
  const own: End = { ...pushed, workload: `${pushed.workload}.${pushed.namespace}` }
  const read = (side: 'source' | 'destination', fallback: End | undefined): End => ({
    service: bare(labels[`${side}_service`] || fallback?.service || '', labels[`${side}_namespace`] || fallback?.namespace || ''),
    namespace: labels[`${side}_namespace`] || fallback?.namespace || '',
    workload: labels[`${side}_workload`] || fallback?.workload || '',
    identity: labels[`${side}_identity`] || fallback?.identity || '',
    version: labels[`${side}_version`] || fallback?.version || '',
  })
  const mtls = labels['mtls']
  return {
    direction,
    source: named(read('source', direction === 'outbound' ? own : undefined)),
    destination: named(read('destination', direction === 'inbound' ? own : undefined)),
    protocol: opaque.has(labels['protocol'] ?? '') ? 'tcp' : 'http',
    mtls: mtls === undefined || mtls === '' ? undefined : mtls === 'true',
  }
}

const named = (end: End): End => (end.service === '' ? { ...end, service: outside, namespace: '' } : end)

/** `orders.default` in namespace `default` is `orders`. */
const bare = (service: string, namespace: string): string =>
  namespace !== '' && service.endsWith(`.${namespace}`) ? service.slice(0, -namespace.length - 1) : service

/** gRPC codes that say the server failed: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS. The rest are answers. */
const grpcFaults = new Set(['2', '4', '13', '14', '15'])

/** A call failed when the server or the mesh could not do its part. What the caller did wrong and what a rule forbids are answers, unless they are 5xx. */
export function isFailed(labels: Readonly<Record<string, string>>): boolean {
  return Number(labels['code'] ?? 0) >= 500 || grpcFaults.has(labels['grpc_status'] ?? '') || isFault(labels['reason'] ?? '')
}

/** True for a failure code whose blame lies with the called side or the mesh. */
export function isFault(reason: string): boolean {
  const blame = (failures as Readonly<Record<string, { readonly blame: string }>>)[reason]?.blame
  return blame === 'upstream' || blame === 'mesh'
}

/** key begins with the proxy's id and a space, so that what a proxy left open can be taken away with it. */
export function setActive(edge: Edge, key: string, value: number, at: number): void {
  if (value > 0) edge.active.set(key, value)
  else edge.active.delete(key)
  edge.ring.set(stepOf(at), column.active, activeOn(edge))
}

/** A proxy that is gone can no longer say zero. */
export function closeActive(edge: Edge, proxyId: string, at: number): void {
  for (const key of edge.active.keys()) if (key.startsWith(`${proxyId} `)) setActive(edge, key, 0, at)
}

export const activeOn = (edge: Edge): number => edge.active.values().reduce((sum, value) => sum + value, 0)
