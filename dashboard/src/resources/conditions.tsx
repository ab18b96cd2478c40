/** What the control plane says about a resource: its conditions, at each parent, target or listener where it has several. */

import { IconAlertTriangle, IconCircleCheck, IconHelpCircle } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { isAmiss, toldBy } from '../../../src/api/conditions.ts'
import type { Condition, Resource } from '../api/resources.ts'
import { ago } from '../shared/format.ts'
import css from './page.module.css'

export function Conditions({ resource }: { resource: Resource }): ReactNode {
  const groups = toldBy(resource.status ?? {})
  if (groups.length === 0) return <p className="soft">The control plane has said nothing about it yet.</p>
  return groups.map((group, index) => (
    <div key={index} className="panel" style={{ marginBottom: 8 }}>
      {group.of && <div className={`${css['condition']} soft`}>at {group.of}</div>}
      {group.conditions.map(condition => (
        <div
          key={condition.type}
          className={css['condition']}
          data-testid="condition"
          data-type={condition.type}
          data-status={condition.status}
          data-amiss={isAmiss(condition)}
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
  condition.status === 'Unknown' ? (
    <IconHelpCircle size={16} className="warn" aria-label="Unknown" />
  ) : isAmiss(condition) ? (
    <IconAlertTriangle size={16} className="bad" aria-label={condition.status} />
  ) : (
    <IconCircleCheck size={16} className="ok" aria-label={condition.status} />
  )
