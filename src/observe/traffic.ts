/** Ten minutes of the mesh's traffic in bounded memory: proxies push what they counted, the dashboard asks who calls whom and how well. */

import type { Metric, MetricFamily, MetricSource } from '#model/metrics'
import { metricNames } from '#model/metrics'
import { outside, type Series, type Topology, type TopologyService } from '#model/topology'
import type { CallsSeen } from '#model/calls'
import { Calls } from './traffic/calls.ts'
import type { Increase } from './traffic/cumulative.ts'
import { Cumulative } from './traffic/cumulative.ts'
import type { Found } from './traffic/detections.ts'
import { type Spared, Sparing } from './traffic/sparing.ts'
import { Detections } from './traffic/detections.ts'
import { Arrivals, type ArrivalsOf } from './traffic/arrivals.ts'
import type { Edge, Ends } from './traffic/edge.ts'
import { absorb, activeOn, closeActive, column, endsOf, isFailed, isFault, newEdge, pairKey, setActive } from './traffic/edge.ts'
import { bucketOf } from './traffic/quantile.ts'
import { Ring, spread, stepCount, stepMs, stepOf } from './traffic/ring.ts'
import { readSeries } from './traffic/series.ts'
import { readTopology } from './traffic/topology.ts'

/** since: when the control plane started, ms. mostCounters, mostEdges: bounds of memory; an edge costs about 30 kB, a counter about 300 bytes. */
export type TrafficLimits = { readonly since: number; readonly mostCounters?: number; readonly mostEdges?: number }

/** What a proxy last said of itself. */
export type Vitals = {
  readonly lastAt: number
  readonly certificate?: { readonly notAfter: number; readonly serial: string }
  readonly rejections?: number
}

const windowMs = stepMs * stepCount
const mostWorkloadsPerEdge = 200

export class Traffic {
  #counters: Cumulative
  #mostEdges: number
  #edges = new Map<string, Edge>()
  /** Who pushes now. Those that left are kept for a while: their traffic is still on the page. */
  #sources = new Map<string, MetricSource>()
  #left = new Map<string, number>()
  #vitals = new Map<string, Vitals>()
  #detections = new Detections()
  #sparing = new Sparing()
  #calls: Calls
  #arrivals = new Arrivals()
  /** The service to which the workloads behind another name belong: `reviews-v2.default` → reviews. */
  #behind = new Map<string, { readonly service: string; readonly namespace: string }>()
  #droppedEdges = 0
  #sweptAt = 0

  constructor(limits: TrafficLimits) {
    this.#counters = new Cumulative(limits.mostCounters ?? 100_000, limits.since)
    this.#mostEdges = limits.mostEdges ?? 2_000
    this.#calls = new Calls(limits.since)
  }

