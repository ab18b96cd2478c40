/** Who may say that a workload is somebody of another namespace: callers expect the identity that is written, and quotas are given to it. */

import { mayDo } from '#api/rights'
import type { Problem } from '#base/note'
import { isSpiffeId, spiffeParts, workloadOf } from '#identity/spiffe'
import type { Resource } from '#resources/kind'
import type { WorkloadResource } from '#resources/weft'
import type { Principal } from './operators/principal.ts'

/** The form of the mesh's own ids. */
export type Ids = { readonly trustDomain: string; readonly idTemplate: string }

/** old: absent on creation; who changes something else about a workload does not answer for its identity. */
export function foreignIdentity(resource: Resource, old: Resource | undefined, by: Principal, ids: Ids): readonly Problem[] {
  if (resource.kind !== 'Workload' || !resource.apiVersion.startsWith('weft.dev/') || mayDo(by.grants, 'administer')) return []
  const identity = identityOf(resource)
  if (identity === undefined || identity === identityOf(old) || isOwn(identity, resource.metadata.namespace, ids)) return []
  return [
    {
      path: 'spec.identity',
      says: `${identity} is no identity of namespace "${resource.metadata.namespace}" of this mesh: only the role admin of the whole mesh may write another`,
    },
  ]
}

const identityOf = (resource: Resource | undefined): string | undefined => (resource as WorkloadResource | undefined)?.spec?.identity

const isOwn = (identity: string, namespace: string | undefined, { trustDomain, idTemplate }: Ids): boolean =>
  isSpiffeId(identity) && spiffeParts(identity).trustDomain === trustDomain && workloadOf(identity, idTemplate)?.namespace === namespace
