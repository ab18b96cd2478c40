/** The two filters that may end a chain: HTTP by a route table, opaque bytes by weight. */

import { type Any, StructSchema } from '@bufbuild/protobuf/wkt'
import type { AccessRule } from '#model/access-rule'
import type { Authorizer } from '#model/authorizer'
import type { Listener } from '#model/listener'
import type { WeightedBackend } from '#model/route'
import {
  HttpConnectionManager_ForwardClientCertDetails as Certificate,
  HttpConnectionManager_SetCurrentClientCertDetailsSchema,
  HttpConnectionManager_UpgradeConfigSchema,
  HttpConnectionManagerSchema,
} from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import {
  TcpProxy_WeightedCluster_ClusterWeightSchema,
  TcpProxySchema,
} from '../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'
import { CorsSchema } from '../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts'
import { FilterConfigSchema as NamesSchema } from '../gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts'
import { HTTPFaultSchema } from '../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { LocalRateLimitSchema } from '../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts'
import { RBACSchema as AccessSchema } from '../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'
import { StatefulSessionSchema } from '../gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.ts'
import { wholeBodiesFilter } from '../encode/authorize.ts'
import { invalidCluster } from '../types.ts'
import { decodeOpaqueHash } from './affinity.ts'
import { carries, msOf, mustBeAds, refuse, typeName, unpack } from './carried.ts'
import { checkWords } from './words.ts'
import { decodeAuthorizer, decodeWhen } from './authorize.ts'
import { decodeConcurrency } from './concurrency.ts'
import { decodeLimitService, joinServices } from './rate-limit.ts'
import { loginFilter } from '../encode/logins.ts'
import { decodeLogins } from './logins.ts'
import { decodeTokens } from './tokens.ts'

// server_header_transformation, generate_request_id and use_remote_address decide what Envoy adds to headers; what this proxy adds is always the same.
const http = [
  'codec_type',
  'stat_prefix',
  'rds',
  'http_filters',
  'server_header_transformation',
  'upgrade_configs',
  'generate_request_id',
  'use_remote_address',
  'forward_client_cert_details',
  'set_current_client_cert_details',
  // Read by telemetry.ts.
  'access_log',
  'tracing',
] as const
const checkHttp = carries(HttpConnectionManagerSchema, http)
// How a Gateway spells paths and hosts is always the same too.
const checkEdge = carries(HttpConnectionManagerSchema, [
  ...http,
  'normalize_path',
  'merge_slashes',
  'path_with_escaped_slashes_action',
  'strip_trailing_host_dot',
])
const checkUpgrade = carries(HttpConnectionManager_UpgradeConfigSchema, ['upgrade_type', 'enabled'])
const checkDetails = carries(HttpConnectionManager_SetCurrentClientCertDetailsSchema, ['uri'])
// For a whole listener neither is carried out, only for routes.
const checkSleepingFault = carries(HTTPFaultSchema, [])
const checkSleepingLimit = carries(LocalRateLimitSchema, ['stat_prefix'])
const checkSleepingSession = carries(StatefulSessionSchema, [])
const checkSleepingAccess = carries(AccessSchema, [])
const checkTcp = carries(TcpProxySchema, ['stat_prefix', 'cluster', 'weighted_clusters', 'idle_timeout', 'hash_policy', 'access_log'])
const checkWeight = carries(TcpProxy_WeightedCluster_ClusterWeightSchema, ['name', 'weight'])

export type Http = { readonly routes: string; readonly codec: number } & Pick<
  Listener,
  'concurrency' | 'limitService' | 'tokens' | 'logins' | 'authorizers'
>

