/** After a change: on how many proxies it is active, and who refused it. */

import { Loader, Tooltip } from '@mantine/core'
import { IconAlertTriangle, IconCircleCheck } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useConvergence } from '../api/queries.ts'
import css from './converging.module.css'

export function Converging({ revision }: { revision: number | undefined }): ReactNode {
  const { data, error } = useConvergence(revision)
  if (revision === undefined) return null
  if (error && !data)
    return (
      <span className="soft">
        Saved as revision {revision}. Whether proxies have it cannot be told: {error.message}
      </span>
    )
  if (!data) {
    return (
      <span className={css['line']}>
        <Loader size={14} /> Saved, asking the proxies…
      </span>
    )
  }
  const { active, total, rejected, pending } = data
  const icon =
    rejected.length > 0 ? (
      <IconAlertTriangle size={16} className="bad" />
    ) : active >= total ? (
      <IconCircleCheck size={16} className="ok" />
    ) : (
      <Loader size={14} />
    )
  return (
    <span className={css['line']} data-testid="converging" data-active={active} data-total={total}>
      {icon}
      <Tooltip label={pending.length > 0 ? `Waiting for ${pending.slice(0, 8).join(', ')}` : `Revision ${revision}`}>
        <span>
          active on <b>{active}</b>/{total} proxies
        </span>
      </Tooltip>
      {rejected.map(refusal => (
        <span key={`${refusal.proxy} ${refusal.resource}`} className="bad">
          <Link to="/proxies/$proxy" params={{ proxy: refusal.proxy }}>
            {refusal.proxy}
          </Link>{' '}
          refused {refusal.resource}: {refusal.reason}
        </span>
      ))}
    </span>
  )
}
