/** What `weft cert doctor` and the dashboard are told of trust: who is revoked, how old the revocation lists are, which other trust domains are believed and for how long. */

import type { TrustTold } from '#api/mesh-api'
import type { KnownDomain } from '#compiler'
import { type Revocation, revocationStanding, type TrustDomain } from '#resources/weft'
import type { Authority } from './authority.ts'
import type { Store } from './store.ts'

export type TrustParts = {
  readonly store: Pick<Store, 'list'>
  readonly authority: Pick<Authority, 'lists'>
  /** By name of the TrustDomain. */
  readonly domains: () => Readonly<Record<string, KnownDomain>>
  readonly now: () => number
}

const of = (kind: string) => ({ kind: { group: 'weft.dev', kind } })

export function tellTrust({ store, authority, domains, now }: TrustParts): TrustTold {
  const known = domains()
  const holds = (revocation: Revocation): boolean => revocationStanding(revocation, now()) === 'holds'
  return {
    revocations: (store.list(of('Revocation')).items as readonly Revocation[]).filter(holds).map(({ metadata, spec }) => ({
      name: metadata.name,
      revokes: [
        ...(spec?.identities ?? []),
        ...(spec?.serials ?? []).map(serial => `serial ${serial}`),
        ...(spec?.trustDomains ?? []).map(domain => `trust domain ${domain}`),
      ],
      reason: spec?.reason ?? 'Unspecified',
      ...(spec?.until === undefined ? {} : { until: spec.until }),
    })),
    lists: authority.lists().told.map(({ by, number, thisUpdate, nextUpdate, entries }) => ({
      issuer: by,
      thisUpdate: new Date(thisUpdate).toISOString(),
      entries: entries.size,
      ...(number === undefined ? {} : { number: String(number) }),
      ...(nextUpdate === undefined ? {} : { nextUpdate: new Date(nextUpdate).toISOString() }),
    })),
    domains: (store.list(of('TrustDomain')).items as readonly TrustDomain[]).map(({ metadata, spec }) => {
      const { told = [], sequence, refreshedAt, failing, invalid } = known[metadata.name] ?? {}
      const wrong = invalid ?? failing
      return {
        name: metadata.name,
        trustDomain: spec?.trustDomain ?? '',
        roots: told,
        ...(spec?.bundleEndpoint === undefined ? {} : { url: spec.bundleEndpoint.url }),
        ...(sequence === undefined ? {} : { sequence }),
        ...(refreshedAt === undefined ? {} : { refreshedAt }),
        ...(wrong === undefined ? {} : { failing: wrong }),
      }
    }),
  }
}
