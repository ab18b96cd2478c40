/** What a status says of a resource at each place that it is about, and which of its conditions tell that something is amiss. */

import type { Condition } from '#resources/kind'

type Ref = { readonly kind?: string; readonly name?: string; readonly sectionName?: string }
type Conditions = { readonly conditions?: readonly Condition[] }
/** parents: of a route. ancestors: of a policy, its targets. listeners: of a Gateway. */
export type Status = Conditions & {
  readonly parents?: readonly (Conditions & { readonly parentRef?: Ref })[]
  readonly ancestors?: readonly (Conditions & { readonly ancestorRef?: Ref })[]
  readonly listeners?: readonly (Conditions & { readonly name?: string })[]
}

/** Conditions that tell of a fault when they are True, such as PartiallyInvalid, count the other way. (OverlappingTLSConfig is a hint, for both listeners hold.) */
const faults = new Set(['PartiallyInvalid', 'Conflicted'])
/** Of two that are in conflict the one that overrules the other holds as it stands. */
export const isAmiss = ({ type, status, reason }: Condition): boolean =>
  faults.has(type) ? status === 'True' && reason !== 'Overrules' : status === 'False' && (type !== 'Enforced' || reason === 'ProxyRefuses')

/** of: `Service web#http`, `listener https`; absent: of the resource as a whole. Places without conditions are left out. */
export function toldBy({
  conditions,
  parents = [],
  ancestors = [],
  listeners = [],
}: Status): readonly { readonly of?: string; readonly conditions: readonly Condition[] }[] {
  return [
    { conditions },
    ...parents.map(each => ({ of: placeOf(each.parentRef), conditions: each.conditions })),
    ...ancestors.map(each => ({ of: placeOf(each.ancestorRef), conditions: each.conditions })),
    ...listeners.map(each => ({ of: `listener ${each.name ?? ''}`, conditions: each.conditions })),
  ].flatMap(each => (each.conditions === undefined || each.conditions.length === 0 ? [] : [{ ...each, conditions: each.conditions }]))
}

const placeOf = ({ kind = 'Gateway', name = '', sectionName }: Ref = {}): string =>
  `${kind} ${name}${sectionName === undefined ? '' : `#${sectionName}`}`
