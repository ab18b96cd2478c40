/** Typed per-route configs of the filters before the router → CORS, fault and rate limit of a route. */

import type { Any } from '@bufbuild/protobuf/wkt'
import { type Struct, StructSchema } from '@bufbuild/protobuf/wkt'
import type { Abort, Fault, Spread } from '#model/fault'
import type { RateLimit } from '#model/rate-limit'
import type { Cors, Mirror, Route } from '#model/route'
import { perRoute } from '../encode/per-route.ts'
import type { RuntimeFractionalPercent } from '../gen/envoy/config/core/v3/base_pb.ts'
import {
  FilterConfigSchema,
  type RouteAction_RequestMirrorPolicy,
  RouteAction_RequestMirrorPolicySchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { type FaultDelay, FaultDelaySchema, type FaultRateLimit } from '../gen/envoy/extensions/filters/common/fault/v3/fault_pb.ts'
import { CorsPolicySchema } from '../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts'
import { type FaultAbort, FaultAbortSchema, HTTPFaultSchema } from '../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { LocalRateLimitSchema } from '../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts'
import { decodeAccess } from './access.ts'
import { decodeAsked, isAuthorizer } from './authorize.ts'
import { decodeBodies } from './bodies.ts'
import { carries, msOf, refuse, shareOf, unpack } from './carried.ts'
import { decodeText } from './match.ts'
import { decodeOwnLimit, decodeOwnQuota, rateOf } from './rate-limit.ts'
import { decodeTokenRoute } from './tokens.ts'
import { checkWords, type WordsOf } from './words.ts'

const checkCors = carries(CorsPolicySchema, [
  'allow_origin_string_match',
  'allow_methods',
  'allow_headers',
  'expose_headers',
  'max_age',
  'allow_credentials',
  'forward_not_matching_preflights',
])
const checkFault = carries(HTTPFaultSchema, ['delay', 'abort', 'response_rate_limit', 'disable_downstream_cluster_stats'])
const checkDelay = carries(FaultDelaySchema, ['fixed_delay', 'percentage'])
const checkAbort = carries(FaultAbortSchema, ['http_status', 'grpc_status', 'percentage'])
const checkLimit = carries(LocalRateLimitSchema, [
  'stat_prefix',
  'status',
  'token_bucket',
  'filter_enabled',
  'filter_enforced',
  'rate_limited_as_resource_exhausted',
])
const checkMirror = carries(RouteAction_RequestMirrorPolicySchema, [
  'cluster',
  'runtime_fraction',
  'trace_sampled',
  'disable_shadow_host_suffix_append',
])

export function decodePerRoute(
  configs: Readonly<Record<string, Any>>,
  name: string,
  where: string,
): Pick<Route, 'sizes' | 'compression' | 'cors' | 'fault' | 'rateLimit' | 'quota' | 'access' | 'tokens' | 'login' | 'authorize'> {
  const names: readonly string[] = Object.values(perRoute)
  for (const key of Object.keys(configs))
    if (!names.includes(key) && !isAuthorizer(key)) refuse(`${where}.typed_per_filter_config["${key}"]`, 'not carried out by this proxy')
  const at = (key: string): string => `${where}.typed_per_filter_config["${key}"]`
  const cors = configs[perRoute.cors]
  const fault = configs[perRoute.fault]
  const more = configs[perRoute.weftFault]
  const limit = configs[perRoute.rateLimit]
  const ours = configs[perRoute.weftRateLimit]
  const quota = configs[perRoute.weftQuota]
  const tokens = configs[perRoute.tokens]
  const login = configs[perRoute.weftLogin]
  if (limit !== undefined && ours !== undefined) refuse(at(perRoute.rateLimit), `stands beside ${perRoute.weftRateLimit}: one is needed`)
  return {
    ...(cors === undefined ? {} : { cors: decodeCors(cors, at(perRoute.cors)) }),
    ...(fault === undefined && more === undefined ? {} : { fault: decodeFault(fault, more, name, at) }),
    ...(limit === undefined ? {} : { rateLimit: decodeLimit(limit, at(perRoute.rateLimit)) }),
    ...(login === undefined ? {} : { login: textIn(fieldsOf(login, 'login', at(perRoute.weftLogin)), 'policy', at(perRoute.weftLogin)) }),
    ...(tokens === undefined ? {} : { tokens: decodeTokenRoute(tokens, at(perRoute.tokens)) }),
    ...decodeAccess(configs, at),
    ...decodeAsked(configs, at),
    ...decodeBodies(configs, at, fieldsOf),
    ...(ours === undefined ? {} : { rateLimit: decodeOwnLimit(ours, at(perRoute.weftRateLimit)) }),
    ...(quota === undefined ? {} : { quota: decodeOwnQuota(quota, at(perRoute.weftQuota)) }),
  }
}

function textIn(own: Readonly<Record<string, string | number>>, name: string, where: string): string {
  const said = own[name]
  return typeof said === 'string' ? said : refuse(`${where}.${name}`, 'missing')
}

function runtimeShare(percent: RuntimeFractionalPercent | undefined, otherwise: number, where: string): number {
  if (percent?.runtimeKey) refuse(`${where}.runtime_key`, 'not carried out by this proxy')
  return shareOf(percent?.defaultValue, otherwise)
}

export function decodeMirrors(policies: readonly RouteAction_RequestMirrorPolicy[], where: string): readonly Mirror[] {
  return policies.map((policy, index) => {
    const at = `${where}.request_mirror_policies[${index}]`
    checkMirror(policy, at)
    if (policy.cluster === '') refuse(`${at}.cluster`, 'is needed')
    if (!policy.disableShadowHostSuffixAppend)
      refuse(`${at}.disable_shadow_host_suffix_append`, 'only true is carried out: copies keep their Host')
    return { backend: policy.cluster, share: runtimeShare(policy.runtimeFraction, 1_000_000, `${at}.runtime_fraction`) }
  })
}

const listed = (text: string): readonly string[] => text.split(',').flatMap(part => part.trim() || [])

function decodeCors(any: Any, where: string): Cors {
  const policy = unpack(any, CorsPolicySchema, where)
  checkCors(policy, where)
  const maxAge = policy.maxAge === '' ? 5 : Number(policy.maxAge)
  if (!Number.isInteger(maxAge)) refuse(`${where}.max_age`, `"${policy.maxAge}" is no number of seconds`)
  return {
    origins: policy.allowOriginStringMatch.map((match, index) => decodeText(match, `${where}.allow_origin_string_match[${index}]`)),
    credentials: policy.allowCredentials ?? false,
    methods: listed(policy.allowMethods),
    headers: listed(policy.allowHeaders),
    expose: listed(policy.exposeHeaders),
    maxAgeS: maxAge,
    ...(policy.forwardNotMatchingPreflights === false ? {} : { forwardsOthers: true }),
  }
}

function decodeFault(any: Any | undefined, more: Any | undefined, name: string, at: (key: string) => string): Fault {
  const fault = any && unpack(any, HTTPFaultSchema, at(perRoute.fault))
  if (fault !== undefined) checkFault(fault, at(perRoute.fault))
  const own = more === undefined ? {} : fieldsOf(more, 'fault', at(perRoute.weftFault))
  const { endsAt, jitterMs, reset } = own
  const delay = delayOf(fault?.delay, at(perRoute.fault))
  const abort = abortOf(fault?.abort, at(perRoute.fault))
  if (abort !== undefined && typeof reset === 'number') refuse(at(perRoute.weftFault), 'a reset stands beside another abort: one is needed')
  return {
    policy: typeof own['policy'] === 'string' ? own['policy'] : name,
    ...(typeof endsAt === 'number' ? { endsAt } : {}),
    ...(delay === undefined
      ? {}
      : { delay: { ...delay, ...(typeof jitterMs === 'number' ? { jitterMs } : {}), ...spreadIn(own, at(perRoute.weftFault)) } }),
    ...(abort === undefined ? {} : { abort }),
    ...(typeof reset === 'number' ? { abort: { type: 'reset', share: reset } } : {}),
    ...(lineIn(own) ?? lineOf(fault?.responseRateLimit, at(perRoute.fault))),
  }
}

const spreads = ['normal', 'exponential', 'pareto'] as const

function spreadIn(own: Readonly<Record<string, string | number>>, where: string): { readonly spread?: Spread } {
  const said = own['spread']
  if (said === undefined) return {}
  return { spread: spreads.find(each => each === said) ?? refuse(`${where}.spread`, `"${said}" is not carried out`) }
}

function lineIn({ lineShare, requestsBps, answersBps }: Readonly<Record<string, string | number>>): Pick<Fault, 'bandwidth'> | undefined {
  if (typeof lineShare !== 'number') return undefined
  return {
    bandwidth: {
      share: lineShare,
      ...(typeof requestsBps === 'number' ? { requestsBps } : {}),
      ...(typeof answersBps === 'number' ? { answersBps } : {}),
    },
  }
}

function lineOf(limit: FaultRateLimit | undefined, where: string): Pick<Fault, 'bandwidth'> {
  if (limit === undefined) return {}
  if (limit.limitType.case !== 'fixedLimit') refuse(`${where}.response_rate_limit`, 'only fixed_limit is carried out')
  return { bandwidth: { share: shareOf(limit.percentage, 0), answersBps: Number(limit.limitType.value.limitKbps) * 1024 } }
}

function delayOf(delay: FaultDelay | undefined, where: string) {
  if (delay === undefined) return undefined
  checkDelay(delay, `${where}.delay`)
  if (delay.faultDelaySecifier.case !== 'fixedDelay') refuse(`${where}.delay`, 'only fixed_delay is carried out')
  return { ms: msOf(delay.faultDelaySecifier.value), share: shareOf(delay.percentage, 0) }
}

function abortOf(abort: FaultAbort | undefined, where: string): (Abort & { readonly share: number }) | undefined {
  if (abort === undefined) return undefined
  checkAbort(abort, `${where}.abort`)
  const share = shareOf(abort.percentage, 0)
  const { errorType } = abort
  if (errorType.case === 'httpStatus') {
    if (errorType.value < 400 || errorType.value > 599) refuse(`${where}.abort.http_status`, 'only 400 to 599 are carried out')
    return { type: 'http', status: errorType.value, share }
  }
  if (errorType.case === 'grpcStatus') {
    if (errorType.value > 16) refuse(`${where}.abort.grpc_status`, `${errorType.value} is no status of gRPC (0 to 16)`)
    return { type: 'grpc', status: errorType.value, share }
  }
  return refuse(`${where}.abort`, 'only http_status and grpc_status are carried out')
}

function decodeLimit(any: Any, where: string): RateLimit {
  const limit = unpack(any, LocalRateLimitSchema, where)
  checkLimit(limit, where)
  for (const field of ['filterEnabled', 'filterEnforced'] as const)
    if (runtimeShare(limit[field], 0, where) < 1_000_000) refuse(where, 'filter_enabled and filter_enforced are carried out for 100 % only')
  if (limit.status !== undefined && (limit.status.code as number) !== 429) refuse(`${where}.status`, 'only 429 is carried out')
  if (!limit.rateLimitedAsResourceExhausted) refuse(`${where}.rate_limited_as_resource_exhausted`, 'only true is carried out')
  return { name: limit.statPrefix, ...rateOf(limit.tokenBucket, where) }
}

/** What stands in front of tcp_proxy. */
export function decodeConnectionFault(any: Any, where: string): Fault {
  const own = scalarsOf(unpack(any, StructSchema, where), 'bytesFault', where)
  const { policy, endsAt, delayMs, delayShare, jitterMs, reset, drop } = own
  const jitter = typeof jitterMs === 'number' ? { jitterMs } : {}
  return {
    policy: typeof policy === 'string' ? policy : refuse(`${where}.policy`, 'missing'),
    ...(typeof endsAt === 'number' ? { endsAt } : {}),
    ...(typeof delayMs === 'number' && typeof delayShare === 'number'
      ? { delay: { ms: delayMs, ...jitter, ...spreadIn(own, where), share: delayShare } }
      : {}),
    ...(typeof reset === 'number' ? { abort: { type: 'reset', share: reset } } : {}),
    ...(typeof drop === 'number' ? { abort: { type: 'drop', share: drop } } : {}),
    ...lineIn(own),
  }
}

/** Text and numbers of an extension of ours. */
function fieldsOf(any: Any, of: WordsOf, where: string): Readonly<Record<string, string | number>> {
  return scalarsOf(unpack(unpack(any, FilterConfigSchema, where).config, StructSchema, where), of, where)
}

function scalarsOf({ fields }: Struct, of: WordsOf, where: string): Readonly<Record<string, string | number>> {
  checkWords(fields, of, where)
  return Object.fromEntries(
    Object.entries(fields).flatMap(([key, { kind }]) =>
      kind.case === 'stringValue' || kind.case === 'numberValue' ? [[key, kind.value]] : [],
    ),
  )
}
