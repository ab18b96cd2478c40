/** The tables of a service page: its edges of one side, and its workloads. */

import { Badge } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { ProxyStatus, TopologyEdge, TopologyService } from '../api/queries.ts'
import { useProxies } from '../api/queries.ts'
import { CertificateLeft, RevokedBadge } from '../proxies/badges.tsx'
import { latency, percent, rate } from '../shared/format.ts'
import type { Column } from '../shared/table.tsx'
import { Table } from '../shared/table.tsx'
import { edgeId, nameOf, outside, toneOf } from '../topology/figures.ts'

export function Edges({ edges, end, none }: { edges: readonly TopologyEdge[]; end: 'source' | 'destination'; none: string }): ReactNode {
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

/** Why it is revoked is said in full, where there is no pointer too. */
function Trust({ of }: { of: ProxyStatus | undefined }): ReactNode {
  if (of?.revoked === undefined) return <CertificateLeft notAfter={of?.certificate?.notAfter} />
  return (
    <>
      <RevokedBadge proxy={of} /> <span className="soft">{of.revoked}</span>
    </>
  )
}

export function Workloads({ service, inbound }: { service: TopologyService; inbound: readonly TopologyEdge[] }): ReactNode {
  const proxies = useProxies().data ?? []
  type Row = TopologyService['workloads'][number]
  const proxyOf = (row: Row): ProxyStatus | undefined =>
    proxies.find(proxy => proxy.id === row.name || proxy.id === `${row.name}.${service.namespace}`)
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
        const id = proxyOf(row)?.id
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
    {
      id: 'trust',
      name: 'Trust',
      value: row => (proxyOf(row)?.revoked === undefined ? (proxyOf(row)?.certificate?.notAfter ?? '') : ''),
      show: row => <Trust of={proxyOf(row)} />,
      hint: 'Whether others believe it: revoked since when, or how long its certificate lasts',
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
