/** One thread: thick by rate, moving by rate, red when it fails, with its figures on a button in its middle. */

import { IconLock, IconLockOpen } from '@tabler/icons-react'
import type { Edge, EdgeProps } from '@xyflow/react'
import { EdgeLabelRenderer } from '@xyflow/react'
import type { ReactNode } from 'react'
import type { TopologyEdge } from '../api/queries.ts'
import { bytesRate, latency, percent, rate } from '../shared/format.ts'
import { edgeId, nameOf, toneOf } from './figures.ts'
import css from './graph.module.css'
import type { Layout } from './layout.ts'
import { roundedPath } from './layout.ts'

type Route = NonNullable<ReturnType<Layout['edges']['get']>>
export type ThreadData = {
  readonly edge: TopologyEdge
  readonly route: Route
  readonly isSelected: boolean
  readonly isDimmed: boolean
  readonly choose: (what: string | undefined) => void
}

/** 1.5 px for a trickle, 7 px from some thousands a second on. */
/** What a thread carries, as requests: a connection that lives long counts by its bytes. */
const loadOf = (edge: TopologyEdge): number => (edge.protocol === 'http' ? edge.rate : Math.max(edge.rate, edge.bytesPerSecond / 1_000))

const widthOf = (perSecond: number): number => Math.min(7, 1.5 + 1.5 * Math.log10(1 + perSecond))
/** Seconds in which the dashes move on by one: faster with more traffic, never a blur. */
const paceOf = (perSecond: number): number => (perSecond <= 0 ? 0 : Math.max(0.35, 2.4 - 0.6 * Math.log10(1 + perSecond)))

export function Thread({ data }: EdgeProps<Edge<ThreadData>>): ReactNode {
  if (!data) return null
  const { edge, route, isSelected, isDimmed, choose } = data
  const path = roundedPath(route.points)
  const tone = edge.rate > 0 ? toneOf(edge.success) : 'ok'
  const load = loadOf(edge)
  const width = widthOf(load)
  const open = (): void => choose(`edge/${edgeId(edge)}`)
  const state = { 'data-tone': tone, 'data-protocol': edge.protocol, 'data-selected': isSelected, 'data-dimmed': isDimmed }
  return (
    <>
      <g className={css['thread']} {...state}>
        <path d={path} className={css['base']} style={{ strokeWidth: width }} />
        {load > 0 && (
          <path
            d={path}
            className={css['flowing']}
            style={{ strokeWidth: Math.max(1.4, width * 0.55), animationDuration: `${paceOf(load)}s` }}
          />
        )}
        <path d={path} className={css['reach']} onClick={open} />
      </g>
      <EdgeLabelRenderer>
        <button
          type="button"
          className={`${css['label']} nodrag nopan`}
          style={{ transform: `translate(-50%, -50%) translate(${route.label.x}px, ${route.label.y}px)` }}
          onClick={open}
          data-testid="edge"
          data-edge={`${edge.source.service}>${edge.destination.service}`}
          data-rate={edge.rate.toFixed(2)}
          data-mtls={edge.mtls}
          aria-label={`${nameOf(edge.source)} to ${nameOf(edge.destination)}: ${rate(edge.rate)}, ${percent(edge.success)} success, ${edge.mtls ? 'mutual TLS' : 'plaintext'}`}
          {...state}
        >
          <span>
            {edge.mtls ? <IconLock size={12} className="ok" /> : <IconLockOpen size={12} className="warn" />}
            <b>{edge.protocol === 'http' ? rate(edge.rate) : bytesRate(edge.bytesPerSecond)}</b>
          </span>
          <span>
            <span className={tone}>{percent(edge.success)}</span>
            <span className="soft">{edge.protocol === 'http' ? latency(edge.p99) : `${edge.openConnections} open`}</span>
          </span>
        </button>
      </EdgeLabelRenderer>
    </>
  )
}
