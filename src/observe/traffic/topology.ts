/** Draws the picture: services, and rates, success and latency of each edge over the last so many seconds. */

import type { MetricSource } from '#model/metrics'
import type { Topology, TopologyEdge, TopologyEnd, TopologyService } from '#model/topology'
import { outside } from '#model/topology'
import { chooseEdges } from './choose.ts'
import type { Edge } from './edge.ts'
import { activeOn, column } from './edge.ts'
import { bucketColumns, quantile } from './quantile.ts'
import { stepMs, stepOf } from './ring.ts'

/** Proxies push every second or two, and only what changed: what has not been told after this did not happen. */
const lateMs = 2_000

export function readTopology(
  edges: readonly Edge[],
  sources: readonly MetricSource[],
  known: readonly TopologyService[] | undefined,
  seconds: number,
  now: number,
): Topology {
  const versions = new Map(sources.map(source => [`${source.workload}.${source.namespace}`, source.version]))
  const shown = chooseEdges(edges, sources)
    .map(edge => drawEdge(edge, versions, seconds, now))
    .filter(edge => edge.rate > 0 || edge.openConnections > 0 || edge.bytesPerSecond > 0)
    .sort(
      (a, b) =>
        compare(nameOf(a.source), nameOf(b.source)) ||
        compare(nameOf(a.destination), nameOf(b.destination)) ||
        compare(a.protocol, b.protocol),
    )
  return { at: new Date(now).toISOString(), seconds, services: listServices(shown, sources, known), edges: shown }
}

function drawEdge(edge: Edge, versions: ReadonlyMap<string, string>, seconds: number, now: number): TopologyEdge {
  const end = Math.min(now, Math.max(edge.lastAt, now - lateMs))
  const first = stepOf(end - seconds * 1000)
  const last = stepOf(now)
  const duration = Math.max(1, (end - Math.max(first * stepMs, edge.firstAt)) / 1000)
  const sum = (at: number): number => edge.ring.sum(first, last, at)
  const ended = sum(column.ended)
  const latency = edge.protocol === 'http' ? Array.from({ length: bucketColumns }, (_, bucket) => sum(column.latency + bucket)) : []
  return {
    source: endOf(edge.source, edge.sourceIdentity),
    destination: endOf(edge.destination, edge.destinationIdentity),
    protocol: edge.protocol,
    rate: sum(column.calls) / duration,
    success: ended > 0 ? Math.max(0, 1 - sum(column.failed) / ended) : 1,
    ...quantiles(latency),
    bytesPerSecond: sum(column.bytes) / duration,
    openConnections: activeOn(edge),
    mtls: edge.mtls,
    versions: [...edge.workloads]
      .map(([workload, row]) => ({
        workload,
        ...versionOf(row.version || versions.get(workload)),
        rate: row.ring.sum(first, last, 0) / duration,
      }))
      .filter(row => row.rate > 0)
      .sort((a, b) => compare(a.workload, b.workload)),
  }
}

/** p50 and p99 in ms; absent where nothing was measured. */
export function quantiles(counts: readonly number[]): { readonly p50?: number; readonly p99?: number } {
  const p50 = quantile(0.5, counts)
  const p99 = quantile(0.99, counts)
  return p50 === undefined || p99 === undefined ? {} : { p50, p99 }
}

/** The inventory's services, or where there is none the proxies' own; and those that only the traffic knows of. */
function listServices(
  edges: readonly TopologyEdge[],
  sources: readonly MetricSource[],
  known: readonly TopologyService[] | undefined,
): readonly TopologyService[] {
  const services = new Map(
    (known ?? pushing(sources)).map(service => [nameOf({ service: service.name, namespace: service.namespace }), service]),
  )
  for (const end of edges.flatMap(edge => [edge.source, edge.destination])) {
    if (end.service === outside || services.has(nameOf(end))) continue
    services.set(nameOf(end), { name: end.service, namespace: end.namespace, workloads: [] })
  }
  return [...services.values()].sort((a, b) => compare(a.namespace, b.namespace) || compare(a.name, b.name))
}

const pushing = (sources: readonly MetricSource[]): readonly TopologyService[] =>
  [...Map.groupBy(sources, nameOf).values()].map(group => ({
    name: group[0]!.service,
    namespace: group[0]!.namespace,
    workloads: group.map(source => ({ name: source.workload, ...versionOf(source.version), health: 'healthy' })),
  }))

const versionOf = (version: string | undefined): { readonly version?: string } => (version ? { version } : {})
const endOf = (end: TopologyEnd, identity: string): TopologyEnd => ({
  service: end.service,
  namespace: end.namespace,
  ...(identity === '' ? {} : { identity }),
})
const nameOf = (end: { readonly service: string; readonly namespace: string }): string => `${end.service}.${end.namespace}`
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
