/** Envoy's ways of changing a path → PathChange. */

import type { Any } from '@bufbuild/protobuf/wkt'
import { StructSchema } from '@bufbuild/protobuf/wkt'
import type { Match, PathChange } from '#model/view'
import { fullPattern, prefixPattern } from '../encode/path.ts'
import { FilterConfigSchema } from '../gen/envoy/config/route/v3/route_components_pb.ts'
import type { RegexMatchAndSubstitute } from '../gen/envoy/type/matcher/v3/regex_pb.ts'
import { refuse, unpack } from './carried.ts'

/** prefix: '' where Envoy has none. */
export function pathChange(
  prefix: string,
  regex: RegexMatchAndSubstitute | undefined,
  match: Match,
  where: string,
): PathChange | undefined {
  if (regex !== undefined) return byRegex(regex, match, `${where}.regex_rewrite`)
  return prefix === '' ? undefined : byPrefix(prefix, match, `${where}.prefix_rewrite`)
}

/** Envoy puts the text in place of what matched, slash for slash; only where that is the same as by segments is it taken. */
function byPrefix(value: string, { path }: Match, where: string): PathChange {
  if (path?.type === 'exact') return { type: 'full', value }
  if (path?.type !== 'prefix') refuse(where, 'carried out only beside path, path_separated_prefix or the prefix /')
  if (path.value === '/')
    return value.endsWith('/')
      ? { type: 'prefix', value: bare(value) }
      : refuse(where, `"${value}" in place of / would run into the first segment`)
  return value.endsWith('/') ? refuse(where, `"${value}" in place of ${path.value} would double the slash`) : { type: 'prefix', value }
}

/** The patterns that encode writes, and no others. */
function byRegex({ pattern, substitution }: RegexMatchAndSubstitute, { path }: Match, where: string): PathChange {
  const value = substitution.replaceAll('\\\\', '\\')
  if (/\\\d/.test(substitution.replaceAll('\\\\', ''))) refuse(where, 'groups in a substitution are not carried out by this proxy')
  if (pattern?.regex === fullPattern) return { type: 'full', value }
  const prefix = path?.type === 'prefix' && path.value !== '/' ? path.value : ''
  if (pattern?.regex === prefixPattern(prefix) && value.endsWith('/')) return { type: 'prefix', value: bare(value) }
  return refuse(where, `the pattern "${pattern?.regex}" is not carried out by this proxy`)
}

const bare = (value: string): string => (value === '/' ? '/' : value.slice(0, -1))

export function shareRewriteOf(any: Any, where: string): PathChange {
  const { fields } = unpack(unpack(any, FilterConfigSchema, where).config, StructSchema, where)
  const type = fields['type']?.kind.value
  const value = fields['value']?.kind.value
  if ((type !== 'full' && type !== 'prefix') || typeof value !== 'string') refuse(where, 'a path rewrite needs a type and a value')
  return { type, value }
}
