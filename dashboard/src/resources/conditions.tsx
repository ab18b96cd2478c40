/** What the control plane says about a resource: its conditions, per parent where it has several. */

import { IconAlertTriangle, IconCircleCheck, IconHelpCircle } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import type { Condition, Resource } from '../api/resources.ts'
import { ago } from '../shared/format.ts'
import css from './page.module.css'

export function Conditions({ resource }: { resource: Resource }): ReactNode {
  const groups = [
    { of: undefined, list: resource.status?.conditions ?? [] },
    ...(resource.status?.parents ?? []).map(parent => ({
      of: `${parent.parentRef?.kind ?? 'Gateway'} ${parent.parentRef?.name ?? ''}`,
      list: parent.conditions ?? [],
    })),
  ].filter(group => group.list.length > 0)
  if (groups.length === 0) return <p className="soft">The control plane has said nothing about it yet.</p>
  return groups.map((group, index) => (
    <div key={index} className="panel" style={{ marginBottom: 8 }}>
      {group.of && <div className={`${css['condition']} soft`}>as attached to {group.of}</div>}
      {group.list.map(condition => (
        <div
          key={condition.type}
          className={css['condition']}
          data-testid="condition"
          data-type={condition.type}
          data-status={condition.status}
        >
          <header>
            {icon(condition)} {condition.type}
            <span className="soft" style={{ fontWeight: 400 }}>
              {condition.reason}
            </span>
          </header>
          {condition.message && <div>{condition.message}</div>}
          <div className="soft" style={{ fontSize: '0.76rem' }}>
            {ago(condition.lastTransitionTime)}
            {condition.observedGeneration !== undefined &&
              resource.metadata.generation !== undefined &&
              condition.observedGeneration < resource.metadata.generation &&
              ', about an older version'}
          </div>
        </div>
      ))}
    </div>
  ))
}

const icon = (condition: Condition): ReactNode =>
  condition.status === 'True' ? (
    <IconCircleCheck size={16} className="ok" aria-label="True" />
  ) : condition.status === 'False' ? (
    <IconAlertTriangle size={16} className="bad" aria-label="False" />
  ) : (
    <IconHelpCircle size={16} className="warn" aria-label="Unknown" />
  )
