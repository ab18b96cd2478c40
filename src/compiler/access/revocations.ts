/** Revocations: whom no proxy believes any more, and what is said of each. */

import { controlPath } from '#base/id-template'
import type { AccessRule, TextMatch } from '#model/access-rule'
import type { Inventory } from '#model/workload'
import { isRevoked } from '#model/revoked'
import type { Revoked } from '#model/trust'
import type { Revocation } from '#resources/weft'
import { patternOf } from './rules.ts'
import { type ResourceStatus, state, statusFor } from '../status.ts'

export type Revoking = {
  readonly revoked: readonly Revoked[]
  /** The same as denials at every port where identities are proven: what is open is judged by them, and so is what Envoys let in. */
  readonly rules: readonly AccessRule[]
  readonly statuses: readonly ResourceStatus[]
  /** When the next one ends by itself; ms since the epoch. */
  readonly endsAt?: number
}

/** now: ms since the epoch. blind: which proxies cannot tell certificates by their serial, and why; undefined: all can. */
export function findRevocations(all: readonly Revocation[], own: string, now: number, blind?: string): Revoking {
  const revoked: Revoked[] = []
  const rules: AccessRule[] = []
  const statuses = all.map(revocation => {
    const { identities: named = [], serials = [], trustDomains = [], reason = 'Unspecified', until } = revocation.spec ?? {}
    const told = (isAccepted: boolean, why: string, says: string, partly = '') =>
      statusFor(revocation, {
        conditions: [
          state(revocation, 'Accepted', isAccepted, why, says),
          ...(partly === '' ? [] : [state(revocation, 'PartiallyInvalid', true, 'UnsupportedValue', partly)]),
        ],
      })
    if (until !== undefined && Date.parse(until) <= now)
      return told(false, 'Expired', `spec.until: it ended by itself at ${until}; delete it, or give a later time`)
    if (trustDomains.includes(own))
      return told(
        false,
        'Invalid',
        `spec.trustDomains[${trustDomains.indexOf(own)}]: ${own} is the mesh itself: revoke its namespaces, or replace its root with weft cert rotate-root`,
      )
    const control = `spiffe://${own}${controlPath}`
    const identities = named.filter(identity => identity !== control)
    // Proxies know the control plane by its name, and what it says is what they go by: it cannot tell them not to believe it.
    const itself = `is the control plane, for which it is not carried out: replace its root with weft cert rotate-root`
    if (identities.length + serials.length + trustDomains.length === 0)
      return told(false, 'Invalid', `spec.identities: ${control} ${itself}`)
    const by = revocation.metadata.name
    const matches: readonly TextMatch[] = [
      ...identities.map(patternOf),
      ...trustDomains.map(domain => ({ type: 'prefix', value: `spiffe://${domain}/` }) as const),
    ]
    revoked.push(
      ...matches.map(identity => ({ by, reason, identity })),
      ...serials.map(serial => ({ by, reason, serial: serial.replaceAll(':', '').toLowerCase() })),
    )
    if (matches.length > 0) rules.push({ name: `Revocation/${by}#0`, from: [[{ on: 'identity', any: matches }]], to: [] })
    const isNamed = named.some(identity => isRevoked([{ by, reason, identity: patternOf(identity) }], control) !== undefined)
    const partly = [
      ...(isNamed ? [`spec.identities: ${control} ${itself}`] : []),
      ...(serials.length > 0 && blind !== undefined ? [`spec.serials: ${blind}`] : []),
    ]
    return told(true, 'Accepted', 'Nobody whom it names is believed', partly.join('; '))
  })
  const ends = all.flatMap(({ spec }) => (spec?.until === undefined ? [] : [Date.parse(spec.until)])).filter(time => time > now)
  return { revoked, rules, statuses, ...(ends.length === 0 ? {} : { endsAt: Math.min(...ends) }) }
}

/** Who is not believed is no endpoint, and no identity that a caller would expect. The same object where nobody is left out. */
export function withoutRevoked(inventory: Inventory, revoked: readonly Revoked[]): Inventory {
  if (!revoked.some(each => 'identity' in each)) return inventory
  const workloads = inventory.workloads.filter(({ identity }) => isRevoked(revoked, identity) === undefined)
  return workloads.length === inventory.workloads.length ? inventory : { ...inventory, workloads }
}
