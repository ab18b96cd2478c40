/** What a route asks of filters before the router: CORS, faults and rate limits, each as the typed per-route config of Envoy's own filter. */

import { create, type JsonObject } from '@bufbuild/protobuf'
import { type Any, anyPack, StructSchema, ValueSchema } from '@bufbuild/protobuf/wkt'
import { canBreak, isKilobytes } from '#model/envoy'
import type { Fault } from '#model/fault'
import type { Direction, Listener } from '#model/listener'
import type { Cors, Mirror, Route } from '#model/route'
import { FilterConfigSchema, type RouteAction_RequestMirrorPolicy } from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { RouteAction_RequestMirrorPolicySchema } from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { type CorsPolicy, CorsPolicySchema, CorsSchema } from '../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts'
import { type HTTPFault, HTTPFaultSchema } from '../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { LocalRateLimitSchema } from '../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts'
import { StringMatcherSchema } from '../gen/envoy/type/matcher/v3/string_pb.ts'
import { FractionalPercent_DenominatorType as Denominator } from '../gen/envoy/type/v3/percent_pb.ts'
import { accessFilters, encodeAccess, sleepingAccess } from './access.ts'
import { asleep, encodeSession, sessionFilter } from './affinity.ts'
import { encodeAsked, encodeAuthorizers, encodeConnectionAuthorizer } from './authorize.ts'
import { bodyFilters, encodeBodies, sleepingBodies } from './bodies.ts'
import { encodeEgress } from './egress.ts'
import { encodeLogins, loginFilter } from './logins.ts'
import { encodeConnectionLimit, encodeQuotaConfig, encodeRateLimit, limitNames } from './rate-limit.ts'
import { duration, typed } from './source.ts'
import { encodeTokens, tokenFilter, tokenRoute } from './tokens.ts'

/** Envoy's names, by which its chain of filters and the configs of a route find each other. */
export const perRoute = {
  cors: 'envoy.filters.http.cors',
  fault: 'envoy.filters.http.fault',
  rateLimit: limitNames.local,
  session: sessionFilter,
  accessDeny: accessFilters.deny,
  accessAllow: accessFilters.allow,
  tokens: tokenFilter,
  ...bodyFilters,
  /** What Envoy has no field for. Where that changes what is done it is not optional, and Envoy refuses the route. */
  weftFault: 'dev.weft.fault',
  weftLogin: loginFilter,
  weftRateLimit: limitNames.ours,
  weftQuota: limitNames.ourQuota,
} as const

const ofCallers = [
  { name: perRoute.cors, configType: typed(CorsSchema, create(CorsSchema)) },
  { name: perRoute.fault, configType: typed(HTTPFaultSchema, create(HTTPFaultSchema)) },
  asleep,
]
const ofCalled = [
  { name: perRoute.rateLimit, configType: typed(LocalRateLimitSchema, create(LocalRateLimitSchema, { statPrefix: 'local' })) },
]

/** tokens, authorizers: Envoy has providers in the filter, so that it drains connections when they change. All else stands in every chain, asleep until a route says something: to add one later would make Envoy drain all connections of the listener. */
export const httpFiltersOf = (
  direction: Direction,
  tokens?: Listener['tokens'],
  authorizers?: Listener['authorizers'],
  logins?: Listener['logins'],
) => [
  ...sleepingBodies,
  ...(direction === 'inbound' ? [] : ofCallers),
  ...encodeLogins(logins),
  ...encodeTokens(tokens),
  ...(direction === 'outbound' ? [] : sleepingAccess),
  ...encodeAuthorizers(authorizers),
  ...(direction === 'outbound' ? [] : ofCalled),
]

/** In front of tcp_proxy: Envoy has no such filter and refuses the listener. */
export function connectionFilters({
  fault,
  connectionLimit,
  connectionAuthorizer,
}: Pick<Listener, 'fault' | 'connectionLimit' | 'connectionAuthorizer'>) {
  const limited = [...encodeConnectionAuthorizer(connectionAuthorizer), ...encodeConnectionLimit(connectionLimit)]
  return fault === undefined ? limited : [...limited, bytesFault(fault)]
}

/** The same in front of what makes capsules of datagrams. */
export function bytesFault(fault: Fault) {
  const { policy, endsAt, delay, abort } = fault
  const struct = structOf({
    policy,
    ...(endsAt === undefined ? {} : { endsAt }),
    ...(delay === undefined ? {} : { delayMs: delay.ms, delayShare: delay.share }),
    ...(delay?.jitterMs === undefined ? {} : { jitterMs: delay.jitterMs }),
    ...(abort === undefined ? {} : abort.type === 'drop' ? { drop: abort.share } : { reset: abort.share }),
    ...(delay?.spread === undefined ? {} : { spread: delay.spread }),
    ...lineOf(fault.bandwidth),
  })
  return { name: perRoute.weftFault, configType: typed(StructSchema, struct) }
}

