/** What a route's filters make of a request: new path, host, header fields, or the place a redirect points to. Pure. */

import type { Filter, HeaderChange, HostFrom, PathChange, Redirect, Substitution } from './filter.ts'
import type { PathMatch } from './route.ts'
import { plainName } from './claim-headers.ts'
import { canBeLinear, unrolled } from './expression.ts'

/** Gateway API HTTPPathModifier. `prefix` replaces what the match's prefix covered; a trailing slash of either side is not doubled. */
export function changePath(path: string, change: PathChange, match: PathMatch | undefined): string {
  // `OPTIONS *` is about the server and not about a path of it (RFC 9110 §7.1).
  if (path === '*') return path
  if (change.type === 'full') return change.value
  if (change.type === 'regex') return absolute(substitute(path, change))
  const prefix = match?.type === 'prefix' ? match.value : '/'
  const rest = path.slice(prefix.endsWith('/') ? prefix.length - 1 : prefix.length)
  const start = change.value.endsWith('/') ? change.value.slice(0, -1) : change.value
  if (rest === '' || rest === '/') return start + rest || '/'
  return start + (rest.startsWith('/') ? rest : `/${rest}`)
}

/** A request has no other path (RFC 9112 §3.2.1). */
const absolute = (path: string): string => (path.startsWith('/') ? path : `/${path}`)

export type Rewritten = { readonly host: string; readonly path: string }

/** request: whose headers may name the host. */
export function rewrite(
  filters: readonly Filter[],
  match: PathMatch | undefined,
  host: string,
  path: string,
  request: { header(name: string): string | undefined },
): Rewritten {
  const asked = path
  for (const filter of filters) {
    if (filter.type !== 'rewrite') continue
    if (filter.host !== undefined) host = typeof filter.host === 'string' ? filter.host : hostFrom(filter.host, host, asked, request)
    if (filter.path !== undefined) path = changePath(path, filter.path, match)
  }
  return { host, path }
}

/** What is no host leaves it as it is: who asks may write what they like. */
function hostFrom(from: HostFrom, host: string, path: string, request: { header(name: string): string | undefined }): string {
  const found = from.type === 'header' ? request.header(from.name) : substitute(path, from)
  return found !== undefined && /^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/.test(found) ? found : host
}

/** For people, as the end of a sentence. */
export const tellPath = (change: PathChange): string =>
  change.type === 'regex' ? `what ${change.pattern} makes of it: ${change.substitution}` : change.value
export const tellHost = (host: string | HostFrom): string =>
  typeof host === 'string'
    ? host
    : host.type === 'header'
      ? `the value of the header ${host.name}`
      : `what ${host.pattern} makes of the path: ${host.substitution}`

type Compiled = { readonly regex: RegExp; readonly parts: readonly (string | number)[] }
const compiled = new WeakMap<Substitution, Compiled>()

/** As RE2's GlobalReplace; a group that took no part is empty. What is longer than `longestTarget` comes out longer than that, but not whole. */
export function substitute(text: string, change: Substitution): string {
  let known = compiled.get(change)
  if (known === undefined) compiled.set(change, (known = { regex: everyPlace(change.pattern), parts: partsOf(change.substitution) }))
  const { regex, parts } = known
  let length = 0
  return text.replace(regex, (...found) => {
    // What comes out is refused: who asks decides how often, and it must not cost more memory than that.
    if (length > longestTarget) return ''
    const made = parts.map(part => (typeof part === 'string' ? part : ((found[part] as string | undefined) ?? ''))).join('')
    length += made.length
    return made
  })
}

/** Of what is made of a path: as much as a whole head may have that comes in. */
export const longestTarget = 65_536

/** Not a flag of ECMAScript. */
const linear = 'gl'

/** In linear time where V8 was asked for that (the flag `l`); who asks may write any path, and to look for `\d+x` in many digits takes the square of their number else. */
function everyPlace(pattern: string): RegExp {
  // What that engine lacks: classes of Unicode, which need the flag `u`, and long repetitions.
  const rolledOut = canBeLinear(pattern) ? unrolled(pattern, true) : undefined
  if (rolledOut !== undefined)
    try {
      return new RegExp(rolledOut, linear)
    } catch {
      // Not asked for, or not possible.
    }
  return new RegExp(pattern, 'gu')
}

/** Text, and numbers of groups. */
export const partsOf = (substitution: string): readonly (string | number)[] =>
  (substitution.match(/\\\d|\\[^]|[^\\]+|\\$/g) ?? []).map(part =>
    part[0] !== '\\' ? part : /^\\\d$/.test(part) ? Number(part[1]) : part.slice(1),
  )

/** The Location of a redirect (Gateway API HTTPRequestRedirectFilter): the port of the request is kept unless scheme or port are given, well-known ports are left out. */
export function locationOf(
  redirect: Redirect,
  from: { scheme: string; host: string; path: string; search: string; match: PathMatch | undefined },
): string {
  const [, hostname = from.host, port] = /^(.*?)(?::(\d+))?$/.exec(from.host) ?? []
  const scheme = redirect.scheme ?? from.scheme
  const wanted = redirect.port ?? (redirect.scheme === undefined && port !== undefined ? Number(port) : undefined)
  const shown = wanted === undefined || (scheme === 'http' && wanted === 80) || (scheme === 'https' && wanted === 443) ? '' : `:${wanted}`
  const asked = from.path === '*' ? '/' : from.path
  const path = redirect.path === undefined ? asked : changePath(asked, redirect.path, from.match)
  return `${scheme}://${redirect.host ?? hostname}${shown}${path}${from.search === '' ? '' : `?${from.search}`}`
}

/**
 * Those of a request. What is set or removed goes in every spelling that servers of CGI's kind take for the same: else a caller's `X_Tenant` would be read beside, or for,
 * the `X-Tenant` that is set here.
 */
export function changeRequest(fields: readonly string[], change: HeaderChange): string[] {
  let gone = replaced.get(change)
  if (gone === undefined) replaced.set(change, (gone = new Set([...change.remove, ...change.set.map(({ name }) => name)].map(plainName))))
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) if (!gone.has(plainName(fields[at]!))) kept.push(fields[at]!, fields[at + 1]!)
  return added(kept, change)
}
const replaced = new WeakMap<HeaderChange, ReadonlySet<string>>()

/** Header changes in order: remove, set, add. fields: name, value, name, value … */
export function changeFields(fields: readonly string[], change: HeaderChange): string[] {
  const gone = new Set([...change.remove, ...change.set.map(entry => entry.name)])
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) if (!gone.has(fields[at]!.toLowerCase())) kept.push(fields[at]!, fields[at + 1]!)
  return added(kept, change)
}

function added(fields: string[], { set, add }: HeaderChange): string[] {
  for (const { name, value } of set) fields.push(name, value)
  for (const { name, value } of add) fields.push(name, value)
  return fields
}
