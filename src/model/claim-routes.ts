/** Routes that claims choose: by headers that policies of the same host write claims to. Pure, the same in the compiler, the proxy and explanations. */

import { claimPath, headerOf } from './claims.ts'
import type { Listener } from './listener.ts'
import { hostOf, type RequestFacts } from './match.ts'
import type { RouteTable, VirtualHost } from './route.ts'
import { routeAt } from './tunnel.ts'

type Policies = Pick<Listener, 'tokens' | 'logins'>
type Found = {
  readonly tokens: Policies['tokens'] | undefined
  readonly logins: Policies['logins'] | undefined
  readonly names: readonly string[]
}

const known = new WeakMap<VirtualHost, Found>()

/** Of policies that choose routes, in lower case. What callers write there themselves chooses no route of this host, whether a policy holds for it or not. */
export function claimHeadersOf(host: VirtualHost, { tokens, logins }: Policies): readonly string[] {
  const before = known.get(host)
  if (before !== undefined && before.tokens === tokens && before.logins === logins) return before.names
  const chooses = ({ choosesRoutes }: { readonly choosesRoutes?: true }): boolean => choosesRoutes === true
  const names = matchedClaims(host, { tokens: (tokens ?? []).filter(chooses), logins: (logins ?? []).filter(chooses) })
  known.set(host, { tokens, logins, names })
  return names
}

/** Of all policies: those that must choose routes have one of these. */
export function matchedClaims({ routes }: VirtualHost, { tokens = [], logins = [] }: Policies): readonly string[] {
  const matched = new Set(routes.flatMap(({ match }) => (match.headers ?? []).map(({ name }) => name)))
  if (matched.size === 0) return []
  const written = [
    ...tokens.filter(({ name }) => routes.some(route => route.tokens === name)).flatMap(({ issuers }) => issuers),
    ...logins.filter(({ name }) => routes.some(route => route.login === name)),
  ].flatMap(({ claimsToHeaders }) => claimsToHeaders.map(({ header }) => header))
  return [...new Set(written)].filter(each => matched.has(each))
}

/** The request as it is when its route is chosen for good: such headers are what its claims say, where the route that it takes without them verifies any. */
export function asChosenBy(table: RouteTable, listener: Listener, request: RequestFacts): RequestFacts {
  const host = hostOf(table, request.host)
  const names = host === undefined ? [] : claimHeadersOf(host, listener)
  if (names.length === 0) return request
  const saying = (said: ReadonlyMap<string, string | undefined>): RequestFacts => ({
    ...request,
    header: name => (said.has(name) ? said.get(name) : request.header(name)),
  })
  const silent = names.map(name => [name, undefined] as const)
  const bare = saying(new Map(silent))
  const route = routeAt(listener.direction, table, bare)
  const { claims } = request
  if (claims === undefined || route === undefined) return bare
  const token = listener.tokens?.find(each => each.name === route.tokens)
  const issuer = token?.issuers.find(each => each.issuer === claims['iss']) ?? token?.issuers[0]
  const login = listener.logins?.find(each => each.name === route.login)
  const told = [login, issuer].flatMap(each =>
    (each?.claimsToHeaders ?? []).map(({ claim, header }) => [header, headerOf(claims, claimPath(claim))] as const),
  )
  return saying(new Map([...silent, ...told]))
}
