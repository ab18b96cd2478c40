/** All services: how much they are asked, how well they answer, and whether their workloads serve. */

import { IconHexagons } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { Topology } from '../api/queries.ts'
import { useTopology } from '../api/queries.ts'
import { Empty, Loading, Refused } from '../shared/empty.tsx'
import { latency, percent, rate } from '../shared/format.ts'
import { inNamespace, useNamespace } from '../shared/namespace.ts'
import { NamespaceSelect } from '../shared/namespace-select.tsx'
import { Page } from '../shared/page.tsx'
import type { Column } from '../shared/table.tsx'
import { Table } from '../shared/table.tsx'
import type { Figures, Share } from '../topology/figures.ts'
import { figuresOf, inboundOf, readyOf, serviceName, sharesOf, toneOf } from '../topology/figures.ts'
import { SplitBar } from '../topology/split-bar.tsx'

type Row = {
  readonly name: string
  readonly service: string
  readonly namespace: string
  readonly ready: number
  readonly total: number
  readonly figures: Figures
  readonly shares: readonly Share[]
  readonly isTcp: boolean
}

const columns: readonly Column<Row>[] = [
  {
    id: 'name',
    name: 'Service',
    value: row => row.name,
    show: row => (
      <>
        <Link to="/services/$service" params={{ service: row.name }}>
          {row.service}
        </Link>{' '}
        <span className="soft">{row.namespace}</span>
      </>
    ),
  },
  {
    id: 'rate',
    name: 'Rate',
    end: true,
    value: row => row.figures.rate,
    show: row => rate(row.figures.rate),
    hint: 'Requests a second; connections a second where the traffic is TCP',
  },
  {
    id: 'success',
    name: 'Success',
    end: true,
    value: row => row.figures.success,
    show: row =>
      row.figures.rate > 0 ? (
        <span className={toneOf(row.figures.success)}>{percent(row.figures.success)}</span>
      ) : (
        <span className="soft">–</span>
      ),
  },
  {
    id: 'p50',
    name: 'p50',
    end: true,
    value: row => row.figures.p50 ?? -1,
    show: row => latency(row.figures.p50),
    hint: 'Half of the requests were faster, over all callers',
  },
  {
    id: 'p99',
    name: 'p99',
    end: true,
    value: row => row.figures.p99 ?? -1,
    show: row => latency(row.figures.p99),
    hint: 'Of the slowest caller',
  },
  {
    id: 'ready',
    name: 'Workloads ready',
    end: true,
    value: row => (row.total === 0 ? -1 : row.ready / row.total),
    show: row => (
      <span
        className={row.total === 0 || row.ready === 0 ? 'bad' : row.ready < row.total ? 'warn' : ''}
      >{`${row.ready}/${row.total}`}</span>
    ),
  },
  {
    id: 'split',
    name: 'Split',
    value: row => row.shares.map(share => share.name).join(' '),
    show: row =>
      row.shares.length > 1 ? (
        <div style={{ width: 180 }}>
          <SplitBar shares={row.shares} isLabelled />
        </div>
      ) : (
        <span className="soft">{row.isTcp ? 'TCP' : ''}</span>
      ),
  },
]

const rowsOf = (topology: Topology, namespace: string | null): readonly Row[] =>
  topology.services.filter(inNamespace(namespace)).map(service => {
    const name = serviceName(service)
    const inbound = inboundOf(topology, name)
    const figures = figuresOf(inbound)
    return {
      name,
      service: service.name,
      namespace: service.namespace,
      ...readyOf(service),
      figures,
      shares: sharesOf(inbound),
      isTcp: figures.tcpRate > 0 && figures.httpRate === 0,
    }
  })

export function ServicesPage(): ReactNode {
  const topology = useTopology()
  const [namespace] = useNamespace()
  if (!topology.data) return topology.error ? <Refused error={topology.error} retry={() => void topology.refetch()} /> : <Loading />
  return (
    <Page name="Services" title="Services">
      <Table
        testid="services"
        rows={rowsOf(topology.data, namespace)}
        columns={columns}
        keyOf={row => row.name}
        sortBy={{ id: 'rate', desc: true }}
        searchFor="Search services"
        tools={<NamespaceSelect of={topology.data.services.map(service => service.namespace)} />}
        none={
          <Empty icon={<IconHexagons size={36} stroke={1.2} />} title={namespace ? `No services in ${namespace}` : 'No services yet'}>
            A service appears when a process is run in the mesh: weft run --name NAME --port PORT -- COMMAND
          </Empty>
        }
      />
    </Page>
  )
}
