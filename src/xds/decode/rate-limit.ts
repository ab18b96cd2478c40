/** Envoy's filters and route actions of rate limits → limits that this proxy keeps, and what it asks the service that counts for all. */

import { type JsonValue, toJson } from '@bufbuild/protobuf'
import { type Any, StructSchema } from '@bufbuild/protobuf/wkt'
import type { ConnectionLimit, DescriptorEntry, LimitKey, LimitService, Quota, Rate, RateLimit, RateOverride } from '#model/rate-limit'
import { expressions, orElse, stages } from '../encode/rate-limit.ts'
import { ApiVersion } from '../gen/envoy/config/core/v3/config_source_pb.ts'
import {
  FilterConfigSchema,
  type RateLimit as RouteLimit,
  type RateLimit_Action,
  RateLimitSchema as RouteLimitSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { RateLimitSchema } from '../gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.ts'
import { LocalRateLimitSchema as ConnectionLimitSchema } from '../gen/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit_pb.ts'
import { DescriptorSchema } from '../gen/envoy/extensions/rate_limit_descriptors/expr/v3/expr_pb.ts'
import type { TokenBucket } from '../gen/envoy/type/v3/token_bucket_pb.ts'
import { carries, msOf, refuse, typeName, unpack } from './carried.ts'
import { checkWords, type WordsOf } from './words.ts'

const checkConnections = carries(ConnectionLimitSchema, ['stat_prefix', 'token_bucket'])
const checkService = carries(RateLimitSchema, [
  'domain',
  'stage',
  'request_type',
  'timeout',
  'failure_mode_deny',
  'rate_limited_as_resource_exhausted',
  'rate_limit_service',
  'status_on_error',
  'stat_prefix',
  'disable_x_envoy_ratelimited_header',
  'enable_x_ratelimit_headers',
])
const checkRoute = carries(RouteLimitSchema, ['stage', 'actions'])

export function rateOf(bucket: TokenBucket | undefined, where: string): Rate {
  if (bucket === undefined) return refuse(`${where}.token_bucket`, 'missing')
  const intervalMs = bucket.fillInterval === undefined ? 0 : msOf(bucket.fillInterval)
  return checkedRate({ requests: bucket.tokensPerFill ?? 1, intervalMs, burst: bucket.maxTokens }, where)
}

function checkedRate<T extends Rate>(rate: T, where: string): T {
  if (!(rate.requests > 0 && rate.intervalMs > 0 && rate.burst > 0)) refuse(where, 'tokens, their interval and the burst must be above 0')
  return rate
}

/** Undefined where it is another filter. */
export function decodeConnectionLimit(any: Any, where: string): ConnectionLimit | undefined {
  if (typeName(any) !== ConnectionLimitSchema.typeName) return undefined
  const message = unpack(any, ConnectionLimitSchema, where)
  checkConnections(message, where)
  return { name: message.statPrefix, ...rateOf(message.tokenBucket, where) }
}

/** One filter of the service; undefined where it is another one. */
export function decodeLimitService(any: Any, where: string): LimitService | undefined {
  if (typeName(any) !== RateLimitSchema.typeName) return undefined
  const message = unpack(any, RateLimitSchema, where)
  checkService(message, where)
  const { domain, stage, timeout, failureModeDeny, rateLimitService: service } = message
  if (stage !== stages.closed && stage !== stages.open) refuse(`${where}.stage`, 'only 0 and 1 are carried out')
  if (failureModeDeny !== (stage === stages.closed))
    refuse(`${where}.failure_mode_deny`, 'must be true for stage 0 and false for stage 1: routes choose by the stage')
  const target = service?.grpcService?.targetSpecifier
  if (target?.case !== 'envoyGrpc' || target.value.clusterName === '')
    return refuse(`${where}.rate_limit_service.grpc_service`, 'envoy_grpc with a cluster_name is needed')
  if (service!.transportApiVersion !== ApiVersion.V3) refuse(`${where}.rate_limit_service.transport_api_version`, 'only V3 is spoken')
  if (message.requestType !== '' && message.requestType !== 'both') refuse(`${where}.request_type`, 'only both is carried out')
  return { backend: target.value.clusterName, domain, timeoutMs: timeout === undefined ? 20 : msOf(timeout) }
}

/** Of both stages the same is asked. */
export function joinServices(one: LimitService | undefined, other: LimitService, where: string): LimitService {
  if (one !== undefined && (one.backend !== other.backend || one.domain !== other.domain || one.timeoutMs !== other.timeoutMs))
    refuse(where, 'two rate limit services: one is carried out')
  return other
}

/** name: of the route, where no constant names a policy. */
export function decodeQuota(limits: readonly RouteLimit[], name: string, where: string): { readonly quota?: Quota } {
  if (limits.length === 0) return {}
  const [first] = limits.map(each => each.stage ?? 0)
  const descriptors = limits.map((limit, index) => {
    const at = `${where}.rate_limits[${index}]`
    checkRoute(limit, at)
    if ((limit.stage ?? 0) !== first) refuse(`${at}.stage`, 'one stage for all of a route is carried out')
    return limit.actions.map((action, place) => entryOf(action, `${at}.actions[${place}]`))
  })
  if (first !== stages.closed && first !== stages.open) refuse(`${where}.rate_limits[0].stage`, 'only 0 and 1 are carried out')
  const policy = descriptors[0]!.find(entry => entry.type === 'constant' && entry.key === 'policy')
  return { quota: { name: policy?.type === 'constant' ? policy.value : name, failsOpen: first === stages.open, descriptors } }
}

function entryOf({ actionSpecifier: action }: RateLimit_Action, where: string): DescriptorEntry {
  switch (action.case) {
    case 'genericKey':
      return { key: action.value.descriptorKey || 'generic_key', type: 'constant', value: action.value.descriptorValue }
    case 'remoteAddress':
      return { key: 'remote_address', type: 'address' }
    case 'requestHeaders': {
      const { headerName, descriptorKey: key, skipIfAbsent } = action.value
      if (skipIfAbsent) refuse(`${where}.request_headers.skip_if_absent`, 'not carried out by this proxy')
      if (headerName === ':method') return { key, type: 'method' }
      if (headerName === ':authority') return { key, type: 'host' }
      if (headerName.startsWith(':')) refuse(`${where}.request_headers.header_name`, `${headerName} is not carried out`)
      return { key, type: 'header', name: headerName.toLowerCase() }
    }
    case 'extension': {
      const any = action.value.typedConfig
      if (any === undefined || typeName(any) !== DescriptorSchema.typeName)
        return refuse(`${where}.extension`, 'only envoy.rate_limit_descriptors.expr is carried out')
      const { descriptorKey, exprSpecifier } = unpack(any, DescriptorSchema, `${where}.extension`)
      if (exprSpecifier.case !== 'text') return refuse(`${where}.extension.expr_specifier`, 'only text is carried out')
      return expressed(descriptorKey, exprSpecifier.value, `${where}.extension.text`)
    }
    default:
      return refuse(where, `${action.case ?? 'no action'} is not carried out by this proxy`)
  }
}

function expressed(key: string, text: string, where: string): DescriptorEntry {
  if (text === expressions.path) return { key, type: 'path' }
  if (text === expressions.identity) return { key, type: 'identity' }
  const [, absent] = /^connection\.mtls \? .* : '([^']*)'$/.exec(text) ?? []
  if (absent !== undefined && text === orElse({ type: 'identity' }, absent)) return { key, type: 'identity', absent }
  const [, name, other] = /^'([^']+)' in request\.headers \? .* : '([^']*)'$/.exec(text) ?? []
  if (name !== undefined && other !== undefined && text === orElse({ type: 'header', name }, other))
    return { key, type: 'header', name, absent: other }
  return refuse(where, `"${text}" is no expression that this proxy computes`)
}

// What Envoy has no field for, in JSON.

type Shape = Readonly<Record<string, JsonValue>>

function shapeOf(any: Any, of: WordsOf, where: string): Shape {
  const json = toJson(StructSchema, unpack(unpack(any, FilterConfigSchema, where).config, StructSchema, where))
  checkWords(json as Shape, of, where)
  return json as Shape
}

const numberAt = (shape: Shape, key: string, where: string): number =>
  typeof shape[key] === 'number' ? shape[key] : refuse(`${where}.${key}`, 'a number is needed')
const textAt = (shape: Shape, key: string, where: string): string =>
  typeof shape[key] === 'string' ? shape[key] : refuse(`${where}.${key}`, 'a text is needed')
const listAt = (shape: Shape, key: string, where: string): readonly Shape[] =>
  Array.isArray(shape[key]) ? (shape[key] as readonly Shape[]) : refuse(`${where}.${key}`, 'a list is needed')

const rateAt = (shape: Shape, where: string): Rate =>
  checkedRate(
    {
      requests: numberAt(shape, 'requests', where),
      intervalMs: numberAt(shape, 'intervalMs', where),
      burst: numberAt(shape, 'burst', where),
    },
    where,
  )

const plainKeys = ['identity', 'method', 'path', 'host', 'address'] as const

function keyAt(shape: Shape, where: string): LimitKey {
  const type = textAt(shape, 'type', where)
  if (type === 'header' || type === 'query') return { type, name: textAt(shape, 'name', where) }
  const plain = plainKeys.find(known => known === type) ?? refuse(`${where}.type`, `"${type}" is nothing to tell requests apart by`)
  return { type: plain }
}

export function decodeOwnLimit(any: Any, where: string): RateLimit {
  const shape = shapeOf(any, 'limit', where)
  const by = shape['by'] === undefined ? undefined : listAt(shape, 'by', where).map((each, at) => keyAt(each, `${where}.by[${at}]`))
  const overrides =
    shape['overrides'] === undefined
      ? undefined
      : listAt(shape, 'overrides', where).map((each, at): RateOverride => {
          const place = `${where}.overrides[${at}]`
          const when = listAt(each, 'when', place).map(one => ({
            key: numberAt(one, 'key', place),
            values: listAt(one, 'values', place).map(String),
          }))
          return { ...rateAt(each, place), when }
        })
  return {
    name: textAt(shape, 'name', where),
    ...rateAt(shape, where),
    ...(by === undefined ? {} : { by }),
    ...(overrides === undefined ? {} : { overrides }),
  }
}

export function decodeOwnQuota(any: Any, where: string): Quota {
  const shape = shapeOf(any, 'quota', where)
  const entry = (each: Shape, at: string): DescriptorEntry => {
    const key = textAt(each, 'key', at)
    if (each['type'] === 'constant') return { key, type: 'constant', value: textAt(each, 'value', at) }
    return { key, ...keyAt(each, at), ...(each['absent'] === undefined ? {} : { absent: textAt(each, 'absent', at) }) }
  }
  const lists = Array.isArray(shape['descriptors'])
    ? (shape['descriptors'] as readonly (readonly Shape[])[])
    : refuse(where, 'descriptors are needed')
  return {
    name: textAt(shape, 'name', where),
    failsOpen: shape['failsOpen'] === true,
    descriptors: lists.map((list, at) => list.map((each, place) => entry(each, `${where}.descriptors[${at}][${place}]`))),
    ...(shape['rate'] === undefined ? {} : { rate: rateAt(shape['rate'] as Shape, `${where}.rate`) }),
  }
}
