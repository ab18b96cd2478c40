/** The traffic of the mesh as a picture and as curves: what the operator API answers and the dashboard draws. */

/** Services and the traffic between them, from the proxies' own counts. Rates per second, latency in ms. */
export type Topology = {
  readonly at: string // RFC 3339
  readonly seconds: number
  readonly services: readonly TopologyService[]
  readonly edges: readonly TopologyEdge[]
}
export type TopologyService = {
  readonly name: string
  readonly namespace: string
  readonly workloads: readonly { readonly name: string; readonly version?: string; readonly health: string }[]
}
/** An end that is not in the mesh has the service `outside` and the namespace ''. */
export type TopologyEdge = {
  readonly source: TopologyEnd
  readonly destination: TopologyEnd
  readonly protocol: 'http' | 'tcp'
  readonly rate: number // requests/s, or connections/s for tcp
  readonly success: number // 0..1
  readonly p50?: number
  readonly p99?: number
  readonly bytesPerSecond: number
  readonly openConnections: number
  readonly mtls: boolean
  readonly versions: readonly { readonly workload: string; readonly version?: string; readonly rate: number }[]
}
export type TopologyEnd = { readonly service: string; readonly namespace: string; readonly identity?: string }

/** Points of `stepSeconds`, oldest first; `at` is the start of the step in milliseconds since the epoch. */
export type Series = { readonly service: string; readonly stepSeconds: number; readonly points: readonly SeriesPoint[] }
export type SeriesPoint = {
  readonly at: number
  readonly rate: number
  readonly success: number
  readonly p50?: number
  readonly p99?: number
  readonly bytesPerSecond: number
  readonly connections: number
}

/** The name of what is not in the mesh. */
export const outside = 'outside'
