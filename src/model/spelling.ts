/** In which spelling a Gateway reads a path: whoever stands behind it may make the same of many, so that a route for `/admin` must be taken by all of them. */

import { follow, isOdd, type Reading, unescape } from './access/path.ts'
import type { RequestFacts } from './match.ts'
import type { PathMatch, Route } from './route.ts'

/** No server reads it otherwise; so are almost all. */
export const isPlain = (path: string): boolean => !isOdd(path)

/** The path by which the route of a request is chosen and which is sent on, or why it is answered 400 `bad-request`. choose: by which rule goes a request. */
export function spellAtEdge(
  request: RequestFacts,
  choose: (request: RequestFacts) => Route | undefined,
): { readonly path: string } | { readonly why: string } {
  if (request.method === 'CONNECT') return request
  const read = readAtEdge(request.path)
  if (read === undefined) return { why: noCertainPath }
  if (read.other === undefined) return read
  const { method, host, search, claims } = request
  const as = (path: string): RequestFacts => ({ method, host, path, search, claims, header: name => request.header(name) })
  // A server behind might do what the rule for the other reading is to guard.
  return choose(as(read.path))?.origin === choose(as(read.other))?.origin ? { path: read.path } : { why: twofoldPath }
}

/** What a route matches there, in the same spelling; an expression is left to who wrote it. */
export const matchAtEdge = (path: PathMatch): PathMatch =>
  path.type === 'regex' || !path.value.includes('%') ? path : { type: path.type, value: unescape(path.value) }

const noCertainPath = 'RFC 3986 §6.2.2: the path leads above the root, or holds % without two digits, or %00'
const twofoldPath = 'the path can be read in two ways (%2F, %5C, %3B, \\ or ;), which different rules take: write it plainly'

/**
 * path: by which the route is chosen, and which is sent on (RFC 3986 §6.2.2: unreserved characters without percent, dot segments followed), slashes merged.
 * other: what the most generous server would read: `%2F` and `\` as slashes, also where they are escaped twice, segments without `;parameters`.
 * Undefined: `..` above the root, `%` without two digits, `%00`.
 */
function readAtEdge(path: string): Reading | undefined {
  if (path === '*' || !isOdd(path)) return { path }
  if (!path.startsWith('/') || /%(?![0-9a-f]{2})|%00/i.test(path)) return undefined
  const once = follow(unescape(path))
  if (once === undefined) return undefined
  if (!/[;\\]|%(?:25|2F|5C|3B)/.test(once)) return { path: once }
  const flat = unescape(once.replaceAll(/%(?:25)+(?=[0-9a-f]{2})/gi, '%'))
  const other = follow(
    flat
      .replaceAll(/%2F|%5C|\\/g, '/')
      .split('/')
      .map(segment => segment.replace(/(?:;|%3B).*$/, ''))
      .join('/'),
  )
  return other === undefined ? undefined : { path: once, other }
}
