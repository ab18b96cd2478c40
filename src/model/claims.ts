/** What a verified token says of who it is for: values found by name, the same for rules, for headers and in explanations. */

export type Claims = Readonly<Record<string, unknown>>

/** A dot leads into a claim; `\.` is a dot in its name. */
export const claimPath = (name: string): readonly string[] =>
  (name.match(/(?:\\[\s\S]|[^.\\])+/g) ?? []).map(part => part.replaceAll(/\\([\s\S])/g, '$1'))

export function claimAt(claims: Claims, path: readonly string[]): unknown {
  let found: unknown = claims
  for (const name of path) {
    if (typeof found !== 'object' || found === null || Array.isArray(found) || !Object.hasOwn(found, name)) return undefined
    found = (found as Readonly<Record<string, unknown>>)[name]
  }
  return found
}

/** What rules compare: text, true or false; of a list each element; the words of `scope` (RFC 8693 §4.2). Of anything else nothing. */
export function textsAt(claims: Claims, path: readonly string[]): readonly string[] {
  const found = claimAt(claims, path)
  if (path.length === 1 && path[0] === 'scope' && typeof found === 'string') return found.split(' ').filter(word => word !== '')
  if (Array.isArray(found)) return (found as unknown[]).filter(each => typeof each === 'string')
  return typeof found === 'string' ? [found] : typeof found === 'boolean' ? [String(found)] : []
}

/** As a header says it: lists and objects as JSON in base64url. Undefined: there is none, or it cannot stand in a header. */
export function headerOf(claims: Claims, path: readonly string[]): string | undefined {
  const found = claimAt(claims, path)
  if (found === undefined || found === null) return undefined
  if (typeof found !== 'object') {
    const text = String(found)
    return /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text) ? text : undefined
  }
  return new TextEncoder().encode(JSON.stringify(found)).toBase64({ alphabet: 'base64url', omitPadding: true })
}
