/** What a route's filters make of a request: new path, host, header fields, or the place a redirect points to. Pure. */

import type { Filter, HeaderChange, PathChange, PathMatch, Redirect } from './view.ts'

/** Gateway API HTTPPathModifier. `prefix` replaces what the match's prefix covered; a trailing slash of either side is not doubled. */
export function changePath(path: string, change: PathChange, match: PathMatch | undefined): string {
  if (change.type === 'full') return change.value
  const prefix = match?.type === 'prefix' ? match.value : '/'
  const rest = path.slice(prefix.endsWith('/') ? prefix.length - 1 : prefix.length)
  const start = change.value.endsWith('/') ? change.value.slice(0, -1) : change.value
  if (rest === '' || rest === '/') return start + rest || '/'
  return start + (rest.startsWith('/') ? rest : `/${rest}`)
}

export type Rewritten = { readonly host: string; readonly path: string }

export function rewrite(filters: readonly Filter[], match: PathMatch | undefined, host: string, path: string): Rewritten {
  for (const filter of filters) {
    if (filter.type !== 'rewrite') continue
    if (filter.host !== undefined) host = filter.host
    if (filter.path !== undefined) path = changePath(path, filter.path, match)
  }
  return { host, path }
}

/** The Location of a redirect (Gateway API HTTPRequestRedirectFilter): the port of the request is kept unless scheme or port are given, well-known ports are left out. */
export function locationOf(
  redirect: Redirect,
  from: { scheme: string; host: string; path: string; search: string; match: PathMatch | undefined },
): string {
  const [, hostname = from.host, port] = /^(.*?)(?::(\d+))?$/.exec(from.host) ?? []
  const scheme = redirect.scheme ?? from.scheme
  const wanted = redirect.port ?? (redirect.scheme === undefined && port !== undefined ? Number(port) : undefined)
  const shown = wanted === undefined || (scheme === 'http' && wanted === 80) || (scheme === 'https' && wanted === 443) ? '' : `:${wanted}`
  const path = redirect.path === undefined ? from.path : changePath(from.path, redirect.path, from.match)
  return `${scheme}://${redirect.host ?? hostname}${shown}${path}${from.search === '' ? '' : `?${from.search}`}`
}

/** Header changes in order: remove, set, add. fields: name, value, name, value … */
export function changeFields(fields: readonly string[], change: HeaderChange): string[] {
  const gone = new Set([...change.remove, ...change.set.map(entry => entry.name)])
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) if (!gone.has(fields[at]!.toLowerCase())) kept.push(fields[at]!, fields[at + 1]!)
  for (const { name, value } of change.set) kept.push(name, value)
  for (const { name, value } of change.add) kept.push(name, value)
  return kept
}
