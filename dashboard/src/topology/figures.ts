/** The golden signals of a set of edges, and names by which nodes and edges are known on the page. */

import type { Topology, TopologyEdge, TopologyEnd, TopologyService } from '../../../src/api/mesh-api.ts'

/** What is not in the mesh. */
export const outside = 'outside'

export const nameOf = (end: Pick<TopologyEnd, 'service' | 'namespace'>): string =>
  end.namespace === '' ? end.service : `${end.service}.${end.namespace}`
export const serviceName = (service: Pick<TopologyService, 'name' | 'namespace'>): string =>
  nameOf({ service: service.name, namespace: service.namespace })
export const edgeId = (edge: TopologyEdge): string => `${nameOf(edge.source)}→${nameOf(edge.destination)}/${edge.protocol}`

/** Below this share of successes an edge or service is drawn as failing. */
export const failingBelow = 0.99
export const strugglingBelow = 0.999

export type Tone = 'ok' | 'warn' | 'bad'
export const toneOf = (success: number): Tone => (success < failingBelow ? 'bad' : success < strugglingBelow ? 'warn' : 'ok')

/**
 * httpRate: requests/s. tcpRate: connections/s. success weighs edges by rate, as does p50; p99 is that of the slowest edge with traffic,
 * because quantiles of different edges cannot be added.
 */
export type Figures = {
  readonly httpRate: number
  readonly tcpRate: number
  readonly rate: number
  readonly success: number
  readonly p50?: number
  readonly p99?: number
  readonly bytesPerSecond: number
  readonly openConnections: number
}

export function figuresOf(edges: readonly TopologyEdge[]): Figures {
  const sum = (pick: (edge: TopologyEdge) => number): number => edges.reduce((total, edge) => total + pick(edge), 0)
  const httpRate = sum(edge => (edge.protocol === 'http' ? edge.rate : 0))
  const tcpRate = sum(edge => (edge.protocol === 'tcp' ? edge.rate : 0))
  const rate = httpRate + tcpRate
  const timed = edges.filter(edge => edge.p50 !== undefined && edge.rate > 0)
  const timedRate = timed.reduce((total, edge) => total + edge.rate, 0)
  return {
    httpRate,
    tcpRate,
    rate,
    success: rate > 0 ? sum(edge => edge.success * edge.rate) / rate : 1,
    ...(timedRate > 0
      ? {
          p50: timed.reduce((total, edge) => total + edge.p50! * edge.rate, 0) / timedRate,
          p99: Math.max(...timed.map(edge => edge.p99 ?? 0)),
        }
      : {}),
    bytesPerSecond: sum(edge => edge.bytesPerSecond),
    openConnections: sum(edge => edge.openConnections),
  }
}

export const inboundOf = (topology: Topology, service: string): readonly TopologyEdge[] =>
  topology.edges.filter(edge => nameOf(edge.destination) === service)
export const outboundOf = (topology: Topology, service: string): readonly TopologyEdge[] =>
  topology.edges.filter(edge => nameOf(edge.source) === service)

/** Shares of what arrives at a set of edges, by the version of the workload that took it; none where no workload has a version. */
export type Share = { readonly name: string; readonly rate: number; readonly share: number; readonly workloads: number }

export function sharesOf(edges: readonly TopologyEdge[]): readonly Share[] {
  const rows = edges.flatMap(edge => edge.versions)
  if (rows.every(row => row.version === undefined)) return []
  const byName = new Map<string, { rate: number; workloads: Set<string> }>()
  for (const row of rows) {
    const name = row.version ?? 'no version'
    const found = byName.get(name) ?? { rate: 0, workloads: new Set<string>() }
    found.rate += row.rate
    found.workloads.add(row.workload)
    byName.set(name, found)
  }
  const total = rows.reduce((sum, row) => sum + row.rate, 0)
  return [...byName]
    .map(([name, { rate, workloads }]) => ({ name, rate, share: total > 0 ? rate / total : 0, workloads: workloads.size }))
    .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
}

/**
 * The service of which this one is a part: all its workloads belong to another that has more, or whose name it continues (`reviews-v2` of `reviews`).
 * Calls to such workloads are counted at the whole.
 */
export function wholeOf(topology: Topology, part: TopologyService): TopologyService | undefined {
  const own = part.workloads.map(workload => workload.name)
  if (own.length === 0) return undefined
  return topology.services.find(
    other =>
      other !== part &&
      other.namespace === part.namespace &&
      (other.workloads.length > own.length || part.name.startsWith(`${other.name}-`)) &&
      own.every(name => other.workloads.some(workload => workload.name === name)),
  )
}

/** Of the workloads of a service, how many serve. */
export const readyOf = (service: Pick<TopologyService, 'workloads'>): { readonly ready: number; readonly total: number } => ({
  ready: service.workloads.filter(workload => workload.health === 'healthy' || workload.health === 'degraded').length,
  total: service.workloads.length,
})
