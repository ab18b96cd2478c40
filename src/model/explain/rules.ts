/** Which rule of a route table a request takes, and of each that is tried before it the condition that failed. */

import type { Listener } from '../listener.ts'
import type { FailedAt, RequestFacts } from '../match.ts'
import { failsAt, hostOf, queryValue } from '../match.ts'
import type { Route, RouteTable } from '../route.ts'
import { routeAt } from '../tunnel.ts'

/** outcome: `later` was not tried, since one before it was taken. has: what the request has in the place of the condition that failed. */
export type RuleTold = { readonly route: Route } & (
  | { readonly outcome: 'taken' | 'later' }
  | { readonly outcome: 'failed'; readonly at: FailedAt | 'host'; readonly has?: string }
)

export function tellRules(
  table: RouteTable,
  request: RequestFacts,
  direction: Listener['direction'],
): { readonly rules: readonly RuleTold[]; readonly route: Route | undefined } {
  const route = routeAt(direction, table, request)
  const host = hostOf(table, request.host)
  let isFound = false
  const rules = table.hosts.flatMap(each => {
    const isHost = each === host
    return each.routes.map((each): RuleTold => {
      if (isFound) return { route: each, outcome: 'later' }
      if (!isHost) return { route: each, outcome: 'failed', at: 'host', has: request.host }
      if (each === route) {
        isFound = true
        return { route: each, outcome: 'taken' }
      }
      const at = failsAt(each.match, request) ?? 'method' // of CONNECT at a Gateway, which must be named
      const has = valueAt(at, request)
      return { route: each, outcome: 'failed', at, ...(has === undefined ? {} : { has }) }
    })
  })
  return { rules, route }
}

function valueAt(at: FailedAt, request: RequestFacts): string | undefined {
  if (at === 'path') return request.path
  if (at === 'method') return request.method
  if (at === 'grpc') return request.header('content-type')
  if (at.startsWith('headers ')) return request.header(at.slice('headers '.length))
  return queryValue(request.search, at.slice('query '.length))
}
