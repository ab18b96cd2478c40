/** What the status of Workloads says of trust: whether anybody believes them any more, since when and why, and until when their certificate lasts. */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { tellRevoked } from '#model/revoked'
import type { Revoked } from '#model/trust'
import type { Revocation, WorkloadResource, WorkloadStatus } from '#resources/weft'
import { type Store, StoreError } from './store.ts'

/** notAfter: ms since the epoch, no more exact than a second. */
type Certificate = { readonly serial: string; readonly notAfter: number }

export type WorkloadTrustParts = {
  readonly store: Store
  readonly revocationOf: (identity: string, serial?: string) => Revoked | undefined
  /** The certificate that a proxy, `NAME.NAMESPACE`, last said to show. */
  readonly certificateOf: (proxy: string) => Certificate | undefined
  readonly leafLifeMs: number
  readonly clock: Clock
  readonly log: Log
}

/**
 * heard: this proxy, `NAME.NAMESPACE`, said something, perhaps of another certificate. tellAll: others may be revoked. A status is written only where it changes.
 * revokedAt: since when that is told of it; RFC 3339.
 */
export type WorkloadTrust = { heard(proxy: string): void; tellAll(): void; revokedAt(proxy: string): string | undefined }

type Condition = NonNullable<WorkloadStatus['conditions']>[number]

const workloads = { group: 'weft.dev', kind: 'Workload' } as const

export function tellWorkloadTrust(parts: WorkloadTrustParts): WorkloadTrust {
  const { store, certificateOf } = parts
  const told = (): void => {
    for (const resource of store.list({ kind: workloads }).items) tell(parts, resource as WorkloadResource)
  }
  const get = (proxy: string): WorkloadResource | undefined => {
    const dot = proxy.lastIndexOf('.')
    return store.get({ ...workloads, namespace: proxy.slice(dot + 1), name: proxy.slice(0, dot) }) as WorkloadResource | undefined
  }
  told()
  return {
    heard: proxy => {
      const serial = certificateOf(proxy)?.serial
      if (serial === undefined) return
      const resource = get(proxy)
      if (resource !== undefined && resource.status?.certificate?.serial !== serial) tell(parts, resource)
    },
    tellAll: told,
    revokedAt: proxy => revokedOf(get(proxy))?.lastTransitionTime,
  }
}

function tell({ store, revocationOf, certificateOf, leafLifeMs, clock, log }: WorkloadTrustParts, resource: WorkloadResource): void {
  const { metadata, spec, status } = resource
  const shown = certificateOf(`${metadata.name}.${metadata.namespace ?? ''}`)
  const before = status?.certificate
  const certificate =
    shown === undefined || shown.serial === before?.serial
      ? before
      : { serial: shown.serial, notAfter: timeOf(shown.notAfter), lateFrom: timeOf(shown.notAfter - leafLifeMs / 4) }
  const by = spec?.identity === undefined ? undefined : revocationOf(spec.identity, certificate?.serial)
  const was = revokedOf(resource)
  const revoked = by && conditionOf(by, store, was, clock.now())
  if (certificate === before && isSame(revoked, was)) return
  const others = (status?.conditions ?? []).filter(({ type }) => type !== 'Revoked')
  const conditions = revoked === undefined ? others : [...others, revoked]
  try {
    store.updateStatus({ ...resource, status: { ...status, conditions, ...(certificate === undefined ? {} : { certificate }) } })
  } catch (thrown) {
    // It left in the meantime; anything else is told, and tried again when its proxy is heard of next, or somebody else is revoked.
    if (!(thrown instanceof StoreError && thrown.fault === 'not-found'))
      log.error('what is known of the trust in a workload could not be written', { workload: metadata.name, error: thrown })
  }
}

function conditionOf(by: Revoked, store: Store, was: Condition | undefined, now: number): Condition {
  const { spec } = (store.get({ group: 'weft.dev', kind: 'Revocation', namespace: '', name: by.by }) ?? {}) as Partial<Revocation>
  const of = 'serial' in by ? `its certificate ${by.serial}` : 'its identity'
  return {
    type: 'Revoked',
    status: 'True',
    reason: by.reason,
    message: `${of} ${tellRevoked(by)}${spec?.comment === undefined ? '' : `: ${spec.comment}`}`,
    lastTransitionTime: was?.lastTransitionTime ?? timeOf(now),
  }
}

const revokedOf = (resource: WorkloadResource | undefined): Condition | undefined =>
  resource?.status?.conditions?.find(({ type }) => type === 'Revoked')

const isSame = (one: Condition | undefined, other: Condition | undefined): boolean =>
  one?.reason === other?.reason && one?.message === other?.message

const timeOf = (ms: number): string => new Date(Math.round(ms / 1000) * 1000).toISOString().replace(/\.\d+Z$/, 'Z')
