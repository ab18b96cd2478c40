/** The panel beside the picture: the golden signals of what was clicked, who is at its ends, and where to read on. */

import { Badge, CloseButton, Group, Stack, Text } from '@mantine/core'
import { useHotkeys } from '@mantine/hooks'
import { IconArrowRight, IconLock, IconLockOpen } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { Topology, TopologyEdge, TopologyService } from '../api/queries.ts'
import { useSeries } from '../api/queries.ts'
import { bytesRate, latency, percent, rate } from '../shared/format.ts'
import { Identity } from '../shared/identity.tsx'
import { Sparkline } from '../shared/sparkline.tsx'
import type { Figures } from './figures.ts'
import { edgeId, figuresOf, inboundOf, nameOf, outboundOf, outside, readyOf, serviceName, sharesOf, toneOf } from './figures.ts'
import css from './panel.module.css'
import { SplitBar } from './split-bar.tsx'

function Panel({ title, kind, close, children }: { title: ReactNode; kind: string; close: () => void; children: ReactNode }): ReactNode {
  useHotkeys([['Escape', close]])
  return (
    <aside className={css['panel']} aria-label={`About this ${kind}`} data-testid={`${kind}-panel`}>
      <Group justify="space-between" align="start" wrap="nowrap" mb="sm">
        <div>
          <Text size="xs" c="dimmed">
            {kind}
          </Text>
          <h2 className={css['title']}>{title}</h2>
        </div>
        <CloseButton onClick={close} aria-label="Close" />
      </Group>
      <Stack gap="lg">{children}</Stack>
    </aside>
  )
}

const Signals = ({ figures, isTcp }: { figures: Figures; isTcp: boolean }): ReactNode => (
  <dl className={css['signals']}>
    <div>
      <dt>{isTcp ? 'Connections' : 'Requests'}</dt>
      <dd>{rate(figures.rate)}</dd>
    </div>
    <div>
      <dt>Success</dt>
      <dd className={figures.rate > 0 ? toneOf(figures.success) : ''}>{percent(figures.success)}</dd>
    </div>
    <div>
      <dt>{isTcp ? 'Open' : 'p50'}</dt>
      <dd>{isTcp ? figures.openConnections : latency(figures.p50)}</dd>
    </div>
    <div>
      <dt>{isTcp ? 'Bytes' : 'p99'}</dt>
      <dd>{isTcp ? bytesRate(figures.bytesPerSecond) : latency(figures.p99)}</dd>
    </div>
  </dl>
)

export function EdgePanel({ edge, close }: { edge: TopologyEdge; close: () => void }): ReactNode {
  const shares = sharesOf([edge])
  return (
    <Panel
      kind="edge"
      close={close}
      title={
        <>
          {edge.source.service} <IconArrowRight size={16} aria-label="to" /> {edge.destination.service}
        </>
      }
    >
      <Signals figures={figuresOf([edge])} isTcp={edge.protocol === 'tcp'} />
      <Group gap="xs">
        <Badge
          variant="light"
          color={edge.mtls ? 'teal' : 'orange'}
          leftSection={edge.mtls ? <IconLock size={12} /> : <IconLockOpen size={12} />}
        >
          {edge.mtls ? 'mutual TLS' : 'plaintext'}
        </Badge>
        <Badge variant="light" color="gray">
          {edge.protocol.toUpperCase()}
        </Badge>
        <Badge variant="light" color="gray">
          {bytesRate(edge.bytesPerSecond)}
        </Badge>
        <Badge variant="light" color="gray">
          {edge.openConnections} open
        </Badge>
      </Group>
      {shares.length > 0 && (
        <section>
          <h3>Answered by</h3>
          {shares.length > 1 && <SplitBar shares={shares} />}
          <table className={css['rows']}>
            <tbody>
              {edge.versions.map(row => (
                <tr key={row.workload}>
                  <td>
                    <Link to="/proxies/$proxy" params={{ proxy: row.workload }}>
                      {row.workload}
                    </Link>
                  </td>
                  <td className="soft">{row.version}</td>
                  <td className="number">{rate(row.rate)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
      <section>
        <h3>Identities</h3>
        <Identity label="Caller" id={edge.source.identity} />
        <Identity label="Called" id={edge.destination.identity} />
      </section>
      <Group gap="md">
        {[edge.source, edge.destination]
          .filter(end => end.service !== outside)
          .map(end => (
            <Link key={nameOf(end)} to="/services/$service" params={{ service: nameOf(end) }}>
              Open {end.service}
            </Link>
          ))}
      </Group>
    </Panel>
  )
}

type NodeProps = {
  readonly service: TopologyService
  readonly topology: Topology
  readonly close: () => void
  readonly choose: (what: string) => void
}

export function NodePanel({ service, topology, close, choose }: NodeProps): ReactNode {
  const name = serviceName(service)
  const inbound = inboundOf(topology, name)
  const outbound = outboundOf(topology, name)
  const figures = figuresOf(inbound)
  const points = useSeries(name, 'inbound').data?.points ?? []
  const { ready, total } = readyOf(service)
  const shares = sharesOf(inbound)
  return (
    <Panel kind="service" close={close} title={service.name}>
      <Signals figures={figures} isTcp={figures.httpRate === 0 && figures.tcpRate > 0} />
      {points.length > 1 && <Sparkline values={points.map(point => point.rate)} label="Rate in the last ten minutes" />}
      <Group gap="xs">
        <Badge variant="light" color={ready === total && total > 0 ? 'teal' : ready > 0 ? 'orange' : 'red'}>
          {ready}/{total} ready
        </Badge>
        <Badge variant="light" color="gray">
          {service.namespace}
        </Badge>
      </Group>
      {shares.length > 1 && (
        <section>
          <h3>Split</h3>
          <SplitBar shares={shares} isLabelled />
        </section>
      )}
      <Neighbours title="Called by" edges={inbound} end="source" choose={choose} />
      <Neighbours title="Calls" edges={outbound} end="destination" choose={choose} />
      <Link to="/services/$service" params={{ service: name }} data-testid="open-service">
        Open the service: charts, routes, split
      </Link>
    </Panel>
  )
}

const Neighbours = ({
  title,
  edges,
  end,
  choose,
}: {
  title: string
  edges: readonly TopologyEdge[]
  end: 'source' | 'destination'
  choose: (what: string) => void
}): ReactNode =>
  edges.length === 0 ? null : (
    <section>
      <h3>{title}</h3>
      <table className={css['rows']}>
        <tbody>
          {edges.map(edge => (
            <tr key={edgeId(edge)}>
              <td>
                <button type="button" className={css['jump']} onClick={() => choose(`edge/${edgeId(edge)}`)}>
                  {edge[end].service}
                </button>
              </td>
              <td className="number">{rate(edge.rate)}</td>
              <td className={`number ${toneOf(edge.success)}`}>{percent(edge.success)}</td>
              <td className="number soft">{edge.protocol === 'tcp' ? 'TCP' : latency(edge.p99)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
