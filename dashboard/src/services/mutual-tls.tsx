/** Who speaks plaintext to the workloads of a service, and whether it is safe to go strict. */

import { Badge } from '@mantine/core'
import type { ReactNode } from 'react'
import type { MtlsPortReport, MtlsReport } from '../api/queries.ts'
import { useMtls } from '../api/queries.ts'
import { Section } from '../shared/page.tsx'
import type { Column } from '../shared/table.tsx'
import { Table } from '../shared/table.tsx'

/** Nothing is shown where all ports are strict and nobody was refused. */
export function MutualTls({ service, namespace }: { service: string; namespace: string }): ReactNode {
  const { data } = useMtls(service, namespace)
  if (data === undefined || data.ports.every(({ mode, callers, refused }) => mode === 'strict' && callers.length + refused.length === 0))
    return null
  return (
    <Section title="Mutual TLS" testid="mutual-tls">
      <p className="soft" data-testid="mutual-tls-verdict" data-safe={data.safe}>
        {verdictOf(data)}
      </p>
      <Table testid="mutual-tls-ports" rows={data.ports} columns={columns} keyOf={row => `${row.workload}:${row.port}`} none="" />
    </Section>
  )
}

const verdictOf = ({ safe, withinSeconds, watchedSeconds }: MtlsReport): string =>
  `Safe to go strict? ${safe ? `Yes: nobody spoke plaintext in the last ${withinSeconds / 60} min` : 'No'}${
    watchedSeconds < withinSeconds ? ` (watched for ${watchedSeconds} s)` : ''
  }.`

const toldCallers = ({ callers, refused }: MtlsPortReport): string =>
  [...callers.map(({ workload, address }) => workload ?? address), ...refused.map(({ address }) => `${address} (refused)`)].join(', ')

const columns: readonly Column<MtlsPortReport>[] = [
  { id: 'workload', name: 'Workload', value: row => row.workload },
  { id: 'port', name: 'Port', value: row => row.port },
  {
    id: 'mode',
    name: 'Mode',
    value: row => row.mode,
    show: row => (
      <Badge size="sm" variant="light" color={row.mode === 'strict' ? 'teal' : 'orange'}>
        {row.mode}
      </Badge>
    ),
  },
  { id: 'callers', name: 'In plaintext', value: row => toldCallers(row) || 'nobody' },
]
