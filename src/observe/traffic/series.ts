/** Draws the curves of one service: a point per step, all its edges of one side added up. */

import type { MetricSource } from '#model/metrics'
import type { Series, SeriesPoint } from '#model/topology'
import { chooseEdges } from './choose.ts'
import type { Edge } from './edge.ts'
import { column } from './edge.ts'
import { bucketColumns } from './quantile.ts'
import { stepCount, stepMs, stepOf } from './ring.ts'
import { quantiles } from './topology.ts'

/** The newest step is left out until this long after its end: its pushes are still on their way. */
const settleMs = 2_000

export function readSeries(
  edges: readonly Edge[],
  sources: readonly MetricSource[],
  service: string,
  seconds: number,
  side: 'inbound' | 'outbound',
  now: number,
): Series {
  const own = chooseEdges(edges, sources).filter(edge => {
    const end = side === 'inbound' ? edge.destination : edge.source
    return `${end.service}.${end.namespace}` === service
  })
  const last = stepOf(now - settleMs) - 1
  const count = Math.min(stepCount - 1, Math.max(1, Math.ceil((seconds * 1000) / stepMs)))
  return {
    service,
    stepSeconds: stepMs / 1000,
    points: Array.from({ length: count }, (_, index) => drawPoint(own, last - count + 1 + index)),
  }
}

function drawPoint(edges: readonly Edge[], step: number): SeriesPoint {
  const sum = (at: number, of: readonly Edge[] = edges): number => of.reduce((total, edge) => total + edge.ring.get(step, at), 0)
  const http = edges.filter(edge => edge.protocol === 'http')
  const ended = sum(column.ended)
  return {
    at: step * stepMs,
    rate: (sum(column.calls) * 1000) / stepMs,
    success: ended > 0 ? Math.max(0, 1 - sum(column.failed) / ended) : 1,
    ...quantiles(Array.from({ length: bucketColumns }, (_, bucket) => sum(column.latency + bucket, http))),
    bytesPerSecond: (sum(column.bytes) * 1000) / stepMs,
    connections: sum(column.active),
  }
}
