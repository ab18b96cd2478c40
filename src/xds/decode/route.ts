/** RouteConfiguration → RouteTable. */

import type { JsonObject } from '@bufbuild/protobuf'
import type { Filter, HostFrom, PathChange } from '#model/filter'
import type { Action, Route, RouteTable, Session, WeightedBackend } from '#model/route'
import { sessionFilter } from '../encode/affinity.ts'
import { shareRewrite } from '../encode/route.ts'
import {
  DirectResponseActionSchema,
  type Route as EnvoyRoute,
  RedirectAction_RedirectResponseCode as Code,
  type RedirectAction,
  RedirectActionSchema,
  RouteAction_ClusterNotFoundResponseCode as NotFound,
  type RouteAction,
  RouteActionSchema,
  RouteSchema,
  VirtualHostSchema,
  type WeightedCluster_ClusterWeight,
  WeightedCluster_ClusterWeightSchema,
  WeightedClusterSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { type RouteConfiguration, RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.ts'
import { decodeHash, decodeSession } from './affinity.ts'
import { carries, msOf, refuse, textOf } from './carried.ts'
import { labelsOf, textLabel } from './words.ts'
import { headerFilters } from './headers.ts'
import { decodeTries } from './hedge.ts'
import { decodeMatch } from './match.ts'
import { backendNamed } from './network-filters.ts'
import { routeEgress } from './outside.ts'
import { decodeMirrors, decodePerRoute } from './per-route.ts'
import { decodeQuota } from './rate-limit.ts'
import { pathChange, type ShareRewrite, shareRewriteOf, substitutionOf } from './rewrite.ts'

// Hosts are matched without their port, whatever ignore_port_in_host_matching says; validate_clusters is about refusing, not about routing.
const checkTable = carries(RouteConfigurationSchema, [
  'name',
  'virtual_hosts',
  'ignore_port_in_host_matching',
  'validate_clusters',
  'max_direct_response_body_size_bytes',
  'metadata',
])
const checkHost = carries(VirtualHostSchema, ['name', 'domains', 'routes', 'metadata'])
const changes = ['request_headers_to_add', 'request_headers_to_remove', 'response_headers_to_add', 'response_headers_to_remove'] as const
const checkRoute = carries(RouteSchema, [
  'name',
  'match',
  'route',
  'redirect',
  'direct_response',
  'metadata',
  'stat_prefix',
  'typed_per_filter_config',
  ...changes,
])
const checkForward = carries(RouteActionSchema, [
  'cluster',
  'weighted_clusters',
  'cluster_not_found_response_code',
  'prefix_rewrite',
  'regex_rewrite',
  'host_rewrite_literal',
  'host_rewrite_header',
  'host_rewrite_path_regex',
  'request_mirror_policies',
  'hash_policy',
  'rate_limits',
  'timeout',
  'idle_timeout',
  'retry_policy',
  'hedge_policy',
])
const checkWeighted = carries(WeightedClusterSchema, ['clusters'])
const checkShare = carries(WeightedCluster_ClusterWeightSchema, [
  'name',
  'weight',
  'host_rewrite_literal',
  'typed_per_filter_config',
  ...changes,
])
const checkRedirect = carries(RedirectActionSchema, [
  'https_redirect',
  'scheme_redirect',
  'host_redirect',
  'port_redirect',
  'path_redirect',
  'prefix_rewrite',
  'regex_rewrite',
  'response_code',
])
const checkRespond = carries(DirectResponseActionSchema, ['status', 'body'])

export function decodeRouteTable(message: RouteConfiguration): RouteTable {
  checkTable(message, '')
  return {
    name: message.name,
    hosts: message.virtualHosts.map((host, index) => {
      checkHost(host, `virtual_hosts[${index}]`)
      return {
        name: host.name,
        domains: host.domains,
        routes: host.routes.map((route, place) => decodeRoute(route, `virtual_hosts[${index}].routes[${place}]`)),
      }
    }),
  }
}

/** Why a route of ours refuses; what others write has none of these. */
const reasons = ['rule-invalid', 'backend-invalid', 'no-listener', 'misdirected'] as const

function decodeRoute(message: EnvoyRoute, where: string): Route {
  checkRoute(message, where)
  const labels = labelsOf(message.metadata, 'route')
  const match = decodeMatch(message.match, `${where}.match`)
  const headers = headerFilters(message, where)
  const { egress, others } = routeEgress(message)
  const asked = { ...decodePerRoute(others, message.name, where), ...egress }
  const shape = { name: message.name, origin: textLabel(labels, 'origin') ?? message.name, match, ...asked }
  switch (message.action.case) {
    case 'route':
      return {
        ...shape,
        ...forward(message.action.value, match, headers, `${where}.route`, sessionIn(message, where), labels, message.name),
      }
    case 'redirect':
      return { ...shape, filters: headers, action: redirect(message.action.value, match, `${where}.redirect`) }
    case 'directResponse': {
      const { status, body } = message.action.value
      checkRespond(message.action.value, `${where}.direct_response`)
      const reason = reasons.find(known => known === textLabel(labels, 'reason'))
      if (status < 200 || status > 599) refuse(`${where}.direct_response.status`, `${status} is no status of an answer (200 to 599)`)
      const detail = textLabel(labels, 'detail') ?? (body === undefined ? '' : textOf(body, `${where}.direct_response.body`))
      return { ...shape, filters: headers, action: { type: 'respond', status, detail, ...(reason === undefined ? {} : { reason }) } }
    }
    default:
      return refuse(where, 'route, redirect or direct_response is needed')
  }
}

const sessionIn = ({ typedPerFilterConfig }: EnvoyRoute, where: string): Session | undefined =>
  decodeSession(typedPerFilterConfig[sessionFilter], `${where}.typed_per_filter_config["${sessionFilter}"]`)

function forward(
  message: RouteAction,
  match: Route['match'],
  headers: readonly Filter[],
  where: string,
  session: Session | undefined,
  labels: JsonObject,
  name: string,
): Pick<Route, 'filters' | 'action' | 'timeouts' | 'retry' | 'hedge' | 'quota'> {
  checkForward(message, where)
  const backends = backendsOf(message, where)
  const hash = decodeHash(message.hashPolicy, where)
  const code = message.clusterNotFoundResponseCode
  if (code !== NotFound.SERVICE_UNAVAILABLE && code !== NotFound.INTERNAL_SERVER_ERROR)
    refuse(`${where}.cluster_not_found_response_code`, 'only 500 and 503 are carried out')
  const path = pathChange(message.prefixRewrite, message.regexRewrite, match, where)
  const host = hostRewrite(message.hostRewriteSpecifier, where)
  const { tryMs, ...tries } = decodeTries(message, labels, where)
  const requestMs = message.timeout === undefined ? 15_000 : msOf(message.timeout) // Envoy's default
  const idleMs = message.idleTimeout === undefined ? 0 : msOf(message.idleTimeout)
  const timeouts = { ...(requestMs > 0 ? { requestMs } : {}), ...(tryMs > 0 ? { tryMs } : {}), ...(idleMs > 0 ? { idleMs } : {}) }
  return {
    filters: [...headers, ...rewriteFilter(host, path)],
    action: { type: 'forward', backends, ...(hash.length === 0 ? {} : { hash }), ...(session === undefined ? {} : { session }) },
    ...(Object.keys(timeouts).length > 0 ? { timeouts } : {}),
    ...(message.requestMirrorPolicies.length > 0 ? { mirrors: decodeMirrors(message.requestMirrorPolicies, where) } : {}),
    ...tries,
    ...decodeQuota(message.rateLimits, name, where),
  }
}

function hostRewrite(rewrite: RouteAction['hostRewriteSpecifier'], where: string): string | HostFrom | undefined {
  switch (rewrite.case) {
    case 'hostRewriteLiteral':
      return rewrite.value
    case 'hostRewriteHeader':
      return { type: 'header', name: rewrite.value.toLowerCase() }
    case 'hostRewritePathRegex':
      return { type: 'path', ...substitutionOf(rewrite.value, `${where}.host_rewrite_path_regex`) }
    default:
      return undefined
  }
}

const rewriteFilter = (host: string | HostFrom | undefined, path: PathChange | undefined): readonly Filter[] =>
  host === undefined && path === undefined
    ? []
    : [{ type: 'rewrite', ...(host === undefined ? {} : { host }), ...(path === undefined ? {} : { path }) }]

function backendsOf(message: RouteAction, where: string): readonly WeightedBackend[] {
  const clusters = message.clusterSpecifier
  if (clusters.case === 'cluster') return [{ backend: backendNamed(clusters.value), weight: 1 }]
  if (clusters.case !== 'weightedClusters') refuse(where, 'cluster or weighted_clusters is needed')
  checkWeighted(clusters.value, `${where}.weighted_clusters`)
  return clusters.value.clusters.map((share, index) => decodeShare(share, `${where}.weighted_clusters.clusters[${index}]`))
}

function decodeShare(share: WeightedCluster_ClusterWeight, where: string): WeightedBackend {
  checkShare(share, where)
  let own: ShareRewrite = {}
  for (const [name, any] of Object.entries(share.typedPerFilterConfig)) {
    if (name !== shareRewrite) refuse(`${where}.typed_per_filter_config["${name}"]`, 'not carried out by this proxy')
    own = shareRewriteOf(any, where)
  }
  const host = share.hostRewriteSpecifier.case === 'hostRewriteLiteral' ? share.hostRewriteSpecifier.value : own.host
  const filters = [...headerFilters(share, where), ...rewriteFilter(host, own.path)]
  return { backend: backendNamed(share.name), weight: share.weight ?? 0, ...(filters.length > 0 ? { filters } : {}) }
}

const statuses = {
  [Code.MOVED_PERMANENTLY]: 301,
  [Code.FOUND]: 302,
  [Code.SEE_OTHER]: 303,
  [Code.TEMPORARY_REDIRECT]: 307,
  [Code.PERMANENT_REDIRECT]: 308,
} as const

function redirect(message: RedirectAction, match: Route['match'], where: string): Action {
  checkRedirect(message, where)
  const scheme =
    message.schemeRewriteSpecifier.case === 'httpsRedirect'
      ? message.schemeRewriteSpecifier.value
        ? 'https'
        : undefined
      : message.schemeRewriteSpecifier.value
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https')
    refuse(`${where}.scheme_redirect`, `"${scheme}" is not carried out, only http and https`)
  const to = message.pathRewriteSpecifier
  const path: PathChange | undefined =
    to.case === 'pathRedirect'
      ? { type: 'full', value: to.value }
      : pathChange(to.case === 'prefixRewrite' ? to.value : '', to.case === 'regexRewrite' ? to.value : undefined, match, where)
  const status = statuses[message.responseCode as keyof typeof statuses] ?? refuse(`${where}.response_code`, 'unknown')
  return {
    type: 'redirect',
    redirect: {
      ...(scheme === undefined ? {} : { scheme }),
      ...(message.hostRedirect === '' ? {} : { host: message.hostRedirect }),
      ...(message.portRedirect === 0 ? {} : { port: message.portRedirect }),
      ...(path === undefined ? {} : { path }),
      status,
    },
  }
}
