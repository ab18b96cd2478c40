/** Which ListenerSets add to a Gateway, and which it does not let in. */

import type { Gateway, ListenerSet } from '#resources/gateway-api'
import { gatewayGroup } from '#resources/gateway-api'
import type { Gathered } from '../gather.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import { selectedBy } from '../services/selector.ts'

/** `NAMESPACE/NAME` of the Gateway that it adds to; undefined: its parent is something else. */
export const parentOf = (set: ListenerSet): string | undefined => {
  const ref = set.spec?.parentRef
  return ref === undefined || ref.group !== gatewayGroup || ref.kind !== 'Gateway'
    ? undefined
    : `${ref.namespace ?? namespaceOf(set)}/${ref.name}`
}

/** Of both the oldest first, which wins conflicts. */
export function setsOf(
  gateway: Gateway,
  { listenerSets, namespaces }: Pick<Gathered, 'listenerSets' | 'namespaces'>,
): { readonly taken: readonly ListenerSet[]; readonly refused: readonly ListenerSet[] } {
  const asking = listenerSets.filter(each => parentOf(each) === nameOf(gateway))
  const { from, selector } = gateway.spec?.allowedListeners?.namespaces ?? { from: 'None' as const, selector: undefined }
  const isAllowed = (set: ListenerSet): boolean => {
    if (from === 'All') return true
    if (from === 'Same') return namespaceOf(set) === namespaceOf(gateway)
    return from === 'Selector' && selectedBy(selector ?? {}, labelsOf(namespaceOf(set), namespaces))
  }
  return { taken: asking.filter(isAllowed), refused: asking.filter(each => !isAllowed(each)) }
}

/** Every namespace has its name as a label, with or without a document. */
export const labelsOf = (namespace: string, namespaces: Gathered['namespaces']): Readonly<Record<string, string>> => ({
  'kubernetes.io/metadata.name': namespace,
  ...namespaces.find(each => each.metadata.name === namespace)?.metadata.labels,
})
