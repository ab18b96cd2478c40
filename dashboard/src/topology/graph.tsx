/** The picture: services as nodes, traffic as threads between them. Positions come from the layout, numbers from the last answer. */

import '@xyflow/react/dist/base.css'
import type { Edge, Node } from '@xyflow/react'
import { Background, BackgroundVariant, Controls, Panel, ReactFlow, ReactFlowProvider, useReactFlow, useStore } from '@xyflow/react'
import { IconLock, IconLockOpen } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { useEffect, useMemo } from 'react'
import type { Topology } from '../api/queries.ts'
import { Loading } from '../shared/empty.tsx'
import type { ThreadData } from './edge.tsx'
import { Thread } from './edge.tsx'
import { edgeId, nameOf, serviceName, wholeOf } from './figures.ts'
import css from './graph.module.css'
import type { Graph } from './layout.ts'
import { nodeSize, useLayout } from './layout.ts'
import type { ServiceData } from './node.tsx'
import { ServiceNode } from './node.tsx'

const nodeTypes = { service: ServiceNode }
const edgeTypes = { thread: Thread }

type Props = { readonly topology: Topology; readonly selected: string | undefined; readonly choose: (what: string | undefined) => void }

export const MeshGraph = (props: Props): ReactNode => (
  <ReactFlowProvider>
    <Drawn {...props} />
  </ReactFlowProvider>
)

/** A version of a service that nobody calls by its own name is shown inside the service. */
function graphOf(topology: Topology): Graph {
  const called = topology.edges.flatMap(edge => [nameOf(edge.source), nameOf(edge.destination)])
  const standing = topology.services.filter(service => wholeOf(topology, service) === undefined).map(serviceName)
  return {
    nodes: [...new Set([...standing, ...called])].sort(),
    edges: topology.edges
      .map(edge => ({ id: edgeId(edge), source: nameOf(edge.source), target: nameOf(edge.destination) }))
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
  }
}

function Drawn({ topology, selected, choose }: Props): ReactNode {
  const graph = useMemo(() => graphOf(topology), [topology])
  const layout = useLayout(graph)
  const { fitView } = useReactFlow()
  const width = useStore(state => state.width)
  const height = useStore(state => state.height)
  useEffect(() => {
    if (!layout || width === 0) return
    const near = touched(topology, selected)
    requestAnimationFrame(
      () =>
        void fitView({
          padding: 0.08,
          maxZoom: near ? 0.9 : 1.1,
          duration: 250,
          ...(near ? { nodes: [...near].map(id => ({ id })) } : {}),
        }),
    )
    // Fresh numbers must not move the picture: only its shape, its room, and what is looked at.
  }, [layout?.key, width, height, selected])
  if (!layout) return <Loading />

  const touching = touched(topology, selected)
  const nodes = graph.nodes.flatMap((id): Node<ServiceData>[] => {
    const position = layout.nodes.get(id)
    if (!position) return []
    const service = topology.services.find(service => serviceName(service) === id)
    const data: ServiceData = {
      name: id,
      service,
      topology,
      isSelected: selected === `node/${id}`,
      isDimmed: touching !== undefined && !touching.has(id),
      choose,
    }
    return [{ id, type: 'service', position, data, ...nodeSize, initialWidth: nodeSize.width, initialHeight: nodeSize.height }]
  })
  const edges = topology.edges.flatMap((edge): Edge<ThreadData>[] => {
    const id = edgeId(edge)
    const route = layout.edges.get(id)
    const isSelected = selected === `edge/${id}`
    const isDimmed =
      touching !== undefined &&
      !isSelected &&
      !(selected?.startsWith('node/') && (selected === `node/${nameOf(edge.source)}` || selected === `node/${nameOf(edge.destination)}`))
    return route
      ? [
          {
            id,
            type: 'thread',
            source: nameOf(edge.source),
            target: nameOf(edge.destination),
            data: { edge, route, isSelected, isDimmed, choose },
          },
        ]
      : []
  })
  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={nodeTypes}
      edgeTypes={edgeTypes}
      nodesDraggable={false}
      nodesConnectable={false}
      nodesFocusable={false}
      edgesFocusable={false}
      elementsSelectable={false}
      onPaneClick={() => choose(undefined)}
      minZoom={0.15}
      maxZoom={2}
      proOptions={{ hideAttribution: true }}
      className={css['flow'] ?? ''}
      aria-label="Services and the traffic between them"
      data-testid="topology"
    >
      <Background variant={BackgroundVariant.Dots} gap={22} size={1.2} className={css['dots'] ?? ''} />
      <Controls showInteractive={false} className={css['controls'] ?? ''} />
      <Panel position="bottom-right">
        <Legend />
      </Panel>
    </ReactFlow>
  )
}

/** The nodes that stay bright while something is selected: it and its neighbours. */
function touched(topology: Topology, selected: string | undefined): ReadonlySet<string> | undefined {
  if (selected === undefined) return undefined
  const near = topology.edges.filter(
    edge =>
      selected === `edge/${edgeId(edge)}` || selected === `node/${nameOf(edge.source)}` || selected === `node/${nameOf(edge.destination)}`,
  )
  const names = new Set(near.flatMap(edge => [nameOf(edge.source), nameOf(edge.destination)]))
  if (selected.startsWith('node/')) names.add(selected.slice('node/'.length))
  return names.size > 0 ? names : undefined
}

const Legend = (): ReactNode => (
  <ul className={css['legend']} aria-label="Legend">
    <li>
      <svg width="30" height="8" aria-hidden>
        <line x1="0" y1="4" x2="14" y2="4" className={css['thin']} />
        <line x1="16" y1="4" x2="30" y2="4" className={css['thick']} />
      </svg>
      thicker is more traffic
    </li>
    <li>
      <svg width="30" height="8" aria-hidden>
        <line x1="0" y1="4" x2="30" y2="4" className={css['failing']} />
      </svg>
      success under 99 %
    </li>
    <li>
      <svg width="30" height="8" aria-hidden>
        <line x1="0" y1="4" x2="30" y2="4" className={css['tcp']} />
      </svg>
      TCP
    </li>
    <li>
      <IconLock size={13} className="ok" aria-hidden /> mutual TLS
    </li>
    <li>
      <IconLockOpen size={13} className="warn" aria-hidden /> plaintext
    </li>
  </ul>
)
