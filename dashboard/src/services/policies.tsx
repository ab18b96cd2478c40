/** What holds for the calls to a service, field by field, with the document that says it and what was overruled; for all clients or one. */

import { Select } from '@mantine/core'
import type { ReactNode } from 'react'
import { useState } from 'react'
import { type FieldTold, partsOf, type PortTold, tellOverruled, tellValue } from '../../../src/model/policies-told.ts'
import type { Topology } from '../api/queries.ts'
import { ApiError, usePolicies } from '../api/queries.ts'
import { Section } from '../shared/page.tsx'
import { serviceName } from '../topology/figures.ts'
import css from './service.module.css'

export function Policies({ name, topology }: { name: string; topology: Topology }): ReactNode {
  const [from, setFrom] = useState<string | null>(null)
  const policies = usePolicies(name, from ?? undefined)
  const clients = topology.services.map(serviceName).filter(each => each !== name)
  if (policies.error instanceof ApiError && policies.error.code === 404) return null
  return (
    <Section
      title="Policies"
      testid="policies"
      aside={
        <Select
          size="xs"
          aria-label="Client"
          placeholder="for any client"
          clearable
          searchable
          data={[...new Set(clients)].sort()}
          value={from}
          onChange={setFrom}
          data-testid="policies-client"
        />
      }
    >
      {policies.data?.ports.map(port => (
        <div key={`${port.port} ${port.protocol}`} className="panel" data-testid="policies-port">
          <Port port={port} />
        </div>
      ))}
    </Section>
  )
}

const Port = ({ port }: { port: PortTold }): ReactNode =>
  partsOf(port).map(({ title, fields }) => (
    <table key={title} className={css['policies']}>
      <caption>
        Port {port.port} <span className="soft">{port.protocol}</span>, {title}
      </caption>
      <colgroup>
        <col style={{ width: '16%' }} />
        <col style={{ width: '34%' }} />
        <col style={{ width: '25%' }} />
        <col />
      </colgroup>
      <thead>
        <tr>
          <th>Field</th>
          <th>Value</th>
          <th>From</th>
          <th>Overruled</th>
        </tr>
      </thead>
      <tbody>
        {fields.map(field => (
          <Field key={field.field} field={field} />
        ))}
      </tbody>
    </table>
  ))

const Field = ({ field }: { field: FieldTold }): ReactNode => (
  <tr data-testid="policy-field" data-field={field.field} {...(field.by === 'built in' ? {} : { 'data-own': true })}>
    <td>{field.field}</td>
    <td>{tellValue(field.value)}</td>
    <td className={field.by === 'built in' ? 'soft' : undefined}>{field.by}</td>
    <td className="soft">{tellOverruled(field)}</td>
  </tr>
)
