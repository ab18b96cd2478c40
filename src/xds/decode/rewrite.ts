/** Envoy's ways of changing a path → PathChange. */

import type { Any } from '@bufbuild/protobuf/wkt'
import { StructSchema } from '@bufbuild/protobuf/wkt'
import type { HostFrom, PathChange, Substitution } from '#model/filter'
import type { Match } from '#model/route'
import { fullPattern, prefixPattern } from '../encode/path.ts'
import { FilterConfigSchema } from '../gen/envoy/config/route/v3/route_components_pb.ts'
import type { RegexMatchAndSubstitute } from '../gen/envoy/type/matcher/v3/regex_pb.ts'
import { refuse, unpack } from './carried.ts'
import { checkWords } from './words.ts'

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

/** The patterns that encode writes for changes that it knows by another name; all others are what somebody wrote. */
function byRegex(message: RegexMatchAndSubstitute, { path }: Match, where: string): PathChange {
  const { pattern, substitution } = message
  if (!/\\\d/.test(substitution.replaceAll('\\\\', ''))) {
    const value = substitution.replaceAll('\\\\', '\\')
    if (pattern?.regex === fullPattern) return { type: 'full', value }
    const prefix = path?.type === 'prefix' && path.value !== '/' ? path.value : ''
    if (pattern?.regex === prefixPattern(prefix) && value.endsWith('/')) return { type: 'prefix', value: bare(value) }
  }
  return { type: 'regex', ...substitutionOf(message, where) }
}

export function substitutionOf({ pattern, substitution }: RegexMatchAndSubstitute, where: string): Substitution {
  const regex = pattern?.regex ?? ''
  let groups: number
  try {
    // One more alternative, that is empty, always matches, and says how many groups there are.
    groups = new RegExp(`${regex}|`, 'u').exec('')!.length - 1
  } catch {
    return refuse(`${where}.pattern`, `"${regex}" is not carried out by this proxy: no regular expression of ECMAScript`)
  }
  if (regex === '') refuse(`${where}.pattern`, 'is needed')
  for (const [, escaped] of substitution.matchAll(/\\([^]|$)/g)) {
    if (!/^[\d\\]$/.test(escaped!)) refuse(`${where}.substitution`, `"\\${escaped}" is no group and no backslash`)
    if (escaped !== '\\' && Number(escaped) > groups) refuse(`${where}.substitution`, `the pattern has no group ${escaped}`)
  }
  return { pattern: regex, substitution }
}

const bare = (value: string): string => (value === '/' ? '/' : value.slice(0, -1))

export type ShareRewrite = { readonly path?: PathChange; readonly host?: HostFrom }

export function shareRewriteOf(any: Any, where: string): ShareRewrite {
  const { fields } = unpack(unpack(any, FilterConfigSchema, where).config, StructSchema, where)
  checkWords(fields, 'rewrite', where)
  const text = (name: string): string | undefined => {
    const kind = fields[name]?.kind
    return kind?.case === 'stringValue' ? kind.value : undefined
  }
  const [type, value, pattern, substitution] = [text('type'), text('value'), text('pattern'), text('substitution')]
  const [header, hostPattern, hostSubstitution] = [text('hostHeader'), text('hostPattern'), text('hostSubstitution')]
  let path: PathChange | undefined
  if ((type === 'full' || type === 'prefix') && value !== undefined) path = { type, value }
  else if (type === 'regex' && pattern !== undefined && substitution !== undefined) path = { type, pattern, substitution }
  else if (type !== undefined) refuse(where, 'a path rewrite needs a type and a value')
  let host: HostFrom | undefined
  if (header !== undefined) host = { type: 'header', name: header }
  else if (hostPattern !== undefined && hostSubstitution !== undefined)
    host = { type: 'path', pattern: hostPattern, substitution: hostSubstitution }
  if (path === undefined && host === undefined) refuse(where, 'a path rewrite needs a type and a value')
  return { ...(path === undefined ? {} : { path }), ...(host === undefined ? {} : { host }) }
}
