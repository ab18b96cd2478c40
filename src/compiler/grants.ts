/** ReferenceGrants: which objects of one namespace may name which of another. */

import { gatewayGroup, type ReferenceGrant } from '#resources/gateway-api'
import { namespaceOf } from './gather.ts'

/** Whether the namespace lets those objects of another one refer to one of this kind and name in it. */
export const isGranted = (
  from: { readonly group?: string; readonly kind: string; readonly namespace: string },
  namespace: string,
  { group, kind, name }: { readonly group: string; readonly kind: string; readonly name: string },
  grants: readonly ReferenceGrant[],
): boolean =>
  grants.some(
    grant =>
      namespaceOf(grant) === namespace &&
      (grant.spec?.from ?? []).some(
        each => each.group === (from.group ?? gatewayGroup) && each.kind === from.kind && each.namespace === from.namespace,
      ) &&
      (grant.spec?.to ?? []).some(
        each => each.group === group && each.kind === kind && (each.name === undefined || each.name === '' || each.name === name),
      ),
  )
