/** Which route a request takes: pure, the same in the proxy, in explain and in the dashboard. */

import type { Claims } from './claims.ts'
import type { Match, Route, RouteTable, ValueMatch, VirtualHost, WeightedBackend } from './route.ts'
import { wholly } from './expression.ts'
import { hostAmong } from './match/hosts.ts'
import { firstOf, indexRoutes, type RouteIndex } from './match/route-index.ts'

/** What of a request decides its route. path and search as sent, percent-encoding kept; search without `?`. */
export interface RequestFacts {
  readonly method: string
  readonly host: string
  readonly path: string
  readonly search: string
  /** All values of a header, several joined by `,` (RFC 9110 §5.3); name in lower case. */
  header(name: string): string | undefined
  /** Of its token, where one was verified. */
  readonly claims?: Claims | undefined
  /** Of a question: from which address it would come, and when, ms since the epoch. */
  readonly asked?: { readonly address?: string; readonly at?: number }
}

/** Up to so many are tried one after the other: finding them by an index would cost more. */
const fewRoutes = 8

const indexes = new WeakMap<readonly Route[], RouteIndex>()

/** The first route, in the order of the host that fits, all of whose conditions hold. */
export function chooseRoute(table: RouteTable, request: RequestFacts): Route | undefined {
  const routes = hostOf(table, request.host)?.routes
  if (routes === undefined) return undefined
  if (routes.length > fewRoutes) {
    let index = indexes.get(routes)
    if (index === undefined) indexes.set(routes, (index = indexRoutes(routes)))
    return firstOf(index, request, holds)
  }
  for (const route of routes) if (failsAt(route.match, request) === undefined) return route
  return undefined
}

const holds = (match: Match, request: RequestFacts): boolean => failsAt(match, request) === undefined

/** By the most specific domain: the name itself, else the longest suffix, else `*`. asked: as the request has it, in any case and perhaps with a port. */
export function hostOf({ hosts }: RouteTable, asked: string): VirtualHost | undefined {
  const only = hosts[0]
  if (hosts.length === 1 && only!.domains[0] === '*') return only
  return hostAmong(hosts, asked)
}

/** grpc: it is no gRPC call. */
export type FailedAt = 'path' | 'method' | 'grpc' | `headers ${string}` | `query ${string}`

/** The first condition that does not hold, named as in the route's document; undefined when all hold. */
export function failsAt(match: Match, request: RequestFacts): FailedAt | undefined {
  if (match.method !== undefined && match.method !== request.method) return 'method'
  const path = match.path
  if (path !== undefined) {
    if (
      path.type === 'exact'
        ? request.path !== path.value
        : path.type === 'prefix'
          ? !hasPrefix(request.path, path.value)
          : !fully(path.value)(request.path)
    )
      return 'path'
  }
  if (match.grpc === true && !grpcType.test(request.header('content-type') ?? '')) return 'grpc'
  if (match.headers !== undefined)
    for (const header of match.headers) if (!valueMatches(header, request.header(header.name))) return `headers ${header.name}`
  if (match.query !== undefined)
    for (const query of match.query) if (!valueMatches(query, queryValue(request.search, query.name))) return `query ${query.name}`
  return undefined
}

/** Not gRPC-Web, whose calls are ordinary HTTP (PROTOCOL-HTTP2.md, Requests). */
const grpcType = /^application\/grpc(?:$|[+;])/

/** Whole segments: `/a` holds `/a` and `/a/b`, not `/ab` (Gateway API PathPrefix). */
export function hasPrefix(path: string, prefix: string): boolean {
  if (prefix === '/') return path.charCodeAt(0) === 47 || path === '*'
  const bare = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  return path.startsWith(bare) && (path.length === bare.length || path.charCodeAt(bare.length) === 47)
}

const valueMatches = (want: ValueMatch, value: string | undefined): boolean =>
  value !== undefined && (want.type === 'exact' ? value === want.value : fully(want.value)(value))

/** The first value of a query parameter, decoded as WHATWG URLSearchParams does (Gateway API: only the first is considered). */
export function queryValue(search: string, name: string): string | undefined {
  if (search === '') return undefined
  return new URLSearchParams(search).get(name) ?? undefined
}

const compiled = new Map<string, (text: string) => boolean>()

/** A regular expression that must match the whole value; kept, since the set is that of the configuration. */
function fully(pattern: string): (text: string) => boolean {
  let test = compiled.get(pattern)
  if (test === undefined) {
    if (compiled.size > 10_000) compiled.clear()
    compiled.set(pattern, (test = wholly(pattern)))
  }
  return test
}

/** Share by weight; random is in [0, 1). Undefined where no weight is above zero. */
export function pickWeighted(backends: readonly WeightedBackend[], random: number): WeightedBackend | undefined {
  if (backends.length === 1) return backends[0]!.weight > 0 ? backends[0] : undefined
  let sum = 0
  for (const backend of backends) sum += backend.weight
  let at = random * sum
  for (const backend of backends) {
    if (backend.weight > 0 && at < backend.weight) return backend
    at -= backend.weight
  }
  return undefined
}
