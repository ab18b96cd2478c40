/** One service: its ten minutes, who calls it and whom it calls, its routes with their split, its workloads. */

import { Badge, SegmentedControl } from '@mantine/core'
import { IconHexagons } from '@tabler/icons-react'
import { Link, useParams } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useState } from 'react'
import type { Topology, TopologyEdge, TopologyService } from '../api/queries.ts'
import { useProxies, useSeries, useTopology } from '../api/queries.ts'
import { Empty, Loading, Refused } from '../shared/empty.tsx'
import { latency, percent, rate } from '../shared/format.ts'
import { Page, Section } from '../shared/page.tsx'
import type { Column } from '../shared/table.tsx'
import { Table } from '../shared/table.tsx'
import {
  edgeId,
  figuresOf,
  inboundOf,
  nameOf,
  outboundOf,
  outside,
  readyOf,
  serviceName,
  sharesOf,
  toneOf,
  wholeOf,
} from '../topology/figures.ts'
import { SplitBar } from '../topology/split-bar.tsx'
import { Charts } from './charts.tsx'
import { Routes } from './routes.tsx'
import css from './service.module.css'

export function ServicePage(): ReactNode {
  const { service: name } = useParams({ from: '/services/$service' })
  const topology = useTopology(15)
  if (!topology.data) return topology.error ? <Refused error={topology.error} retry={() => void topology.refetch()} /> : <Loading />
  const service = topology.data.services.find(service => serviceName(service) === name)
  if (!service) {
    return (
      <Empty icon={<IconHexagons size={36} stroke={1.2} />} title={`There is no service ${name}`}>
        It may have ended. <Link to="/services">See all services</Link>
      </Empty>
    )
  }
  return <Known key={name} name={name} service={service} topology={topology.data} />
}

function Known({ name, service, topology }: { name: string; service: TopologyService; topology: Topology }): ReactNode {
  const [side, setSide] = useState<'inbound' | 'outbound'>('inbound')
  const inbound = inboundOf(topology, name)
  const outbound = outboundOf(topology, name)
  const figures = figuresOf(side === 'inbound' ? inbound : outbound)
  const series = useSeries(name, side)
  const { ready, total } = readyOf(service)
  const shares = sharesOf(inbound)
  const whole = wholeOf(topology, service)
  return (
    <Page
      name={service.name}
      before={<Link to="/services">Services</Link>}
      title={
        <>
          <span data-testid="service-name">{service.name}</span>
          <span className={css['namespace']}>{service.namespace}</span>
          <Badge variant="light" color={total > 0 && ready === total ? 'teal' : ready > 0 ? 'orange' : 'red'}>
            {ready}/{total} ready
          </Badge>
        </>
      }
      aside={
        <SegmentedControl
          size="xs"
          aria-label="Side"
          data={[
            { value: 'inbound', label: 'What it is asked' },
            { value: 'outbound', label: 'What it asks' },
          ]}
          value={side}
          onChange={value => setSide(value as 'inbound' | 'outbound')}
        />
      }
    >
      {whole && inbound.length === 0 && (
        <p className="soft">
          Its workloads belong to{' '}
          <Link to="/services/$service" params={{ service: serviceName(whole) }}>
            {whole.name}
          </Link>
          ; calls to them are counted there.
        </p>
      )}
      <Charts series={series.data} figures={figures} isTcp={figures.tcpRate > 0 && figures.httpRate === 0} />
      <Routes service={service} topology={topology} />
      {shares.length > 1 && (
        <Section title="Traffic by version, last 15 s" testid="versions">
          <div className={`panel ${css['pad']}`}>
            <SplitBar shares={shares} isLabelled />
          </div>
        </Section>
      )}
      <div className={css['two']}>
        <Section title="Called by">
          <Edges edges={inbound} end="source" none="Nobody calls it at the moment." />
        </Section>
        <Section title="Calls">
          <Edges edges={outbound} end="destination" none="It calls nobody at the moment." />
        </Section>
      </div>
      <Section title="Workloads">
        <Workloads service={service} inbound={inbound} />
      </Section>
    </Page>
  )
}

function Edges({ edges, end, none }: { edges: readonly TopologyEdge[]; end: 'source' | 'destination'; none: string }): ReactNode {
  const columns: readonly Column<TopologyEdge>[] = [
    {
      id: 'name',
      name: end === 'source' ? 'Caller' : 'Called',
      value: edge => nameOf(edge[end]),
      show: edge =>
        edge[end].service === outside ? (
          outside
        ) : (
          <Link to="/services/$service" params={{ service: nameOf(edge[end]) }}>
            {edge[end].service}
          </Link>
        ),
    },
    { id: 'rate', name: 'Rate', end: true, value: edge => edge.rate, show: edge => rate(edge.rate) },
    {
      id: 'success',
      name: 'Success',
      end: true,
      value: edge => edge.success,
      show: edge => <span className={toneOf(edge.success)}>{percent(edge.success)}</span>,
    },
    {
      id: 'p99',
      name: 'p99',
      end: true,
      value: edge => edge.p99 ?? -1,
      show: edge => (edge.protocol === 'tcp' ? 'TCP' : latency(edge.p99)),
    },
    {
      id: 'mtls',
      name: 'Secured',
      value: edge => (edge.mtls ? 'mTLS' : 'plaintext'),
      show: edge => (
        <Badge size="sm" variant="light" color={edge.mtls ? 'teal' : 'orange'}>
          {edge.mtls ? 'mTLS' : 'plaintext'}
        </Badge>
      ),
    },
  ]
  return (
    <Table
      testid={`edges-${end}`}
      rows={edges}
      columns={columns}
      keyOf={edgeId}
      sortBy={{ id: 'rate', desc: true }}
      none={<p className="soft">{none}</p>}
    />
  )
}

function Workloads({ service, inbound }: { service: TopologyService; inbound: readonly TopologyEdge[] }): ReactNode {
  const proxies = useProxies().data ?? []
  type Row = TopologyService['workloads'][number]
  const rateOf = (row: Row): number =>
    inbound
      .flatMap(edge => edge.versions)
      .reduce(
        (sum, entry) => sum + (entry.workload === row.name || entry.workload === `${row.name}.${service.namespace}` ? entry.rate : 0),
        0,
      )
  const columns: readonly Column<Row>[] = [
    {
      id: 'name',
      name: 'Workload',
      value: row => row.name,
      show: row => {
        const id = proxies.find(proxy => proxy.id === row.name || proxy.id === `${row.name}.${service.namespace}`)?.id
        return id ? (
          <Link to="/proxies/$proxy" params={{ proxy: id }}>
            {row.name}
          </Link>
        ) : (
          row.name
        )
      },
    },
    { id: 'version', name: 'Version', value: row => row.version ?? '' },
    {
      id: 'health',
      name: 'Health',
      value: row => row.health,
      show: row => <span className={row.health === 'healthy' ? 'ok' : row.health === 'unhealthy' ? 'bad' : 'warn'}>{row.health}</span>,
    },
    { id: 'rate', name: 'Rate', end: true, value: rateOf, show: row => rate(rateOf(row)) },
  ]
  return (
    <Table
      testid="workloads"
      rows={service.workloads}
      columns={columns}
      keyOf={row => row.name}
      none={<p className="soft">No workload belongs to it. Calls are answered 503 no-endpoint.</p>}
    />
  )
}