export function httpOf(any: Any, where: string, isEdge = false): Http {
  const manager = unpack(any, HttpConnectionManagerSchema, where)
  const check = isEdge ? checkEdge : checkHttp
  check(manager, where)
  const { routeSpecifier } = manager
  if (routeSpecifier.case !== 'rds' || routeSpecifier.value.routeConfigName === '')
    refuse(`${where}.rds`, 'a route table by name is needed')
  mustBeAds(routeSpecifier.value.configSource, `${where}.rds.config_source`)
  let concurrency: Listener['concurrency']
  let limitService: Listener['limitService']
  let tokens: Listener['tokens']
  let logins: Listener['logins']
  const authorizers: Authorizer[] = []
  const when = new Map<string, readonly AccessRule[]>()
  for (const filter of manager.httpFilters) {
    const type = filter.configType.case === 'typedConfig' ? typeName(filter.configType.value) : ''
    const authorizer =
      filter.configType.case === 'typedConfig'
        ? decodeAuthorizer(filter, filter.configType.value, when, `${where}.http_filters`)
        : undefined
    if (authorizer !== undefined) {
      authorizers.push(authorizer)
      continue
    }
    const whether =
      filter.configType.case === 'typedConfig' ? decodeWhen(filter, filter.configType.value, `${where}.http_filters`) : undefined
    if (whether !== undefined) {
      when.set(...whether)
      continue
    }
    if (filter.name === wholeBodiesFilter) {
      const { fields } = unpack(filter.configType.case === 'typedConfig' ? filter.configType.value : undefined, StructSchema, where)
      checkWords(fields, 'nothing', `${where}.http_filters["${filter.name}"]`)
      continue
    }
    if (type === 'envoy.extensions.filters.http.router.v3.Router' || filter.disabled || filter.isOptional) continue
    const limit = filter.configType.case === 'typedConfig' ? decodeConcurrency(filter.configType.value, `${where}.http_filters`) : undefined
    if (limit !== undefined && concurrency !== undefined) refuse(`${where}.http_filters`, 'one adaptive_concurrency is enough')
    concurrency ??= limit
    if (limit !== undefined) continue
    const service =
      filter.configType.case === 'typedConfig' ? decodeLimitService(filter.configType.value, `${where}.http_filters`) : undefined
    if (service !== undefined) {
      limitService = joinServices(limitService, service, `${where}.http_filters`)
      continue
    }
    const asked = filter.configType.case === 'typedConfig' ? decodeTokens(filter.configType.value, `${where}.http_filters`) : undefined
    if (asked !== undefined) {
      if (tokens !== undefined) refuse(`${where}.http_filters`, 'one jwt_authn is carried out')
      tokens = asked
      continue
    }
    if (filter.configType.case === 'typedConfig' && filter.name === loginFilter) {
      logins = decodeLogins(filter.configType.value, `${where}.http_filters: ${loginFilter}`)
      continue
    }
    if (filter.configType.case === 'typedConfig' && isAsleep(filter.configType.value, `${where}.http_filters`)) continue
    refuse(`${where}.http_filters`, `${filter.name} is not carried out by this proxy`)
  }
  manager.upgradeConfigs.forEach((upgrade, index) => {
    checkUpgrade(upgrade, `${where}.upgrade_configs[${index}]`)
    if (upgrade.upgradeType.toLowerCase() !== 'websocket')
      refuse(`${where}.upgrade_configs[${index}]`, `upgrade "${upgrade.upgradeType}" is not carried out by this proxy`)
  })
  const certificate = manager.forwardClientCertDetails
  if (certificate !== Certificate.SANITIZE && certificate !== Certificate.SANITIZE_SET)
    refuse(`${where}.forward_client_cert_details`, 'only SANITIZE and SANITIZE_SET are carried out')
  if (manager.setCurrentClientCertDetails !== undefined)
    checkDetails(manager.setCurrentClientCertDetails, `${where}.set_current_client_cert_details`)
  if (manager.codecType === 3) refuse(`${where}.codec_type`, 'HTTP/3 is not carried out by this proxy')
  return {
    routes: routeSpecifier.value.routeConfigName,
    codec: manager.codecType,
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(limitService === undefined ? {} : { limitService }),
    ...(tokens === undefined ? {} : { tokens }),
    ...(logins === undefined ? {} : { logins }),
    ...(authorizers.length === 0 ? {} : { authorizers }),
  }
}

/** A filter that does nothing but what routes ask of it. */
function isAsleep(any: Any, where: string): boolean {
  const type = typeName(any)
  // Where a name leads: it does nothing but for clusters of the same kind.
  if (type === CorsSchema.typeName || type === NamesSchema.typeName) return true
  if (type === HTTPFaultSchema.typeName) checkSleepingFault(unpack(any, HTTPFaultSchema, where), `${where}: envoy.filters.http.fault`)
  else if (type === LocalRateLimitSchema.typeName)
    checkSleepingLimit(unpack(any, LocalRateLimitSchema, where), `${where}: envoy.filters.http.local_ratelimit`)
  else if (type === StatefulSessionSchema.typeName)
    checkSleepingSession(unpack(any, StatefulSessionSchema, where), `${where}: envoy.filters.http.stateful_session`)
  else if (type === AccessSchema.typeName) checkSleepingAccess(unpack(any, AccessSchema, where), `${where}: envoy.filters.http.rbac`)
  else return false
  return true
}

/** idleMs: absent where Envoy's default holds, one hour. */
export type Tcp = { readonly backends: readonly WeightedBackend[]; readonly idleMs?: number } & Pick<Listener, 'hash'>

export function tcpOf(any: Any, where: string): Tcp {
  const proxy = unpack(any, TcpProxySchema, where)
  checkTcp(proxy, where)
  const clusters = proxy.clusterSpecifier
  const more = {
    ...(proxy.idleTimeout === undefined ? {} : { idleMs: msOf(proxy.idleTimeout) }),
    ...decodeOpaqueHash(proxy.hashPolicy, `${where}.hash_policy`),
  }
  if (clusters.case === 'cluster') return { backends: [{ backend: backendNamed(clusters.value), weight: 1 }], ...more }
  if (clusters.case === undefined) refuse(where, 'cluster or weighted_clusters is needed')
  const backends = clusters.value.clusters.map((share, index) => {
    checkWeight(share, `${where}.weighted_clusters.clusters[${index}]`)
    return { backend: backendNamed(share.name), weight: share.weight }
  })
  return { backends, ...more }
}

export const backendNamed = (cluster: string): string | undefined => (cluster === invalidCluster ? undefined : cluster)
