/** Limits of requests and connections as Envoy's own filters have them: local_ratelimit for routes and for opaque bytes, ratelimit with the actions of a route for the service that counts for all. */

import { create, fromJson, type JsonObject } from '@bufbuild/protobuf'
import { type Any, anyPack, StructSchema } from '@bufbuild/protobuf/wkt'
import type { ConnectionLimit, DescriptorEntry, LimitService, Quota, Rate, RateLimit } from '#model/rate-limit'
import { canCount, canLimit } from '#model/envoy'
import { ApiVersion } from '../gen/envoy/config/core/v3/config_source_pb.ts'
import {
  FilterConfigSchema,
  type RateLimit as RouteLimit,
  type RateLimit_Action,
  RateLimit_ActionSchema,
  RateLimitSchema as RouteLimitSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { LocalRateLimitSchema } from '../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts'
import { RateLimitSchema } from '../gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.ts'
import { LocalRateLimitSchema as ConnectionLimitSchema } from '../gen/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit_pb.ts'
import { DescriptorSchema } from '../gen/envoy/extensions/rate_limit_descriptors/expr/v3/expr_pb.ts'
import { StatusCode } from '../gen/envoy/type/v3/http_status_pb.ts'
import { FractionalPercent_DenominatorType as Denominator } from '../gen/envoy/type/v3/percent_pb.ts'
import { authorityOf, duration, typed } from './source.ts'

export const limitNames = {
  local: 'envoy.filters.http.local_ratelimit',
  /** What Envoy has no field for: it refuses the route. */
  ours: 'dev.weft.rate-limit',
  ourQuota: 'dev.weft.quota',
  connections: 'envoy.filters.network.local_ratelimit',
  shared: 'envoy.filters.http.ratelimit',
} as const

const always = { defaultValue: { numerator: 100, denominator: Denominator.HUNDRED } }
const bucketOf = ({ requests, intervalMs, burst }: Rate) => ({
  maxTokens: burst,
  tokensPerFill: requests,
  fillInterval: duration(intervalMs),
})

/** Envoy has one bucket for each route: where there is to be one for each caller, or one for several routes, it must not take that for the same. */
export function encodeRateLimit(limit: RateLimit, isShared: boolean): Record<string, Any> {
  if (!canLimit(limit, isShared)) return { [limitNames.ours]: refusedByEnvoy(limit as unknown as JsonObject) }
  const message = create(LocalRateLimitSchema, {
    statPrefix: limit.name,
    tokenBucket: bucketOf(limit),
    filterEnabled: always,
    filterEnforced: always,
    rateLimitedAsResourceExhausted: true,
  })
  return { [limitNames.local]: anyPack(LocalRateLimitSchema, message) }
}

const refusedByEnvoy = (fields: JsonObject): Any =>
  anyPack(
    FilterConfigSchema,
    create(FilterConfigSchema, { isOptional: false, config: anyPack(StructSchema, fromJson(StructSchema, fields)) }),
  )

/** In front of tcp_proxy. */
export const encodeConnectionLimit = (limit: ConnectionLimit | undefined) =>
  limit === undefined
    ? []
    : [
        {
          name: limitNames.connections,
          configType: typed(ConnectionLimitSchema, create(ConnectionLimitSchema, { statPrefix: limit.name, tokenBucket: bucketOf(limit) })),
        },
      ]

/** Whether requests go on without an answer is the filter's in Envoy, not the route's: so there are two, and a route names one by its stage. */
export const stages = { closed: 0, open: 1 } as const

/** In front of the router of a listener some route of which has a quota. */
export const encodeLimitService = (service: LimitService | undefined) =>
  service === undefined
    ? []
    : (['closed', 'open'] as const).map(failing => ({
        name: failing === 'closed' ? limitNames.shared : `${limitNames.shared}.open`,
        configType: typed(
          RateLimitSchema,
          create(RateLimitSchema, {
            domain: service.domain,
            stage: stages[failing],
            timeout: duration(service.timeoutMs),
            failureModeDeny: failing === 'closed',
            rateLimitedAsResourceExhausted: true,
            statusOnError: { code: StatusCode.ServiceUnavailable },
            rateLimitService: {
              grpcService: {
                targetSpecifier: { case: 'envoyGrpc', value: { clusterName: service.backend, authority: authorityOf(service.backend) } },
              },
              transportApiVersion: ApiVersion.V3,
            },
          }),
        ),
      }))

/** What the expressions that Envoy computes (CEL) say; the other way they are known by their text. */
export const expressions = {
  identity: 'connection.uri_san_peer_certificate',
  path: 'request.url_path',
  header: (name: string): string => `request.headers['${name}']`,
} as const

/** `absent` where there is none of it. */
export const orElse = (entry: { readonly type: 'identity' | 'header'; readonly name?: string }, absent: string): string =>
  entry.type === 'identity'
    ? `connection.mtls ? ${expressions.identity} : '${absent}'`
    : `'${entry.name}' in request.headers ? ${expressions.header(entry.name!)} : '${absent}'`

export const encodeQuotaConfig = (quota: Quota): Record<string, Any> =>
  canCount(quota) ? {} : { [limitNames.ourQuota]: refusedByEnvoy(quota as unknown as JsonObject) }

/** For the action of a route. */
export const encodeQuota = (quota: Quota | undefined): RouteLimit[] =>
  quota === undefined || !canCount(quota)
    ? []
    : quota.descriptors.map(entries =>
        create(RouteLimitSchema, { stage: quota.failsOpen ? stages.open : stages.closed, actions: entries.map(actionOf) }),
      )

const expression = (descriptorKey: string, text: string): RateLimit_Action['actionSpecifier'] => ({
  case: 'extension',
  value: {
    $typeName: 'envoy.config.core.v3.TypedExtensionConfig',
    name: 'envoy.rate_limit_descriptors.expr',
    typedConfig: anyPack(DescriptorSchema, create(DescriptorSchema, { descriptorKey, exprSpecifier: { case: 'text', value: text } })),
  },
})

function actionOf(entry: DescriptorEntry): RateLimit_Action {
  return create(RateLimit_ActionSchema, { actionSpecifier: specifierOf(entry) as never })
}

function specifierOf(entry: DescriptorEntry) {
  const { key } = entry
  switch (entry.type) {
    case 'constant':
      return { case: 'genericKey', value: { descriptorKey: key, descriptorValue: entry.value } }
    case 'method':
      return { case: 'requestHeaders', value: { descriptorKey: key, headerName: ':method' } }
    case 'host':
      return { case: 'requestHeaders', value: { descriptorKey: key, headerName: ':authority' } }
    case 'address':
      return { case: 'remoteAddress', value: {} }
    case 'path':
      return expression(key, expressions.path)
    case 'identity':
      return expression(key, entry.absent === undefined ? expressions.identity : orElse({ type: 'identity' }, entry.absent))
    case 'header':
      return entry.absent === undefined
        ? { case: 'requestHeaders', value: { descriptorKey: key, headerName: entry.name } }
        : expression(key, orElse({ type: 'header', name: entry.name }, entry.absent))
    case 'query':
      throw new Error(`descriptor ${key}: Envoy has no values of queries`)
  }
}
