/** What a route changes of a request or an answer, and where a redirect points to. */

export type Filter =
  | { readonly type: 'request-headers'; readonly change: HeaderChange }
  | { readonly type: 'response-headers'; readonly change: HeaderChange }
  | { readonly type: 'rewrite'; readonly host?: string | HostFrom; readonly path?: PathChange }

/** Names lower case. */
export type HeaderChange = { readonly set: readonly NameValue[]; readonly add: readonly NameValue[]; readonly remove: readonly string[] }

export type NameValue = { readonly name: string; readonly value: string }

export type PathChange = { readonly type: 'full' | 'prefix'; readonly value: string } | ({ readonly type: 'regex' } & Substitution)

/** Each place that the pattern (RE2 syntax, not anchored) matches becomes the substitution, in which `\1` to `\9` are groups and `\0` is all of it. */
export type Substitution = { readonly pattern: string; readonly substitution: string }

/** The host is the value of a header of the request, if it has that; or what a substitution makes of its path. */
export type HostFrom = { readonly type: 'header'; readonly name: string } | ({ readonly type: 'path' } & Substitution)

export type Redirect = {
  readonly scheme?: 'http' | 'https'
  readonly host?: string
  readonly port?: number
  readonly path?: PathChange
  readonly status: 301 | 302 | 303 | 307 | 308
}
