/** A backendRef of kind HTTPRoute: what a rule hands on to, and what such a rule may not ask for itself. */

import type { Filter } from '#model/filter'
import type { HTTPRoute } from '#resources/gateway-api'
import { gatewayGroup } from '#resources/gateway-api'
import type { Unsupported } from './filters.ts'
import { namespaceOf } from '../gather.ts'

/** What a rule asks for. to: `NAMESPACE/NAME`. path: of the backendRef. */
export type Delegate = { readonly to: string; readonly path: string; readonly index: number }

export const isDelegate = ({ group, kind }: { readonly group: string; readonly kind: string }): boolean =>
  group === gatewayGroup && kind === 'HTTPRoute'

/** Names of the routes that others hand on to. */
export const delegatedTo = (routes: readonly HTTPRoute[]): ReadonlySet<string> =>
  new Set(routes.flatMap(route => refsOf(route).map(ref => `${ref.namespace ?? namespaceOf(route)}/${ref.name}`)))

const refsOf = (route: HTTPRoute) => (route.spec?.rules ?? []).flatMap(rule => (rule.backendRefs ?? []).filter(isDelegate))

/** What a rule that hands on may not ask for itself. at: of the rule. */
export function unfit(
  rule: {
    readonly backendRefs?:
      | readonly { readonly group: string; readonly kind: string; readonly filters?: readonly unknown[] | undefined }[]
      | undefined
    readonly sessionPersistence?: unknown
  },
  filters: readonly Filter[],
  at: string,
): readonly Unsupported[] {
  const refs = rule.backendRefs ?? []
  const found: Unsupported[] = []
  const place = `${at}.backendRefs[${refs.findIndex(isDelegate)}]`
  if (refs.length > 1)
    found.push({ path: place, says: 'an HTTPRoute stands alone: a rule hands on to one route, or shares out among Services' })
  if (refs.some(ref => isDelegate(ref) && (ref.filters ?? []).length > 0))
    found.push({ path: `${place}.filters`, says: 'are not carried out for an HTTPRoute: put them on the rule, or into that route' })
  if (rule.sessionPersistence !== undefined)
    found.push({ path: `${at}.sessionPersistence`, says: 'is not handed on: put it into the rules of the HTTPRoute' })
  if (filters.some(filter => filter.type === 'rewrite' && filter.path?.type === 'prefix'))
    found.push({
      path: `${at}.filters`,
      says: 'replacePrefixMatch is not handed on, for the other route matches prefixes of its own: put it there',
    })
  return found
}
