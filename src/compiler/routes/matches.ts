/** What a rule matches, as the proxy compares it: the matches of HTTPRoutes and GRPCRoutes, each with its rank. */

import type { Match, PathMatch, ValueMatch } from '#model/route'
import type { GRPCMatch, HTTPMatch } from '#resources/gateway-api'
import type { Unsupported } from './filters.ts'
import type { Rank } from './order.ts'
import { rankOfCall, rankOfRequest } from './order.ts'
import { whyNotRegex } from './regex.ts'

/** match: undefined where an expression cannot be used, for then nobody knows what it would match. */
export type LoweredMatch = { readonly match: Match | undefined; readonly rank: Rank; readonly unsupported: readonly Unsupported[] }

export function lowerRequest(from: HTTPMatch, at: string): LoweredMatch {
  const unsupported = [...whyNot(from.path.type, from.path.value, `${at}.path.value`)]
  const headers = lowerValues(from.headers, `${at}.headers`, text => text.toLowerCase(), unsupported)
  const query = lowerValues(from.queryParams, `${at}.queryParams`, text => text, unsupported)
  const match: Match = {
    path: lowerPath(from.path),
    ...(from.method === undefined ? {} : { method: from.method }),
    ...(headers.length > 0 ? { headers } : {}),
    ...(query.length > 0 ? { query } : {}),
  }
  return { match: unsupported.length > 0 ? undefined : match, rank: rankOfRequest(match), unsupported }
}

/** A call is a request for `/SERVICE/METHOD` (gRPC over HTTP/2, Requests). */
export function lowerCall({ method: call, headers: metadata }: GRPCMatch, at: string): LoweredMatch {
  const unsupported = (['service', 'method'] as const).flatMap(part =>
    whyNot(call?.type ?? 'Exact', call?.[part] ?? '', `${at}.method.${part}`),
  )
  const headers = lowerValues(metadata, `${at}.headers`, text => text.toLowerCase(), unsupported)
  const path = call === undefined ? undefined : pathOfCall(call)
  const match: Match = { grpc: true, ...(path === undefined ? {} : { path }), ...(headers.length > 0 ? { headers } : {}) }
  const rank = rankOfCall(call?.service, call?.method, headers.length)
  return { match: unsupported.length > 0 ? undefined : match, rank, unsupported }
}

/** An empty name is none (Gateway API GRPCMethodMatch: "empty matches all"). */
function pathOfCall({ type, service = '', method = '' }: NonNullable<GRPCMatch['method']>): PathMatch | undefined {
  if (service === '' && method === '') return undefined
  if (type === 'RegularExpression' || service === '') return { type: 'regex', value: `/${oneSegment(service)}/${oneSegment(method)}` }
  return method === '' ? { type: 'prefix', value: `/${service}` } : { type: 'exact', value: `/${service}/${method}` }
}

/** An exact name of a method has nothing in it that an expression takes for a sign. */
const oneSegment = (pattern: string): string => (pattern === '' ? '[^/]+' : `(?:${pattern})`)

const whyNot = (type: string, value: string, path: string): readonly Unsupported[] => {
  const why = type === 'RegularExpression' ? whyNotRegex(value) : undefined
  return why === undefined ? [] : [{ path, says: `the expression ${why}` }]
}

/** The first of a name counts (Gateway API HTTPHeaderMatch, GRPCHeaderMatch). */
function lowerValues(list: HTTPMatch['headers'], at: string, name: (text: string) => string, unsupported: Unsupported[]) {
  const seen = new Set<string>()
  return (list ?? []).flatMap((each, index): readonly ValueMatch[] => {
    const key = name(each.name)
    if (seen.has(key)) return []
    seen.add(key)
    unsupported.push(...whyNot(each.type, each.value, `${at}[${index}].value`))
    return [{ name: key, type: each.type === 'Exact' ? 'exact' : 'regex', value: each.value }]
  })
}

/** A slash at the end of a prefix says nothing: `/abc/` and `/abc` match alike (Gateway API PathMatchPathPrefix). */
function lowerPath({ type, value }: HTTPMatch['path']): PathMatch {
  if (type === 'PathPrefix') return { type: 'prefix', value: value.replace(/\/+$/, '') || '/' }
  return { type: type === 'Exact' ? 'exact' : 'regex', value }
}
