/** TrustDomains: of which other meshes the identities are believed, and what is said of each. */

import { defaultIdTemplate, type IdTemplates } from '#base/id-template'
import type { TrustDomain } from '#resources/weft'
import { type ResourceStatus, state, statusFor } from '../status.ts'

/** What the control plane knows of one, by its name. roots: PEM. told: what the status shows. invalid: why its bundle cannot be read. failing: why the last fetch gave nothing. */
export type KnownDomain = {
  readonly roots: readonly string[]
  readonly told: readonly { readonly subject: string; readonly sha256: string; readonly notAfter: string }[]
  readonly sequence?: number
  readonly refreshedAt?: string
  readonly invalid?: string
  readonly failing?: string
}

export type Federating = {
  /** By trust domain, in order of name. */
  readonly federated: Readonly<Record<string, readonly string[]>>
  readonly idTemplates: IdTemplates
  readonly statuses: readonly ResourceStatus[]
}

/** all: oldest first: of two for one trust domain the older holds. */
export function findTrustDomains(all: readonly TrustDomain[], known: Readonly<Record<string, KnownDomain>>, own: string): Federating {
  const owners = new Map<string, string>()
  const found: (readonly [string, readonly string[]])[] = []
  const templates: (readonly [string, string])[] = []
  const statuses = all.map(domain => {
    const { name } = domain.metadata
    const { trustDomain = '', bundleEndpoint, spiffeIDTemplate = defaultIdTemplate } = domain.spec ?? {}
    const { roots = [], told = [], sequence, refreshedAt, invalid, failing } = known[name] ?? {}
    const accepted = (isIt: boolean, reason: string, says: string) => state(domain, 'Accepted', isIt, reason, says)
    const owner = owners.get(trustDomain)
    const isOf = trustDomain === own || owner !== undefined
    if (!isOf) owners.set(trustDomain, name)
    if (!isOf && spiffeIDTemplate !== defaultIdTemplate) templates.push([trustDomain, spiffeIDTemplate])
    if (!isOf && roots.length > 0) found.push([trustDomain, roots])
    const verdict =
      trustDomain === own
        ? accepted(false, 'Invalid', `spec.trustDomain: ${own} is the mesh itself`)
        : owner !== undefined
          ? accepted(false, 'Conflicted', `spec.trustDomain: ${trustDomain} is that of TrustDomain ${owner}, which is older`)
          : invalid !== undefined
            ? accepted(false, 'Invalid', `spec.bundle: ${invalid}`)
            : roots.length === 0
              ? accepted(false, 'Pending', 'No bundle is had yet, so nobody of it is believed')
              : accepted(true, 'Accepted', 'Its identities are believed; AccessPolicies that name it say what they may call')
    const fetched =
      bundleEndpoint === undefined
        ? []
        : failing !== undefined
          ? [state(domain, 'Fetched', false, 'FetchFailed', `${failing}${roots.length > 0 ? '; the last good bundle stays in use' : ''}`)]
          : refreshedAt === undefined
            ? [state(domain, 'Fetched', false, 'Pending', 'It was not asked for yet')]
            : [state(domain, 'Fetched', true, 'Fetched', 'The bundle endpoint answers')]
    return statusFor(domain, {
      conditions: [verdict, ...fetched],
      more: { roots: told, ...(sequence === undefined ? {} : { sequence }), ...(refreshedAt === undefined ? {} : { refreshedAt }) },
    })
  })
  const sorted = <Value>(pairs: (readonly [string, Value])[]) => Object.fromEntries(pairs.sort(([one], [other]) => (one < other ? -1 : 1)))
  return { federated: sorted(found), idTemplates: sorted(templates), statuses }
}
