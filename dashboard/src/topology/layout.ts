/** Where nodes and edges lie: left to right, computed in a worker, and only when the set of nodes and edges has changed. */

import type { ELK, ElkExtendedEdge, ElkNode } from 'elkjs/lib/elk-api.js'
import { useEffect, useState } from 'react'

export const nodeSize = { width: 188, height: 94 } as const
const labelSize = { width: 96, height: 38 } as const
/** Between nodes that have no edges, below the rest. */
const quietGap = { x: 24, y: 22, below: 64 } as const

export type Graph = {
  readonly nodes: readonly string[]
  readonly edges: readonly { readonly id: string; readonly source: string; readonly target: string }[]
}
type Point = { readonly x: number; readonly y: number }
/** points: from source to target, right angles. label: its middle. */
export type Layout = {
  readonly key: string
  readonly nodes: ReadonlyMap<string, Point>
  readonly edges: ReadonlyMap<string, { readonly points: readonly Point[]; readonly label: Point }>
}

let elk: Promise<ELK> | undefined
const startElk = (): Promise<ELK> =>
  (elk ??= Promise.all([import('elkjs/lib/elk-api.js'), import('elkjs/lib/elk-worker.min.js?url')]).then(
    ([api, worker]) => new api.default({ workerUrl: worker.default, workerFactory: url => new Worker(url ?? worker.default) }),
  ))

const options = {
  'elk.algorithm': 'layered',
  'elk.direction': 'RIGHT',
  'elk.edgeRouting': 'ORTHOGONAL',
  'elk.spacing.nodeNode': '40',
  'elk.spacing.edgeNode': '28',
  'elk.spacing.edgeEdge': '22',
  'elk.layered.spacing.nodeNodeBetweenLayers': '26',
  'elk.layered.spacing.edgeNodeBetweenLayers': '18',
  'elk.layered.spacing.edgeEdgeBetweenLayers': '14',
  'elk.edgeLabels.inline': 'true',
  'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
  'elk.layered.considerModelOrder.strategy': 'PREFER_NODES',
  'elk.separateConnectedComponents': 'true',
  'elk.spacing.componentComponent': '60',
  'elk.aspectRatio': '1.7',
}

async function compute(graph: Graph, key: string): Promise<Layout> {
  const engine = await startElk()
  const busy = new Set(graph.edges.flatMap(edge => [edge.source, edge.target]))
  const drawn = (await engine.layout({
    id: 'mesh',
    layoutOptions: options,
    children: graph.nodes.filter(id => busy.has(id)).map(id => ({ id, ...nodeSize })),
    edges: graph.edges.map(({ id, source, target }) => ({
      id,
      sources: [source],
      targets: [target],
      labels: [
        {
          id: `label ${id}`,
          text: id,
          ...labelSize,
          layoutOptions: { 'elk.edgeLabels.placement': 'CENTER', 'elk.edgeLabels.inline': 'true' },
        },
      ],
    })),
  })) as ElkNode & { edges?: ElkExtendedEdge[] }
  return {
    key,
    nodes: new Map([
      ...(drawn.children ?? []).map((node): [string, Point] => [node.id, { x: node.x ?? 0, y: node.y ?? 0 }]),
      ...placeQuiet(
        graph.nodes.filter(id => !busy.has(id)),
        drawn,
      ),
    ]),
    edges: new Map((drawn.edges ?? []).map(edge => [edge.id, pathOf(edge)])),
  }
}

/** Services without traffic stand in rows under the picture, as wide as it is. */
function placeQuiet(ids: readonly string[], drawn: ElkNode): readonly [string, Point][] {
  const step = { x: nodeSize.width + quietGap.x, y: nodeSize.height + quietGap.y }
  const perRow = Math.max(4, Math.floor(((drawn.width ?? 0) + quietGap.x) / step.x))
  const top = (drawn.children ?? []).length === 0 ? 0 : (drawn.height ?? 0) + quietGap.below
  return ids.map((id, index) => [id, { x: (index % perRow) * step.x + 12, y: top + Math.floor(index / perRow) * step.y }])
}

function pathOf(edge: ElkExtendedEdge): { readonly points: readonly Point[]; readonly label: Point } {
  const points = (edge.sections ?? []).flatMap(section => [section.startPoint, ...(section.bendPoints ?? []), section.endPoint])
  const label = edge.labels?.[0]
  const middle = points[Math.floor(points.length / 2)] ?? { x: 0, y: 0 }
  return {
    points,
    label:
      label?.x === undefined || label.y === undefined ? middle : { x: label.x + labelSize.width / 2, y: label.y + labelSize.height / 2 },
  }
}

/** The newest finished layout, of this graph or still of the one before; undefined until the first is there. */
export function useLayout(graph: Graph): Layout | undefined {
  const [layout, setLayout] = useState<Layout>()
  const key = [...graph.nodes, ...graph.edges.map(edge => edge.id)].join('|')
  useEffect(() => {
    let isWanted = true
    void compute(graph, key).then(done => isWanted && setLayout(done))
    return () => {
      isWanted = false
    }
    // The key says everything of the graph that a layout depends on.
  }, [key])
  return layout
}

/** An SVG path through points at right angles, its corners rounded. */
export function roundedPath(points: readonly Point[], radius = 12): string {
  const [first, ...rest] = points
  if (!first) return ''
  let path = `M${first.x} ${first.y}`
  for (const [index, point] of rest.entries()) {
    const before = index === 0 ? first : rest[index - 1]!
    const after = rest[index + 1]
    if (!after) return `${path}L${point.x} ${point.y}`
    const into = Math.min(radius, distance(before, point) / 2)
    const out = Math.min(radius, distance(point, after) / 2)
    const start = towards(point, before, into)
    const end = towards(point, after, out)
    path += `L${start.x} ${start.y}Q${point.x} ${point.y} ${end.x} ${end.y}`
  }
  return path
}

const distance = (a: Point, b: Point): number => Math.hypot(a.x - b.x, a.y - b.y)
const towards = (from: Point, to: Point, by: number): Point => {
  const whole = distance(from, to) || 1
  return { x: from.x + ((to.x - from.x) * by) / whole, y: from.y + ((to.y - from.y) * by) / whole }
}
