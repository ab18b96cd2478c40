/** The home page: the mesh as a living picture, and a panel about what was clicked. */

import { Group, SegmentedControl, Tooltip } from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import { IconTopologyStar3 } from '@tabler/icons-react'
import { useNavigate, useSearch } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useMemo } from 'react'
import type { Topology } from '../api/queries.ts'
import { useTopology } from '../api/queries.ts'
import { Empty, Loading, Refused } from '../shared/empty.tsx'
import { latency, percent, rate } from '../shared/format.ts'
import { inNamespace, useNamespace } from '../shared/namespace.ts'
import { NamespaceSelect } from '../shared/namespace-select.tsx'
import { edgeId, figuresOf, nameOf, serviceName, toneOf } from './figures.ts'
import { MeshGraph } from './graph.tsx'
import css from './page.module.css'
import { EdgePanel, NodePanel } from './panel.tsx'

export function TopologyPage(): ReactNode {
  const { select, seconds: chosenSeconds } = useSearch({ from: '/' })
  const seconds = chosenSeconds ?? 60
  const navigate = useNavigate({ from: '/' })
  useDocumentTitle('Topology · Weft')
  const topology = useTopology(seconds)
  const [namespace] = useNamespace()
  const choose = (what: string | undefined): void =>
    void navigate({
      search: { ...(chosenSeconds === undefined ? {} : { seconds: chosenSeconds }), ...(what === undefined ? {} : { select: what }) },
      replace: true,
    })
  const shown = useMemo(() => topology.data && narrow(topology.data, namespace), [topology.data, namespace])
  if (!shown || !topology.data)
    return topology.error ? <Refused error={topology.error} retry={() => void topology.refetch()} /> : <Loading />
  const edge = shown.edges.find(edge => select === `edge/${edgeId(edge)}`)
  const service = shown.services.find(service => select === `node/${serviceName(service)}`)
  return (
    <div className={css['page']}>
      <header className={css['bar']}>
        <h1 className={css['title']}>Topology</h1>
        <Summary topology={shown} />
        <Group gap="xs" ml="auto" wrap="nowrap">
          <NamespaceSelect of={topology.data.services.map(service => service.namespace)} />
          <Tooltip label="Rates and latency over this time">
            <SegmentedControl
              size="xs"
              aria-label="Time that rates look back"
              data={[
                { value: '30', label: '30 s' },
                { value: '60', label: '1 min' },
                { value: '300', label: '5 min' },
              ]}
              value={String(seconds)}
              onChange={value =>
                void navigate({ search: { ...(select === undefined ? {} : { select }), seconds: Number(value) }, replace: true })
              }
            />
          </Tooltip>
        </Group>
      </header>
      <div className={css['body']}>
        <div className={css['picture']}>
          {shown.services.length === 0 ? <NothingRuns /> : <MeshGraph topology={shown} selected={select} choose={choose} />}
        </div>
        {edge && <EdgePanel edge={edge} close={() => choose(undefined)} />}
        {service && <NodePanel service={service} topology={topology.data} close={() => choose(undefined)} choose={choose} />}
      </div>
    </div>
  )
}

/** What belongs to a namespace, and the ends outside it that its edges touch. */
function narrow(topology: Topology, namespace: string | null): Topology {
  if (namespace === null) return topology
  const edges = topology.edges.filter(edge => edge.source.namespace === namespace || edge.destination.namespace === namespace)
  const touched = new Set(edges.flatMap(edge => [nameOf(edge.source), nameOf(edge.destination)]))
  return {
    ...topology,
    edges,
    services: topology.services.filter(service => inNamespace(namespace)(service) || touched.has(serviceName(service))),
  }
}

function Summary({ topology }: { topology: Topology }): ReactNode {
  const all = figuresOf(topology.edges)
  const secured = topology.edges.filter(edge => edge.mtls).length
  if (topology.edges.length === 0) return null
  const facts: readonly [string, string, string?][] = [
    [rate(all.httpRate), 'requests'],
    [percent(all.success), 'success', toneOf(all.success)],
    [latency(all.p99), 'slowest p99'],
    [`${secured}/${topology.edges.length}`, 'edges with mTLS', secured === topology.edges.length ? 'ok' : 'warn'],
  ]
  return (
    <dl className={css['facts']} data-testid="summary">
      {facts.map(([value, label, tone]) => (
        <div key={label}>
          <dd className={`number ${tone ?? ''}`}>{value}</dd>
          <dt>{label}</dt>
        </div>
      ))}
    </dl>
  )
}

const NothingRuns = () => (
  <Empty icon={<IconTopologyStar3 size={40} stroke={1.2} />} title="Nothing runs in this mesh yet">
    Put a first process into it; it shows up here within seconds.
    <pre className={css['command']}>weft run --name hello --port 8080 -- python3 -m http.server 8080</pre>
  </Empty>
)