  /** Takes one push of one proxy. families: cumulative values, in any order; names that are not ours are passed over. at: ms, when it arrived. */
  ingest(proxyId: string, source: MetricSource, families: readonly MetricFamily[], at: number): void {
    this.#sweep(at)
    const isNew = !this.#sources.has(proxyId)
    this.#sources.set(proxyId, source)
    if (isNew) for (const edge of this.#edges.values()) if (edge.workloads.has(proxyId)) this.#isBehind(edge.destination, source)
    this.#left.delete(proxyId)
    const grow = this.#counters.push(proxyId, families, at)
    for (const family of families) {
      for (const metric of family.metrics) this.#take(proxyId, source, family.name, metric, grow, at)
    }
    this.#detections.take(proxyId, families, isNew, at)
    this.#sparing.take(proxyId, families, isNew)
    this.#calls.take(proxyId, source, families, at)
    this.#arrivals.take(proxyId, families, at)
    this.#vitals.set(proxyId, { ...this.#vitals.get(proxyId), ...vitalsOf(families, at) })
  }

  /** The proxy's stream has ended: what it had open counts no more. When it comes back, its counts go on from where they were. */
  leave(proxyId: string, at: number): void {
    if (!this.#sources.has(proxyId)) return
    this.#left.set(proxyId, at)
    this.#sparing.forget(proxyId)
    this.#arrivals.leave(proxyId)
    for (const edge of this.#edges.values()) closeActive(edge, proxyId, at)
  }

  /** Who called whom in the last `seconds`. known: the services and workloads of the inventory; without it, those that push. */
  topology(seconds: number, now: number, known?: readonly TopologyService[]): Topology {
    return readTopology([...this.#edges.values()], this.#present(), known, seconds, now)
  }

  /** The curves of one service, `NAME.NAMESPACE`: what it was asked (inbound) or what it asked (outbound). */
  series(service: string, seconds: number, side: 'inbound' | 'outbound', now: number): Series {
    return readSeries([...this.#edges.values()], this.#present(), service, seconds, side, now)
  }

  #present(): readonly MetricSource[] {
    return [...this.#sources].filter(([id]) => !this.#left.has(id)).map(([, source]) => source)
  }

  vitals(proxyId: string): Vitals | undefined {
    return this.#vitals.get(proxyId)
  }

  /** What this proxy found out of connections whose protocol nothing declares. */
  detections(proxyId: string): readonly Found[] {
    return this.#detections.of(proxyId)
  }

  /** How callers of this proxy's workload came in; undefined: it does not tell. */
  arrivals(proxyId: string): ArrivalsOf | undefined {
    return this.#arrivals.of(proxyId)
  }

  /** Whom proxies leave out, and how much of limits is used; service: `NAME.NAMESPACE`, absent: of all. now: ms. */
  spared(service: string | undefined, now: number): Spared {
    const serviceOf = (proxy: string): string => {
      const source = this.#sources.get(proxy)
      return source === undefined ? '' : nameOf(source)
    }
    const behind = (name: string): string => {
      const found = this.#behind.get(name)
      return found === undefined ? name : nameOf(found)
    }
    return this.#sparing.read(service, serviceOf, behind, now)
  }

  /** Who called what, and which access rules decided; since: ms, only what was seen from then on. */
  calls(since: number, now: number): CallsSeen {
    return this.#calls.read(since, now)
  }

  /** What was not counted because a bound of memory was reached. */
  get dropped(): { readonly counters: number; readonly edges: number } {
    return { counters: this.#counters.dropped, edges: this.#droppedEdges }
  }

  #take(
    proxyId: string,
    source: MetricSource,
    name: string,
    metric: Metric,
    grow: (key: string, value: number) => Increase | undefined,
    at: number,
  ): void {
    const { labels } = metric
    const key = keyOf(name, labels)
    if (name === metricNames.duration) return this.#takeLatency(key, this.#settle(endsOf(labels, source)), metric, grow)
    const value = metric.value ?? 0
    if (name === metricNames.active) {
      const edge = this.#edge(this.#settle(endsOf(labels, source)), at, at)
      return edge && setActive(edge, `${proxyId} ${key}`, value, at)
    }
    const columns = columnsOf(name, labels)
    const increase = columns && grow(key, value)
    if (!increase) return
    const ends = this.#settle(endsOf(labels, source))
    const edge = this.#edge(ends, increase.from, at)
    if (!edge) return
    learn(edge, ends, increase.amount)
    spread(increase.from, increase.to, increase.amount, (step, part) => {
      for (const column of columns) edge.ring.add(step, column, part)
    })
    if (columns[0] === column.calls) countWorkload(edge, ends, increase)
  }

  #takeLatency(key: string, ends: Ends, metric: Metric, grow: (key: string, value: number) => Increase | undefined): void {
    const { histogram } = metric
    if (!histogram) return
    const bounds = [
      ...histogram.buckets.filter(bucket => Number.isFinite(bucket.upperBound)),
      { upperBound: Number.POSITIVE_INFINITY, cumulativeCount: histogram.count },
    ]
    let below = 0
    for (const { upperBound, cumulativeCount } of bounds) {
      const increase = grow(`${key} ${upperBound}`, Math.max(0, cumulativeCount - below))
      below = cumulativeCount
      const edge = increase && this.#edge(ends, increase.from, increase.to)
      if (edge)
        spread(increase.from, increase.to, increase.amount, (step, part) =>
          edge.ring.add(step, column.latency + bucketOf(upperBound), part),
        )
    }
  }

  /**
   * A route may send a call to `reviews-v2`, which is another name for some workloads of `reviews`: the edge leads to the service that the
   * workload itself says it belongs to, so that versions stand beside each other. Where no workload is named, by what was learnt before.
   */
  #settle(ends: Ends): Ends {
    const { destination } = ends
    const own = destination.workload === '' ? undefined : this.#sources.get(destination.workload)
    if (own && own.service !== '') this.#isBehind(destination, own)
    const to = own && own.service !== '' ? own : this.#behind.get(nameOf(destination))
    return to ? { ...ends, destination: { ...destination, service: to.service, namespace: to.namespace } } : ends
  }

  /** Learns that one service stands behind a name. Callers may have pushed before the called did: what is there under the name moves over. */
  #isBehind(name: Named, service: Named): void {
    const known = this.#behind.get(nameOf(name))
    if (nameOf(name) === nameOf(service) || (known && nameOf(known) === nameOf(service))) return
    this.#behind.set(nameOf(name), { service: service.service, namespace: service.namespace })
    for (const [key, edge] of this.#edges) {
      if (nameOf(edge.destination) !== nameOf(name)) continue
      this.#edges.delete(key)
      const moved = { ...edge, destination: { service: service.service, namespace: service.namespace } }
      const whole = this.#edges.get(edgeKey(moved, edge.sourceIdentity))
      if (whole) absorb(whole, edge)
      else this.#edges.set(edgeKey(moved, edge.sourceIdentity), moved)
    }
  }

  #edge(ends: Ends, from: number, at: number): Edge | undefined {
    const key = edgeKey(ends, ends.source.identity)
    let edge = this.#edges.get(key)
    if (!edge) {
      if (this.#edges.size >= this.#mostEdges) {
        this.#droppedEdges++
        return undefined
      }
      edge = newEdge(ends, from)
      this.#edges.set(key, edge)
    }
    edge.lastAt = Math.max(edge.lastAt, at)
    return edge
  }

  /** Once a step: what was silent for the whole window goes. */
  #sweep(at: number): void {
    if (at - this.#sweptAt < stepMs) return
    this.#sweptAt = at
    const before = at - windowMs
    this.#counters.expire(this.#counters.isHalfFull ? before : at - 24 * 3_600_000)
    for (const [key, edge] of this.#edges) if (edge.lastAt < before && edge.active.size === 0) this.#edges.delete(key)
    // What stays open is not told again; each step still wants its value.
    for (const edge of this.#edges.values()) if (edge.active.size > 0) edge.ring.set(stepOf(at), column.active, activeOn(edge))
    if (this.#behind.size > this.#mostEdges) this.#behind.clear()
    for (const [id, leftAt] of this.#left) {
      if (leftAt >= before) continue
      this.#left.delete(id)
      this.#sources.delete(id)
      this.#vitals.delete(id)
      this.#detections.forget(id)
      this.#arrivals.forget(id)
      this.#sparing.forget(id)
      this.#calls.forget(id)
    }
  }
}

type Named = { readonly service: string; readonly namespace: string }
const nameOf = (named: Named): string => `${named.service}.${named.namespace}`

/** Callers that are not in the mesh stay apart by what they proved. */
const edgeKey = (edge: Pick<Edge, 'direction' | 'source' | 'destination' | 'protocol'>, sourceIdentity: string): string =>
  `${edge.direction} ${pairKey(edge)} ${edge.source.service === outside ? sourceIdentity : ''}`

/** The columns that a counter adds to, the first of which says what it is; undefined for what is not traffic. */
function columnsOf(name: string, labels: Readonly<Record<string, string>>): readonly number[] | undefined {
  switch (name) {
    case metricNames.requests:
      return isFailed(labels) ? [column.calls, column.ended, column.failed] : [column.calls, column.ended]
    case metricNames.opened:
      return [column.calls]
    case metricNames.closed:
      return isFault(labels['reason'] ?? '') || labels['reason'] === 'access-denied' ? [column.ended, column.failed] : [column.ended]
    case metricNames.bytes:
      return [column.bytes]
    default:
      return undefined
  }
}

/** Keeps the newest proof of who is at both ends; only traffic that flowed since the last push proves anything. */
function learn(edge: Edge, ends: Ends, amount: number): void {
  if (amount <= 0 && edge.destinationIdentity !== '') return
  if (ends.source.identity !== '') edge.sourceIdentity = ends.source.identity
  if (ends.destination.identity !== '') edge.destinationIdentity = ends.destination.identity
  if (ends.mtls !== undefined) edge.mtls = ends.mtls
}

function countWorkload(edge: Edge, ends: Ends, increase: Increase): void {
  const { workload, version } = ends.destination
  if (workload === '') return
  let row = edge.workloads.get(workload)
  if (!row) {
    if (edge.workloads.size >= mostWorkloadsPerEdge) return
    row = { ring: new Ring(1), version }
    edge.workloads.set(workload, row)
  }
  const { ring } = row
  if (version !== '') row.version = version
  spread(increase.from, increase.to, increase.amount, (step, part) => ring.add(step, 0, part))
}

/** Only what this push tells; a sparse one tells what changed. */
function vitalsOf(families: readonly MetricFamily[], at: number): Vitals {
  const values = (name: string): readonly number[] | undefined =>
    families.find(family => family.name === name)?.metrics.map(metric => metric.value ?? 0)
  const certificate = families.find(family => family.name === metricNames.certificateExpiry)?.metrics.at(-1)
  const rejections = values(metricNames.rejections)?.reduce((sum, value) => sum + value, 0)
  return {
    lastAt: at,
    ...(certificate?.value === undefined
      ? {}
      : { certificate: { notAfter: at + certificate.value * 1000, serial: certificate.labels['serial'] ?? '' } }),
    ...(rejections === undefined ? {} : { rejections }),
  }
}

/** One string per metric and label set; labels arrive in one order from one proxy but need not from another. */
const keyOf = (name: string, labels: Readonly<Record<string, string>>): string =>
  `${name} ${Object.keys(labels)
    .sort()
    .map(label => `${label}=${labels[label]}`)
    .join('\u0001')}`
