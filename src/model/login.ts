/** How callers of a Gateway log in at a provider of OpenID Connect. */

import type { NameValue } from './filter.ts'
import type { TokenIssuer } from './token.ts'

/**
 * A login at a provider of OpenID Connect, by an authorization code with PKCE. name: `NAMESPACE/NAME` of the policy. secret: of the client; empty: it has none.
 * keys: base64; by the first cookies are sealed, by all of them opened. parameters: further ones of the login's URL. cookie: without prefix; domain: absent:
 * the host alone. apiPaths: all below them too. ca: PEM, in place of what the machine trusts. wrong: why nobody can log in, so that nothing is served.
 */
export type LoginPolicy = {
  readonly name: string
  readonly issuer: string
  readonly clientId: string
  readonly secret: string
  readonly secretIn: 'header' | 'body'
  readonly keys: readonly string[]
  readonly scopes: readonly string[]
  readonly parameters: readonly NameValue[]
  readonly timeoutMs: number
  readonly ca?: string
  readonly redirectPath: string
  readonly logoutPath: string
  readonly afterLogout: string
  readonly cookie: { readonly name: string; readonly domain?: string; readonly sameSite: 'Lax' | 'Strict' | 'None' }
  readonly lifetimeMs: number
  readonly refreshes: boolean
  readonly accessToken?: ForwardedToken
  readonly idToken?: ForwardedToken
  readonly claimsToHeaders: TokenIssuer['claimsToHeaders']
  readonly passesBearer: boolean
  readonly apiPaths: readonly string[]
  readonly choosesRoutes?: true
  readonly wrong?: string
}

/** header: lower case. */
export type ForwardedToken = { readonly header: string; readonly prefix: string }
