/** The states of a proxy as small coloured words. */

import { Badge, Tooltip } from '@mantine/core'
import type { ReactNode } from 'react'
import type { ProxyStatus, SyncState } from '../api/queries.ts'
import { ago, left, span } from '../shared/format.ts'

const sync: Readonly<Record<SyncState, { readonly colour: string; readonly says: string }>> = {
  synced: { colour: 'teal', says: 'It runs with the newest configuration.' },
  pending: { colour: 'orange', says: 'A newer configuration is on its way to it.' },
  rejected: { colour: 'red', says: 'It refused part of the newest configuration and runs with the last good one.' },
  disconnected: { colour: 'gray', says: 'It has no connection to the control plane and runs with what it has.' },
}

export const SyncBadge = ({ proxy }: { proxy: Pick<ProxyStatus, 'state' | 'revoked' | 'revokedAt'> }): ReactNode =>
  proxy.revoked === undefined ? <StateBadge proxy={proxy} /> : <RevokedBadge proxy={proxy} />

/** Since when, and why when it is pointed at. */
export function RevokedBadge({ proxy: { revoked, revokedAt } }: { proxy: Pick<ProxyStatus, 'revoked' | 'revokedAt'> }): ReactNode {
  return (
    <Tooltip label={revoked} multiline maw={480}>
      <Badge variant="filled" color="red" data-testid="revoked" tabIndex={0}>
        revoked{revokedAt === undefined ? '' : ` ${ago(revokedAt)}`}
      </Badge>
    </Tooltip>
  )
}

const StateBadge = ({ proxy }: { proxy: Pick<ProxyStatus, 'state'> }): ReactNode => (
  <Tooltip label={sync[proxy.state]?.says ?? proxy.state}>
    <Badge variant="light" color={sync[proxy.state]?.colour ?? 'gray'} data-testid="sync" tabIndex={0}>
      {proxy.state}
    </Badge>
  </Tooltip>
)

const healths: Readonly<Record<string, string>> = { healthy: 'teal', degraded: 'orange', unhealthy: 'red', draining: 'gray' }
export const HealthBadge = ({ health }: { health: string }): ReactNode => (
  <Badge variant="dot" color={healths[health] ?? 'gray'}>
    {health}
  </Badge>
)

/** Leaves live a day and are renewed after two thirds of it: under four hours something is late. */
export function CertificateLeft({ notAfter, soonMs = 4 * 3_600_000 }: { notAfter: string | undefined; soonMs?: number }): ReactNode {
  if (!notAfter) return <span className="soft">not told</span>
  const ms = left(notAfter)
  return (
    <Tooltip label={new Date(notAfter).toLocaleString()}>
      <span className={ms <= 0 ? 'bad' : ms < soonMs ? 'warn' : ''}>{ms <= 0 ? `expired ${span(-ms)} ago` : `${span(ms)} left`}</span>
    </Tooltip>
  )
}
