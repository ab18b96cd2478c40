/** RouteMatch → Match. What Envoy can say and the model cannot is turned into an equal pattern where there is one, and refused where not. */

import type { Match, PathMatch, ValueMatch } from '#model/route'
import { escapeRegex } from '../encode/path.ts'
import {
  type HeaderMatcher,
  HeaderMatcherSchema,
  type QueryParameterMatcher,
  type RouteMatch,
  RouteMatchSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts'
import type { StringMatcher } from '../gen/envoy/type/matcher/v3/string_pb.ts'
import { carries, refuse } from './carried.ts'

const checkMatch = carries(RouteMatchSchema, [
  'prefix',
  'path',
  'safe_regex',
  'path_separated_prefix',
  'case_sensitive',
  'headers',
  'query_parameters',
  'grpc',
])
const checkHeader = carries(HeaderMatcherSchema, [
  'name',
  'exact_match',
  'safe_regex_match',
  'present_match',
  'prefix_match',
  'suffix_match',
  'contains_match',
  'string_match',
])

export function decodeMatch(message: RouteMatch | undefined, where: string): Match {
  if (message === undefined) refuse(where, 'missing')
  checkMatch(message, where)
  if (message.caseSensitive === false) refuse(`${where}.case_sensitive`, 'only true is carried out')
  const path = pathOf(message, where)
  const methods = message.headers
    .filter(header => header.name === ':method')
    .map((header, index) => decodeHeader(header, `${where}.headers[${index}]`))
  if (methods.length > 1 || methods[0]?.type === 'regex') refuse(`${where}.headers`, 'only one exact :method is carried out')
  const headers = message.headers.flatMap((header, index) =>
    header.name === ':method' ? [] : [decodeHeader(header, `${where}.headers[${index}]`)],
  )
  const query = message.queryParameters.map((parameter, index) => decodeQuery(parameter, `${where}.query_parameters[${index}]`))
  return {
    ...(message.grpc === undefined ? {} : { grpc: true as const }),
    ...(path === undefined ? {} : { path }),
    ...(methods[0] === undefined ? {} : { method: methods[0].value }),
    ...(headers.length > 0 ? { headers } : {}),
    ...(query.length > 0 ? { query } : {}),
  }
}

function pathOf({ pathSpecifier }: RouteMatch, where: string): PathMatch | undefined {
  switch (pathSpecifier.case) {
    case 'path':
      return { type: 'exact', value: pathSpecifier.value }
    case 'safeRegex':
      return { type: 'regex', value: regexOf(pathSpecifier.value.regex, `${where}.safe_regex`) }
    case 'pathSeparatedPrefix':
      return { type: 'prefix', value: pathSpecifier.value }
    case 'prefix':
      if (pathSpecifier.value === '') return undefined
      // Any other prefix of Envoy's ends also inside a segment.
      return pathSpecifier.value === '/'
        ? { type: 'prefix', value: '/' }
        : { type: 'regex', value: `${escapeRegex(pathSpecifier.value)}.*` }
    default:
      return refuse(where, 'prefix, path, safe_regex or path_separated_prefix is needed')
  }
}

function decodeHeader(message: HeaderMatcher, where: string): ValueMatch {
  checkHeader(message, where)
  const name = message.name.toLowerCase()
  if (name.startsWith(':') && name !== ':method') refuse(where, `a match on ${name} is not carried out by this proxy`)
  const match = message.headerMatchSpecifier
  switch (match.case) {
    case 'stringMatch':
      return { name, ...decodeText(match.value, where) }
    case 'exactMatch':
      return { name, type: 'exact', value: match.value }
    case 'safeRegexMatch':
      return { name, type: 'regex', value: regexOf(match.value.regex, where) }
    case 'prefixMatch':
      return { name, type: 'regex', value: `${escapeRegex(match.value)}.*` }
    case 'suffixMatch':
      return { name, type: 'regex', value: `.*${escapeRegex(match.value)}` }
    case 'containsMatch':
      return { name, type: 'regex', value: `.*${escapeRegex(match.value)}.*` }
    case 'presentMatch':
      return match.value ? { name, type: 'regex', value: '.*' } : refuse(where, 'absence of a header is not carried out by this proxy')
    case undefined:
      return { name, type: 'regex', value: '.*' }
    default:
      return refuse(where, `${match.case} is not carried out by this proxy`)
  }
}

function decodeQuery({ name, queryParameterMatchSpecifier: match }: QueryParameterMatcher, where: string): ValueMatch {
  if (match.case === 'stringMatch') return { name, ...decodeText(match.value, where) }
  if (match.case === 'presentMatch' && !match.value) refuse(where, 'absence of a parameter is not carried out by this proxy')
  return { name, type: 'regex', value: '.*' }
}

export function decodeText(message: StringMatcher, where: string): { type: 'exact' | 'regex'; value: string } {
  if (message.ignoreCase) refuse(`${where}.ignore_case`, 'not carried out by this proxy')
  const { matchPattern: match } = message
  switch (match.case) {
    case 'exact':
      return { type: 'exact', value: match.value }
    case 'safeRegex':
      return { type: 'regex', value: regexOf(match.value.regex, where) }
    case 'prefix':
      return { type: 'regex', value: `${escapeRegex(match.value)}.*` }
    case 'suffix':
      return { type: 'regex', value: `.*${escapeRegex(match.value)}` }
    case 'contains':
      return { type: 'regex', value: `.*${escapeRegex(match.value)}.*` }
    default:
      return refuse(where, 'exact, prefix, suffix, contains or safe_regex is needed')
  }
}

/** The proxy runs patterns on ECMAScript's engine; what that cannot read is refused here and not when a request comes. */
function regexOf(pattern: string, where: string): string {
  try {
    new RegExp(`^(?:${pattern})$`, 'u')
    return pattern
  } catch (thrown) {
    return refuse(where, `the pattern cannot be used: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
  }
}
