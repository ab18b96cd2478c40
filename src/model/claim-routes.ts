/** Routes that claims choose: by headers that policies of the same host write claims to. Pure, the same in the compiler, the proxy and explanations. */

import type { Listener, LoginPolicy, TokenPolicy, VirtualHost } from './view.ts'

type Policies = Pick<Listener, 'tokens' | 'logins'>
type Found = {
  readonly tokens: Policies['tokens'] | undefined
  readonly logins: Policies['logins'] | undefined
  readonly names: readonly string[]
}

const known = new WeakMap<VirtualHost, Found>()

/** In lower case. What callers write there themselves chooses no route of this host, whether a policy holds for it or not. */
export function claimHeadersOf(host: VirtualHost, { tokens, logins }: Policies): readonly string[] {
  const before = known.get(host)
  if (before !== undefined && before.tokens === tokens && before.logins === logins) return before.names
  const names = find(host, tokens ?? [], logins ?? [])
  known.set(host, { tokens, logins, names })
  return names
}

function find({ routes }: VirtualHost, tokens: readonly TokenPolicy[], logins: readonly LoginPolicy[]): readonly string[] {
  const matched = new Set(routes.flatMap(({ match }) => (match.headers ?? []).map(({ name }) => name)))
  if (matched.size === 0) return []
  const written = [
    ...tokens.filter(({ name }) => routes.some(route => route.tokens === name)).flatMap(({ issuers }) => issuers),
    ...logins.filter(({ name }) => routes.some(route => route.login === name)),
  ].flatMap(({ claimsToHeaders }) => claimsToHeaders.map(({ header }) => header))
  return [...new Set(written)].filter(each => matched.has(each))
}
