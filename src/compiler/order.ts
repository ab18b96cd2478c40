/** In which order routes are tried: the precedence of Gateway API (HTTPRouteRule.matches). */

import type { Match, Route } from '#model/view'

/** What makes one match more specific than another, the greater first. Where expressions stand is left to implementations: below exact, above prefix. */
const specificity = (match: Match): readonly number[] => [
  match.path?.type === 'exact' ? 2 : match.path?.type === 'regex' ? 1 : 0,
  match.path?.value.length ?? 0,
  match.method === undefined ? 0 : 1,
  match.headers?.length ?? 0,
  match.query?.length ?? 0,
]

/** routes: those of the oldest route object first, and of one object in the order in which it lists them; that order decides between equals. */
export function inOrder(routes: readonly Route[]): readonly Route[] {
  return routes
    .map((route, index) => ({ route, index, weights: specificity(route.match) }))
    .sort((one, other) => {
      for (const [at, weight] of one.weights.entries()) if (weight !== other.weights[at]) return other.weights[at]! - weight
      return one.index - other.index
    })
    .map(each => each.route)
}
