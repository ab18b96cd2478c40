/** Whom the proxies of the mesh believe: its own roots, those of other trust domains that nobody revoked, and who is believed no more. */

import type { IdTemplates } from '#base/id-template'
import type { Mesh } from '#model/mesh'
import { isRevoked } from '#model/revoked'
import type { CompileOptions } from '../compiled.ts'
import type { Revoking } from './revocations.ts'
import type { Federating } from './trust-domains.ts'

/** Without what there is none of, so that a mesh without it has nothing more to tell. */
export function trustOf(
  { trustDomain, roots, crls = [], areWhole }: CompileOptions,
  { federated }: Federating,
  { revoked }: Revoking,
  idTemplates: IdTemplates,
): Mesh['trust'] {
  const believed = Object.fromEntries(
    Object.entries(federated).filter(([domain]) => isRevoked(revoked, `spiffe://${domain}/`) === undefined),
  )
  return {
    domain: trustDomain,
    roots,
    ...(Object.keys(believed).length === 0 ? {} : { federated: believed }),
    ...(Object.keys(idTemplates).length === 0 ? {} : { idTemplates }),
    ...(crls.length === 0 ? {} : { crls, ...(areWhole === undefined ? {} : { areWhole }) }),
    ...(revoked.length === 0 ? {} : { revoked }),
  }
}

/** Envoys tell certificates apart by revocation lists only. */
export function serialsUnseen({ isListless, envoys = [] }: CompileOptions): string | undefined {
  if (isListless !== true || envoys.length === 0) return undefined
  return `the authority of this mesh signs no revocation list of them, and Envoy knows no other way: ${envoys.slice(0, 8).join(', ')} takes the certificate until it ends. Revoke the identity, or revoke it at the authority`
}
