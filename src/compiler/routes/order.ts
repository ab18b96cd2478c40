/** In which order routes are tried: the precedence of Gateway API (HTTPRouteRule.matches, GRPCRouteRule.matches). */

import type { Match, Route } from '#model/route'
import type { Delegate } from './delegate.ts'

/** What makes one match more specific than another: numbers of which the first that differs decides, the greater first. All ranks of one table are of one kind. */
export type Rank = readonly number[]
/** delegate: what the rule hands on to; within: the rules that stand in its place, which are in order among themselves. */
export type Ranked = { readonly route: Route; readonly rank: Rank; readonly delegate?: Delegate; readonly within?: readonly Ranked[] }

/** Of HTTP. Where expressions stand is left to implementations: below exact, above prefix. */
export const rankOfRequest = (match: Match): Rank => [
  match.path?.type === 'exact' ? 2 : match.path?.type === 'regex' ? 1 : 0,
  match.path?.value.length ?? 0,
  match.method === undefined ? 0 : 1,
  match.headers?.length ?? 0,
  match.query?.length ?? 0,
]

/** Of gRPC: by the lengths of names, whatever the way in which they are compared. */
export const rankOfCall = (service: string | undefined, method: string | undefined, headers: number): Rank => [
  service?.length ?? 0,
  method?.length ?? 0,
  headers,
]

/** routes: those of the oldest route object first, and of one object in the order in which it lists them; that order decides between equals. */
export function inOrder(routes: readonly Ranked[]): readonly Route[] {
  return routes
    .map((ranked, index) => ({ ...ranked, index }))
    .sort((one, other) => {
      for (const [at, weight] of one.rank.entries()) if (weight !== other.rank[at]) return other.rank[at]! - weight
      return one.index - other.index
    })
    .flatMap(each => (each.within === undefined ? [each.route] : inOrder(each.within)))
}

/** The same with every route changed. */
export const changed = (routes: readonly Ranked[], change: (route: Route) => Route): readonly Ranked[] =>
  routes.map(each => ({
    ...each,
    route: change(each.route),
    ...(each.within === undefined ? {} : { within: changed(each.within, change) }),
  }))
