/** One service in the picture: its name, how it does, and how its traffic splits over versions. */

import { IconWorld } from '@tabler/icons-react'
import type { Node, NodeProps } from '@xyflow/react'
import { Handle, Position } from '@xyflow/react'
import type { ReactNode } from 'react'
import type { Topology, TopologyService } from '../api/queries.ts'
import { bytesRate, latency, percent, rate } from '../shared/format.ts'
import { figuresOf, inboundOf, outboundOf, outside, readyOf, sharesOf, toneOf } from './figures.ts'
import css from './graph.module.css'
import { SplitBar } from './split-bar.tsx'

export type ServiceData = {
  readonly name: string
  readonly service: TopologyService | undefined
  readonly topology: Topology
  readonly isSelected: boolean
  readonly isDimmed: boolean
  readonly choose: (what: string | undefined) => void
}

export function ServiceNode({ data }: NodeProps<Node<ServiceData>>): ReactNode {
  const { name, service, topology, isSelected, isDimmed, choose } = data
  if (name === outside) return <Outside isDimmed={isDimmed} />
  const inbound = inboundOf(topology, name)
  const figures = figuresOf(inbound)
  const { ready, total } = readyOf(service ?? { workloads: [] })
  const shares = sharesOf(inbound)
  const isTcp = inbound.length > 0 && figures.httpRate === 0
  const tone = figures.rate > 0 ? toneOf(figures.success) : 'ok'
  const health = total === 0 || ready === 0 ? 'bad' : ready < total ? 'warn' : 'ok'
  return (
    <>
      <Anchors />
      <button
        type="button"
        className={`${css['node']} nodrag nopan`}
        data-tone={tone}
        data-selected={isSelected}
        data-dimmed={isDimmed}
        onClick={() => choose(`node/${name}`)}
        data-testid="node"
        data-service={service?.name ?? name}
      >
        <span className={css['head']}>
          <span className={css['health']} data-health={health} title={`${ready} of ${total} workloads ready`} />
          <b>{service?.name ?? name}</b>
          <span className={css['namespace']}>{service?.namespace}</span>
        </span>
        {figures.rate > 0 || figures.openConnections > 0 || figures.bytesPerSecond > 0 ? (
          <span className={css['figures']}>
            <span>{isTcp ? bytesRate(figures.bytesPerSecond) : rate(figures.rate)}</span>
            <span className={tone}>{percent(figures.success)}</span>
            <span className="soft">{isTcp || figures.p99 === undefined ? `${figures.openConnections} open` : latency(figures.p99)}</span>
          </span>
        ) : (
          <span className={`${css['figures']} soft`}>
            {total === 0 ? 'no workload' : outboundOf(topology, name).length > 0 ? 'only calls others' : 'no calls'}
          </span>
        )}
        {shares.length > 1 ? (
          <SplitBar shares={shares} isLabelled />
        ) : (
          <span className={`${css['workloads']} soft`}>{total === 1 ? '1 workload' : `${ready}/${total} workloads`}</span>
        )}
      </button>
    </>
  )
}

/** Threads are drawn by the layout's own path; the graph still wants two points to hold them by. */
const Anchors = (): ReactNode => (
  <>
    <Handle type="target" position={Position.Left} isConnectable={false} className={css['anchor'] ?? ''} />
    <Handle type="source" position={Position.Right} isConnectable={false} className={css['anchor'] ?? ''} />
  </>
)

const Outside = ({ isDimmed }: { isDimmed: boolean }): ReactNode => (
  <>
    <Anchors />
    <div className={`${css['node']} ${css['outside']}`} data-dimmed={isDimmed}>
      <IconWorld size={22} stroke={1.5} aria-hidden />
      <span>
        <b>outside</b>
        <br />
        <span className="soft">not in the mesh</span>
      </span>
    </div>
  </>
)
