/** What two matches come to that must both hold. */

import { hasPrefix } from '#model/match'
import type { Match, PathMatch } from '#model/route'

/** undefined: nothing can match both. A sentence: what both match cannot be said. */
export function bothMatch(one: Match, other: Match): Match | undefined | string {
  if (one.method !== undefined && other.method !== undefined && one.method !== other.method) return undefined
  const path = one.path === undefined ? other.path : other.path === undefined ? one.path : bothPaths(one.path, other.path)
  if (typeof path === 'string') return path
  if (path === undefined && one.path !== undefined && other.path !== undefined) return undefined
  const method = one.method ?? other.method
  const headers = [...(one.headers ?? []), ...(other.headers ?? [])]
  const query = [...(one.query ?? []), ...(other.query ?? [])]
  const isCall = one.grpc === true || other.grpc === true
  return {
    ...(isCall ? { grpc: true as const } : {}),
    ...(path === undefined ? {} : { path }),
    ...(method === undefined ? {} : { method }),
    ...(headers.length > 0 ? { headers } : {}),
    ...(query.length > 0 ? { query } : {}),
  }
}

function bothPaths(one: PathMatch, other: PathMatch): PathMatch | undefined | string {
  if (one.type === 'exact') return holds(other, one.value) ? one : undefined
  if (other.type === 'exact') return holds(one, other.value) ? other : undefined
  if (one.type === 'prefix' && other.type === 'prefix')
    return hasPrefix(other.value, one.value) ? other : hasPrefix(one.value, other.value) ? one : undefined
  if (one.type === 'regex' && other.type === 'regex')
    return one.value === other.value
      ? one
      : `the expression ${other.value} stands below the expression ${one.value}, and what both match cannot be said: use a prefix`
  const [regex, prefix] = one.type === 'regex' ? [one, other] : [other, one]
  const start = prefix.value.endsWith('/') ? prefix.value : `${prefix.value}/`
  if (start === '/' || literalStart(regex.value).startsWith(start)) return regex
  return `the expression ${regex.value} must begin with ${start} as it stands, for it is to match only below ${prefix.value}`
}

const holds = (path: PathMatch, value: string): boolean =>
  path.type === 'exact'
    ? path.value === value
    : path.type === 'prefix'
      ? hasPrefix(value, path.value)
      : new RegExp(`^(?:${path.value})$`, 'u').test(value)

/** With what every text begins that the expression matches, as far as that is plain. */
function literalStart(pattern: string): string {
  if (pattern.includes('|')) return ''
  const [, plain = '', next = ''] = /^\^?([^\\^$.*+?()[\]{}|]*)(.?)/su.exec(pattern) ?? []
  return '*?{'.includes(next) && next !== '' ? plain.slice(0, -1) : plain
}
