/** What callers do so that what is ill or full does no harm: whom they leave out and until when, which limits are used up, what workloads bear at once. */

import { Badge } from '@mantine/core'
import type { ReactNode } from 'react'
import type { Resilience } from '../api/queries.ts'
import { useResilience } from '../api/queries.ts'
import { Section } from '../shared/page.tsx'
import type { Column } from '../shared/table.tsx'
import { Table } from '../shared/table.tsx'

type Row = {
  readonly id: string
  readonly what: string
  readonly where: string
  readonly proxy: string
  readonly state: string
  readonly isBad: boolean
}

/** Nothing at all is shown where nothing is asked for. */
export function Sparing({ name }: { name: string }): ReactNode {
  const { data } = useResilience(name)
  const rows = data === undefined ? [] : rowsOf(data)
  if (rows.length === 0) return null
  return (
    <Section title="Left out, and limits" testid="sparing">
      <Table testid="sparing-rows" rows={rows} columns={columns} keyOf={row => row.id} sortBy={{ id: 'state', desc: true }} none="" />
    </Section>
  )
}

const columns: readonly Column<Row>[] = [
  { id: 'what', name: 'What', value: row => row.what },
  { id: 'where', name: 'Where', value: row => row.where },
  { id: 'proxy', name: 'Seen by', value: row => row.proxy },
  {
    id: 'state',
    name: 'State',
    value: row => `${row.isBad ? 1 : 0} ${row.state}`,
    show: row => (
      <Badge size="sm" variant="light" color={row.isBad ? 'orange' : 'teal'}>
        {row.state}
      </Badge>
    ),
  },
]

function rowsOf({ leftOut, limits, concurrency }: Resilience): readonly Row[] {
  const out = leftOut.map(({ workload, address, backend, proxy, cause, until }) => ({
    id: `out ${proxy} ${backend} ${address} ${cause}`,
    what: cause,
    where: `${workload} (${address}) of ${backend}`,
    proxy,
    state: `left out until ${new Date(until).toLocaleTimeString()}`,
    isBad: true,
  }))
  const bounds = limits.map(({ limit, backend, proxy, most, used, isOpen }) => ({
    id: `limit ${proxy} ${backend} ${limit}`,
    what: `limits.${limit}`,
    where: `all endpoints of ${backend}`,
    proxy,
    state: `${used} of ${most}${isOpen ? ', open' : ''}`,
    isBad: isOpen,
  }))
  const found = concurrency.map(({ listener, proxy, limit, used, roundTripMs }) => ({
    id: `concurrency ${proxy} ${listener}`,
    what: 'adaptiveConcurrency',
    where: listener,
    proxy,
    state: `${used} of ${limit} at once${roundTripMs === 0 ? '' : `, ${Math.round(roundTripMs)} ms without a queue`}`,
    isBad: used >= limit,
  }))
  return [...out, ...bounds, ...found]
}