const lineOf = (line: Fault['bandwidth']): JsonObject =>
  line === undefined
    ? {}
    : {
        lineShare: line.share,
        ...(line.requestsBps === undefined ? {} : { requestsBps: line.requestsBps }),
        ...(line.answersBps === undefined ? {} : { answersBps: line.answersBps }),
      }

/** shared: names of the limits that several routes of the table keep together. */
export function perRouteConfig(
  { cors, fault, rateLimit, quota, action, access, egress, tokens, login, authorize, ...bodies }: Route,
  shared: ReadonlySet<string>,
): Record<string, Any> {
  return {
    ...(cors === undefined ? {} : { [perRoute.cors]: anyPack(CorsPolicySchema, encodeCors(cors)) }),
    ...(fault === undefined ? {} : encodeFault(fault)),
    ...encodeBodies(bodies, ours),
    ...(rateLimit === undefined ? {} : encodeRateLimit(rateLimit, shared.has(rateLimit.name))),
    ...(quota === undefined ? {} : encodeQuotaConfig(quota)),
    ...encodeSession(action),
    ...(login === undefined ? {} : { [perRoute.weftLogin]: ours(false, { policy: login }) }),
    ...(tokens === undefined ? {} : tokenRoute(tokens)),
    ...(authorize === undefined ? {} : encodeAsked(authorize)),
    ...(access === undefined ? {} : encodeAccess(access)),
    ...(egress === undefined ? {} : encodeEgress(egress)),
  }
}

const percentage = (share: number) => ({ numerator: share, denominator: Denominator.MILLION })

/** Without the suffix that Envoy would put behind Host. */
export const encodeMirrors = (mirrors: readonly Mirror[]): RouteAction_RequestMirrorPolicy[] =>
  mirrors.map(({ backend, share }) =>
    create(RouteAction_RequestMirrorPolicySchema, {
      cluster: backend,
      runtimeFraction: { defaultValue: percentage(share) },
      disableShadowHostSuffixAppend: true,
    }),
  )

function encodeCors(cors: Cors): CorsPolicy {
  return create(CorsPolicySchema, {
    allowOriginStringMatch: cors.origins.map(({ type, value }) =>
      create(StringMatcherSchema, {
        matchPattern: type === 'exact' ? { case: 'exact', value } : { case: 'safeRegex', value: { regex: value } },
      }),
    ),
    allowMethods: cors.methods.join(', '),
    allowHeaders: cors.headers.join(', '),
    exposeHeaders: cors.expose.join(', '),
    maxAge: String(cors.maxAgeS),
    allowCredentials: cors.credentials,
    forwardNotMatchingPreflights: cors.forwardsOthers === true,
  })
}

function encodeFault(fault: Fault): Record<string, Any> {
  const { policy, endsAt, delay, abort, bandwidth } = fault
  const envoys = abort !== undefined && 'status' in abort ? abort : undefined
  const isSlow = isKilobytes(bandwidth)
  const message: HTTPFault = create(HTTPFaultSchema, {
    ...(isSlow
      ? {
          responseRateLimit: {
            limitType: { case: 'fixedLimit', value: { limitKbps: BigInt(bandwidth!.answersBps! / 1024) } },
            percentage: percentage(bandwidth!.share),
          },
        }
      : {}),
    ...(delay === undefined
      ? {}
      : { delay: { faultDelaySecifier: { case: 'fixedDelay', value: duration(delay.ms) }, percentage: percentage(delay.share) } }),
    ...(envoys === undefined
      ? {}
      : {
          abort: {
            errorType: { case: envoys.type === 'http' ? 'httpStatus' : 'grpcStatus', value: envoys.status },
            percentage: percentage(envoys.share),
          },
        }),
  })
  return {
    ...(delay === undefined && envoys === undefined && !isSlow ? {} : { [perRoute.fault]: anyPack(HTTPFaultSchema, message) }),
    [perRoute.weftFault]: ours(canBreak(fault), {
      policy,
      ...(endsAt === undefined ? {} : { endsAt }),
      ...(delay?.jitterMs === undefined ? {} : { jitterMs: delay.jitterMs }),
      ...(abort?.type === 'reset' ? { reset: abort.share } : {}),
      ...(delay?.spread === undefined ? {} : { spread: delay.spread }),
      ...(isSlow ? {} : lineOf(bandwidth)),
    }),
  }
}

function ours(isOptional: boolean, fields: JsonObject): Any {
  return anyPack(FilterConfigSchema, create(FilterConfigSchema, { isOptional, config: anyPack(StructSchema, structOf(fields)) }))
}

function structOf(fields: JsonObject) {
  const values = Object.entries(fields).map(([key, value]) => [
    key,
    create(ValueSchema, {
      kind: typeof value === 'number' ? { case: 'numberValue', value } : { case: 'stringValue', value: String(value) },
    }),
  ])
  return create(StructSchema, { fields: Object.fromEntries(values) })
}
