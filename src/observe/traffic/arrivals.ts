/** How callers came to each workload: proved by mutual TLS, in plaintext and from where, or refused; by proxy and listener. */

import type { MetricFamily } from '#model/metrics'
import { metricNames } from '#model/metrics'

/** connections: since its proxy started. lastAt: ms, when the control plane was told that there was one more. */
export type Plain = { readonly source: string; readonly connections: number; readonly open: number; readonly lastAt: number }
export type ArrivalsAt = { readonly mutual: number; readonly plaintext: readonly Plain[]; readonly refused: readonly Plain[] }
/** since: ms, from when on it is watched. by: listener. */
export type ArrivalsOf = { readonly since: number; readonly by: ReadonlyMap<string, ArrivalsAt> }

/** A proxy has at most three for each listener and each of its first hundred callers. */
const mostOfOne = 2000

type Row = { readonly listener: string; readonly tls: string; source: string; connections: number; open: number; lastAt: number }
type Proxy = { readonly since: number; readonly rows: Map<string, Row> }

export class Arrivals {
  readonly #byProxy = new Map<string, Proxy>()

  /** Of the first push of a proxy it is not known how long ago it was: it counts as now. */
  take(proxyId: string, families: readonly MetricFamily[], at: number): void {
    const counted = families.find(({ name }) => name === metricNames.arrivals)
    const open = families.find(({ name }) => name === metricNames.arrived)
    if (counted === undefined && open === undefined) return
    const proxy = this.#byProxy.get(proxyId) ?? { since: at, rows: new Map<string, Row>() }
    this.#byProxy.set(proxyId, proxy)
    for (const { labels, value = 0 } of counted?.metrics ?? []) {
      const row = rowOf(proxy, labels)
      if (row === undefined) continue
      if (value !== row.connections) row.lastAt = at
      row.connections = value
    }
    for (const { labels, value = 0 } of open?.metrics ?? []) {
      const row = rowOf(proxy, labels)
      if (row === undefined) continue
      // It was open until now.
      if (value < row.open) row.lastAt = at
      row.open = value
    }
  }

  of(proxyId: string): ArrivalsOf | undefined {
    const proxy = this.#byProxy.get(proxyId)
    if (proxy === undefined) return undefined
    const by = Map.groupBy(
      [...proxy.rows.values()].filter(({ listener }) => listener !== ''),
      row => row.listener,
    )
    return {
      since: proxy.since,
      by: new Map([...by].map(([listener, rows]) => [listener, arrivalsAt(rows)])),
    }
  }

  /** A proxy that is gone can no longer say that a connection is closed. */
  leave(proxyId: string): void {
    for (const row of this.#byProxy.get(proxyId)?.rows.values() ?? []) row.open = 0
  }

  forget(proxyId: string): void {
    this.#byProxy.delete(proxyId)
  }
}

function rowOf({ rows }: Proxy, { listener = '', tls = '', source = '' }: Readonly<Record<string, string>>): Row | undefined {
  const key = `${listener} ${tls} ${source}`
  const known = rows.get(key)
  if (known !== undefined || rows.size >= mostOfOne) return known
  const row: Row = { listener, tls, source, connections: 0, open: 0, lastAt: 0 }
  rows.set(key, row)
  return row
}

function arrivalsAt(rows: readonly Row[]): ArrivalsAt {
  const those = (wanted: string): readonly Plain[] =>
    rows
      .filter(({ tls }) => tls === wanted)
      .map(({ source, connections, open, lastAt }) => ({ source, connections, open, lastAt }))
      .sort((one, other) => other.lastAt - one.lastAt || (one.source < other.source ? -1 : 1))
  return {
    mutual: those('mutual').reduce((sum, { connections }) => sum + connections, 0),
    plaintext: those('plaintext'),
    refused: those('refused'),
  }
}
