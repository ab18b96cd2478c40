/** Which tokens (JWT, RFC 7519) requests must bring, where they stand and with which keys they are verified. */

/**
 * Tokens (JWT, RFC 7519) of any of the issuers, each of which stands once. name: `NAMESPACE/NAME` of the policy. isBoundToToken: what is under way when its token
 * ends is broken off. choosesRoutes: routes are told apart by headers that claims are written to, so that the route is chosen again by them.
 */
export type TokenPolicy = {
  readonly name: string
  readonly isRequired: boolean
  readonly issuers: readonly TokenIssuer[]
  readonly isBoundToToken?: true
  readonly choosesRoutes?: true
}

/** audiences: empty: any. keys: inline: a JSON Web Key Set in which each key has the one algorithm for which it is taken. forward: the workload gets the token. */
export type TokenIssuer = {
  readonly name: string
  readonly issuer: string
  readonly audiences: readonly string[]
  readonly keys: InlineKeys | FetchedKeys
  readonly from: readonly TokenPlace[]
  readonly forward: boolean
  readonly claimsToHeaders: readonly { readonly claim: string; readonly header: string }[]
  readonly skewMs: number
}

export type InlineKeys = { readonly type: 'inline'; readonly jwks: string }

/** backend: by which Envoy gets them. */
export type FetchedKeys = {
  readonly type: 'url'
  readonly url: string
  readonly backend: string
  readonly refreshMs: number
  readonly timeoutMs: number
  readonly algorithms: readonly string[]
}

/** name: of a header in lower case. prefix: what stands before the token. */
export type TokenPlace =
  | { readonly type: 'header'; readonly name: string; readonly prefix: string }
  | { readonly type: 'query' | 'cookie'; readonly name: string }
