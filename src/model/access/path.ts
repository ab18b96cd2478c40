/** The path that rules are compared with: one spelling for each, and a second where servers disagree about what a spelling means. */

/**
 * path: what is compared, and what is sent on: unreserved characters without percent (RFC 3986 §6.2.2.2), dot segments followed (§5.2.4), slashes merged. Case is kept.
 * other: what some servers take it for: `%2F`, `%5C` and `\` as slashes, `;parameters` (`%3B` too) cut off each segment, `%2561` for what `%61` is. A request must be
 * allowed as both.
 */
export type Reading = { readonly path: string; readonly other?: string }

/** What could be read in two ways; almost no path of a well-behaved caller has any of it. */
const odd = /\/\/|\/\.|[%;\\#\x00-\x20\x7f]/
export const isOdd = (path: string): boolean => path.charCodeAt(0) !== 47 || odd.test(path)

/** Undefined: no two servers would agree on it, or nobody means well with it. */
export function readPath(path: string): Reading | undefined {
  if (path === '*' || !isOdd(path)) return { path }
  if (!path.startsWith('/') || isForbidden(path)) return undefined
  const once = follow(unescape(path))
  if (once === undefined) return undefined
  if (!/[;\\]|%(?:2F|5C|3B|25[0-9a-fA-F]{2})/.test(once)) return { path: once }
  const other = follow(
    unescape(once.replaceAll(/%(?:25)+(?=[0-9a-f]{2})/gi, '%'))
      .replaceAll(/%2F|%5C|\\/g, '/')
      .split('/')
      .map(segment => segment.replace(/(?:;|%3B).*$/, ''))
      .join('/'),
  )
  return other === undefined ? undefined : { path: once, other }
}

/** Control characters, a fragment, `%` without two digits, bytes that UTF-8 never has (overlong `/` and `.`), and what is escaped twice to mean something to a server that unescapes twice. */
const isForbidden = (path: string): boolean =>
  /[\x00-\x20\x7f#]|%(?![0-9a-f]{2})|%(?:[01][0-9a-f]|7f|c[01]|e0%[89][0-9a-f]|f0%8[0-9a-f]|f[5-9a-f])|%25(?:25)*(?:2e|2f|5c|3b|23|3f|[01][0-9a-f]|7f|c[01])/i.test(
    path,
  )

export const unescape = (path: string): string =>
  path.replaceAll(/%[0-9a-f]{2}/gi, escaped => {
    const char = String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
    return /[A-Za-z0-9._~-]/.test(char) ? char : escaped.toUpperCase()
  })

/** Undefined: it leads above the root. */
export function follow(path: string): string | undefined {
  const segments: string[] = []
  const all = path.split('/')
  for (const [at, segment] of all.entries()) {
    const isLast = at === all.length - 1
    if (segment === '' && !isLast) continue
    if (segment === '..' && segments.pop() === undefined) return undefined
    if (segment === '.' || segment === '..') {
      if (isLast) segments.push('')
    } else segments.push(segment)
  }
  return `/${segments.join('/')}`
}
