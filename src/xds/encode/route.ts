/** RouteTable → RouteConfiguration: Envoy matches, splits, rewrites and answers as the model says. */

import { create, type JsonObject } from '@bufbuild/protobuf'
import { anyPack, StructSchema } from '@bufbuild/protobuf/wkt'
import { beyondShares, sharedBuckets } from '#model/envoy'
import type { Filter, HeaderChange, HostFrom, PathChange, Redirect, Substitution } from '#model/filter'
import type { Action, Match, Route, RouteTable, ValueMatch, WeightedBackend } from '#model/route'
import {
  HeaderValueOption_HeaderAppendAction as Append,
  type HeaderValueOption,
  HeaderValueOptionSchema,
} from '../gen/envoy/config/core/v3/base_pb.ts'
import {
  type Route as EnvoyRoute,
  FilterConfigSchema,
  RedirectAction_RedirectResponseCode as Code,
  type RedirectAction,
  RedirectActionSchema,
  RouteAction_ClusterNotFoundResponseCode,
  type RouteAction,
  RouteActionSchema,
  type RouteMatch,
  RouteMatch_GrpcRouteMatchOptionsSchema,
  RouteMatchSchema,
  RouteSchema,
  WeightedCluster_ClusterWeightSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { type RouteConfiguration, RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.ts'
import { type RegexMatchAndSubstitute, RegexMatchAndSubstituteSchema, RegexMatcherSchema } from '../gen/envoy/type/matcher/v3/regex_pb.ts'
import { type StringMatcher, StringMatcherSchema } from '../gen/envoy/type/matcher/v3/string_pb.ts'
import { invalidCluster } from '../types.ts'
import { encodeHash } from './affinity.ts'
import { egressLabel } from './egress.ts'
import { fullPattern, prefixPattern } from './path.ts'
import { encodeTries, hedgeLabel } from './hedge.ts'
import { encodeMirrors, perRouteConfig } from './per-route.ts'
import { encodeQuota } from './rate-limit.ts'
import { duration, labels } from './source.ts'

/** The key of a share's path rewrite, which Envoy knows only for whole routes: it refuses the table instead of passing over the rewrite. */
export const shareRewrite = 'dev.weft.rewrite'

/** Envoy's own limit of an answer that it gives itself, in bytes. */
const shortBodyBytes = 4096

export function encodeRouteTable(table: RouteTable): RouteConfiguration {
  const longest = longestBody(table)
  const shared = sharedBuckets(table)
  return create(RouteConfigurationSchema, {
    name: table.name,
    ignorePortInHostMatching: true,
    ...(longest > shortBodyBytes ? { maxDirectResponseBodySizeBytes: longest } : {}),
    virtualHosts: table.hosts.map(host => ({
      name: host.name,
      domains: [...host.domains],
      routes: host.routes.map(route => encodeRoute(route, shared)),
    })),
  })
}

function longestBody({ hosts }: RouteTable): number {
  let longest = 0
  // A character is three bytes of UTF-8 at most, or two of four.
  for (const { routes } of hosts)
    for (const { action } of routes) if (action.type === 'respond' && 3 * action.detail.length > longest) longest = 3 * action.detail.length
  return longest
}

function encodeRoute(route: Route, shared: ReadonlySet<string>): EnvoyRoute {
  const { action } = route
  return create(RouteSchema, {
    name: route.name,
    match: encodeMatch(route.match),
    ...changesOf(route.filters),
    typedPerFilterConfig: perRouteConfig(route, shared),
    metadata: labels({
      origin: route.origin,
      ...(action.type === 'respond' && action.reason !== undefined ? { reason: action.reason, detail: action.detail } : {}),
      ...egressLabel(route.egress),
      ...hedgeLabel(route),
    }),
    action:
      action.type === 'forward'
        ? { case: 'route', value: forward(route, action) }
        : action.type === 'redirect'
          ? { case: 'redirect', value: redirect(action.redirect, route.match) }
          : {
              case: 'directResponse',
              value: {
                status: action.status,
                body: {
                  specifier: { case: 'inlineString', value: action.reason === undefined ? action.detail : action.detail.slice(0, 1000) },
                },
              },
            },
  })
}

function encodeMatch(match: Match): RouteMatch {
  const headers = [
    ...(match.method === undefined ? [] : [{ name: ':method', type: 'exact' as const, value: match.method }]),
    ...(match.headers ?? []),
  ]
  return create(RouteMatchSchema, {
    pathSpecifier: pathOf(match),
    ...(match.grpc === true ? { grpc: create(RouteMatch_GrpcRouteMatchOptionsSchema) } : {}),
    headers: headers.map(header => ({
      name: header.name,
      headerMatchSpecifier: { case: 'stringMatch' as const, value: matcherOf(header) },
    })),
    queryParameters: (match.query ?? []).map(query => ({
      name: query.name,
      queryParameterMatchSpecifier: { case: 'stringMatch' as const, value: matcherOf(query) },
    })),
  })
}

/** No path at all is the empty prefix, which also holds `*` and authority forms; `/` holds every path. Other prefixes are whole segments. */
function pathOf({ path }: Match): RouteMatch['pathSpecifier'] {
  if (path === undefined) return { case: 'prefix', value: '' }
  if (path.type === 'exact') return { case: 'path', value: path.value }
  if (path.type === 'regex') return { case: 'safeRegex', value: create(RegexMatcherSchema, { regex: path.value }) }
  const bare = path.value.replace(/\/+$/, '')
  return bare === '' ? { case: 'prefix', value: '/' } : { case: 'pathSeparatedPrefix', value: bare }
}

const matcherOf = (match: ValueMatch): StringMatcher =>
  create(StringMatcherSchema, {
    matchPattern: match.type === 'exact' ? { case: 'exact', value: match.value } : { case: 'safeRegex', value: { regex: match.value } },
  })

function forward(route: Route, action: Action & { type: 'forward' }): RouteAction {
  const backends = action.backends.some(({ weight }) => weight > 0) ? action.backends : [{ backend: undefined, weight: 1 }]
  const only = backends.length === 1 && backends[0]!.weight === 1 && (backends[0]!.filters ?? []).length === 0 ? backends[0] : undefined
  const invalid = backends.some(({ backend }) => backend === undefined)
  const { requestMs = 0, idleMs = 0 } = route.timeouts ?? {}
  return create(RouteActionSchema, {
    clusterSpecifier: only
      ? { case: 'cluster', value: only.backend ?? invalidCluster }
      : { case: 'weightedClusters', value: { clusters: backends.map(share) } },
    ...(invalid ? { clusterNotFoundResponseCode: RouteAction_ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR } : {}),
    ...rewriteOf(route),
    hashPolicy: encodeHash(action.hash ?? []),
    rateLimits: encodeQuota(route.quota),
    requestMirrorPolicies: encodeMirrors(route.mirrors ?? []),
    timeout: duration(requestMs), // unset would be Envoy's fifteen seconds
    ...(idleMs === 0 ? {} : { idleTimeout: duration(idleMs) }),
    ...encodeTries(route),
  })
}

function share(backend: WeightedBackend) {
  const filters = backend.filters ?? []
  const rewrite = filters.find(filter => filter.type === 'rewrite')
  const { path, host: from } = beyondShares(rewrite ?? {})
  const own: JsonObject = { ...path, ...(from === undefined ? {} : hostFields(from)) }
  const unknown =
    Object.keys(own).length === 0
      ? undefined
      : create(FilterConfigSchema, { isOptional: false, config: anyPack(StructSchema, structOf(own)) })
  return create(WeightedCluster_ClusterWeightSchema, {
    name: backend.backend ?? invalidCluster,
    weight: backend.weight,
    ...changesOf(filters),
    ...(typeof rewrite?.host === 'string' ? { hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: rewrite.host } } : {}),
    ...(unknown === undefined ? {} : { typedPerFilterConfig: { [shareRewrite]: anyPack(FilterConfigSchema, unknown) } }),
  })
}

const hostFields = (from: HostFrom): JsonObject =>
  from.type === 'header' ? { hostHeader: from.name } : { hostPattern: from.pattern, hostSubstitution: from.substitution }

const structOf = (fields: JsonObject) =>
  create(StructSchema, {
    fields: Object.fromEntries(
      Object.entries(fields).map(([key, value]) => [key, { kind: { case: 'stringValue' as const, value: String(value) } }]),
    ),
  })

function rewriteOf(route: Route) {
  const rewrite = route.filters.find(filter => filter.type === 'rewrite')
  if (rewrite === undefined) return {}
  return {
    ...(rewrite.host === undefined ? {} : { hostRewriteSpecifier: hostRewrite(rewrite.host) }),
    ...(rewrite.path === undefined ? {} : pathRewrite(rewrite.path, route.match)),
  }
}

function hostRewrite(host: string | HostFrom): Exclude<RouteAction['hostRewriteSpecifier'], { case: undefined }> {
  if (typeof host === 'string') return { case: 'hostRewriteLiteral', value: host }
  return host.type === 'header' ? { case: 'hostRewriteHeader', value: host.name } : { case: 'hostRewritePathRegex', value: byPattern(host) }
}

const byPattern = ({ pattern, substitution }: Substitution): RegexMatchAndSubstitute =>
  create(RegexMatchAndSubstituteSchema, { pattern: { regex: pattern }, substitution })

/** Envoy replaces the matched prefix as text; where that would double or lose a slash a pattern does it. */
function pathRewrite(change: PathChange, match: Match): { prefixRewrite: string } | { regexRewrite: RegexMatchAndSubstitute } {
  if (change.type === 'regex') return { regexRewrite: byPattern(change) }
  if (change.type === 'full') return { regexRewrite: substitute(fullPattern, change.value) }
  const prefix = match.path?.type === 'prefix' ? match.path.value.replace(/\/+$/, '') : ''
  const start = change.value.replace(/\/$/, '')
  if (prefix !== '' && start !== '') return { prefixRewrite: start }
  return { regexRewrite: substitute(prefixPattern(prefix), `${start}/`) }
}

/** In a substitution `\1` would mean a group. */
const substitute = (regex: string, text: string): RegexMatchAndSubstitute =>
  create(RegexMatchAndSubstituteSchema, { pattern: { regex }, substitution: text.replaceAll('\\', '\\\\') })

const codes = {
  301: Code.MOVED_PERMANENTLY,
  302: Code.FOUND,
  303: Code.SEE_OTHER,
  307: Code.TEMPORARY_REDIRECT,
  308: Code.PERMANENT_REDIRECT,
} as const

function redirect(to: Redirect, match: Match): RedirectAction {
  const path = to.path && (to.path.type === 'full' ? { pathRedirect: to.path.value } : pathRewrite(to.path, match))
  return create(RedirectActionSchema, {
    ...(to.scheme === undefined ? {} : { schemeRewriteSpecifier: { case: 'schemeRedirect', value: to.scheme } }),
    hostRedirect: to.host ?? '',
    portRedirect: to.port ?? 0,
    responseCode: codes[to.status],
    ...(path === undefined
      ? {}
      : {
          pathRewriteSpecifier:
            'pathRedirect' in path
              ? { case: 'pathRedirect', value: path.pathRedirect }
              : 'prefixRewrite' in path
                ? { case: 'prefixRewrite', value: path.prefixRewrite }
                : { case: 'regexRewrite', value: path.regexRewrite },
        }),
  })
}

function changesOf(filters: readonly Filter[]) {
  const request = filters.flatMap(filter => (filter.type === 'request-headers' ? [filter.change] : []))
  const response = filters.flatMap(filter => (filter.type === 'response-headers' ? [filter.change] : []))
  return {
    requestHeadersToAdd: request.flatMap(additions),
    requestHeadersToRemove: request.flatMap(change => [...change.remove]),
    responseHeadersToAdd: response.flatMap(additions),
    responseHeadersToRemove: response.flatMap(change => [...change.remove]),
  }
}

const additions = (change: HeaderChange): HeaderValueOption[] => [
  ...change.set.map(field => addition(field.name, field.value, Append.OVERWRITE_IF_EXISTS_OR_ADD)),
  ...change.add.map(field => addition(field.name, field.value, Append.APPEND_IF_EXISTS_OR_ADD)),
]

/** `%` begins a substitution in Envoy, so one is written as two; an empty value must be asked to stay. */
const addition = (key: string, value: string, appendAction: Append): HeaderValueOption =>
  create(HeaderValueOptionSchema, { header: { key, value: value.replaceAll('%', '%%') }, appendAction, keepEmptyValue: value === '' })
