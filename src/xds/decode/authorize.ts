/** Envoy's ext_authz → who is asked whether requests and connections may go on: what else it asks is refused by name. */

import type { Any } from '@bufbuild/protobuf/wkt'
import type { AccessRule } from '#model/access-rule'
import { untouchable } from '#model/authorize'
import type { Authorizer, AuthorizerQuestion } from '#model/authorizer'
import { authorizeFilter, whenFilter, whenKey, whenMetadata } from '../encode/authorize.ts'
import { HeaderMutationRulesSchema } from '../gen/envoy/config/common/mutation_rules/v3/mutation_rules_pb.ts'
import type { GrpcService } from '../gen/envoy/config/core/v3/grpc_service_pb.ts'
import { ApiVersion } from '../gen/envoy/config/core/v3/config_source_pb.ts'
import {
  AuthorizationResponseSchema,
  CheckSettingsSchema,
  type ExtAuthz,
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
  type HttpService,
  HttpServiceSchema,
} from '../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts'
import { RBACSchema } from '../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'
import { ExtAuthzSchema as ConnectionSchema } from '../gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.ts'
import type { ListStringMatcher } from '../gen/envoy/type/matcher/v3/string_pb.ts'
import { invalidCluster } from '../types.ts'
import { decodeAskedRules } from './access.ts'
import { carries, msOf, refuse, typeName, unpack } from './carried.ts'

const checkFilter = carries(ExtAuthzSchema, [
  'grpc_service',
  'http_service',
  'transport_api_version',
  'failure_mode_allow',
  'with_request_body',
  'status_on_error',
  'validate_mutations',
  'stat_prefix',
  'allowed_headers',
  'decoder_header_mutation_rules',
  'filter_enabled_metadata',
])
const checkHttp = carries(HttpServiceSchema, ['server_uri', 'path_prefix', 'authorization_response'])
const checkResponse = carries(AuthorizationResponseSchema, ['allowed_upstream_headers', 'allowed_client_headers_on_success'])
const checkMutations = carries(HeaderMutationRulesSchema, ['allow_envoy', 'disallow_system', 'disallow_expression', 'disallow_is_error'])
const checkSettings = carries(CheckSettingsSchema, [])
const checkWhen = carries(RBACSchema, ['shadow_rules', 'shadow_rules_stat_prefix'])
const checkConnection = carries(ConnectionSchema, ['stat_prefix', 'grpc_service', 'failure_mode_allow', 'transport_api_version'])

/** Envoy asks for no longer where nobody says otherwise. */
const usualTimeoutMs = 200

type Named = { readonly name: string; readonly disabled: boolean }

/** One filter; undefined where it is another. when: by name, of the filters before it. */
export function decodeAuthorizer(
  { name, disabled }: Named,
  any: Any,
  when: ReadonlyMap<string, readonly AccessRule[]>,
  where: string,
): Authorizer | undefined {
  if (typeName(any) !== ExtAuthzSchema.typeName) return undefined
  const at = `${where}: ${name}`
  if (!disabled || !name.startsWith(`${authorizeFilter}/`))
    refuse(at, `carried out where its name is ${authorizeFilter}/NAME and it is disabled but for the routes that name it`)
  const message = unpack(any, ExtAuthzSchema, at)
  checkFilter(message, at)
  if ((message.statusOnError?.code as number | undefined) !== 503) refuse(`${at}.status_on_error`, 'only 503 is carried out')
  if (!message.validateMutations) refuse(`${at}.validate_mutations`, 'only true is carried out')
  const own = name.slice(authorizeFilter.length + 1)
  const [backend, timeoutMs, ask] = serviceOf(message, at)
  mutationsOf(message, ask.type === 'grpc', at)
  const body = message.withRequestBody
  return {
    name: own,
    backend,
    timeoutMs,
    failsOpen: message.failureModeAllow,
    ask,
    ...(body === undefined ? {} : { body: { maxBytes: body.maxRequestBytes, isCut: body.allowPartialMessage } }),
    ...whenOf(message, own, when, at),
  }
}

/** What an RBAC filter says of the authorizer behind it; undefined where it is another filter. */
export function decodeWhen({ name }: Pick<Named, 'name'>, any: Any, where: string): readonly [string, readonly AccessRule[]] | undefined {
  if (typeName(any) !== RBACSchema.typeName || !name.startsWith(`${whenFilter}/`)) return undefined
  const at = `${where}: ${name}`
  const rbac = unpack(any, RBACSchema, at)
  checkWhen(rbac, at)
  return [name.slice(whenFilter.length + 1), decodeAskedRules(rbac.shadowRules, `${at}.shadow_rules`)]
}

/** Names, of the configs of a route. */
export function decodeAsked(
  configs: Readonly<Record<string, Any>>,
  at: (key: string) => string,
): { readonly authorize?: readonly string[] } {
  const names = Object.entries(configs).flatMap(([key, any]) => {
    if (!isAuthorizer(key)) return []
    const { override } = unpack(any, ExtAuthzPerRouteSchema, at(key))
    if (override.case === 'disabled') return []
    if (override.case === 'checkSettings') checkSettings(override.value, `${at(key)}.check_settings`)
    else refuse(at(key), 'disabled or check_settings is needed')
    return [key.slice(authorizeFilter.length + 1)]
  })
  return names.length === 0 ? {} : { authorize: names }
}

export const isAuthorizer = (key: string): boolean => key.startsWith(`${authorizeFilter}/`)

/** Undefined where it is another filter. */
export function decodeConnectionAuthorizer(any: Any, where: string): Authorizer | undefined {
  if (typeName(any) !== ConnectionSchema.typeName) return undefined
  const message = unpack(any, ConnectionSchema, where)
  checkConnection(message, where)
  if (message.transportApiVersion !== ApiVersion.V3) refuse(`${where}.transport_api_version`, 'only V3 is spoken')
  const [backend, timeoutMs] = grpcOf(message.grpcService, where)
  return { name: message.statPrefix, backend, timeoutMs, failsOpen: message.failureModeAllow, ask: { type: 'grpc' } }
}

function serviceOf(message: ExtAuthz, where: string): readonly [string | undefined, number, AuthorizerQuestion] {
  const { services, allowedHeaders, transportApiVersion } = message
  const headers = allowedHeaders && namesOf(allowedHeaders, `${where}.allowed_headers`)
  if (headers === 'all') return refuse(`${where}.allowed_headers`, 'names are needed')
  if (services.case === 'grpcService') {
    if (transportApiVersion !== ApiVersion.V3) refuse(`${where}.transport_api_version`, 'only V3 is spoken')
    return [...grpcOf(services.value, where), { type: 'grpc', ...(headers === undefined ? {} : { headers }) }]
  }
  if (services.case !== 'httpService') return refuse(where, 'grpc_service or http_service is needed')
  return httpOf(services.value, headers ?? [], `${where}.http_service`)
}

function grpcOf(service: GrpcService | undefined, where: string): readonly [string | undefined, number] {
  const target = service?.targetSpecifier
  if (target?.case !== 'envoyGrpc' || target.value.clusterName === '')
    return refuse(`${where}.grpc_service`, 'envoy_grpc with a cluster_name is needed')
  return [backendNamed(target.value.clusterName), service!.timeout === undefined ? usualTimeoutMs : msOf(service!.timeout)]
}

function httpOf(
  service: HttpService,
  headers: readonly string[],
  where: string,
): readonly [string | undefined, number, AuthorizerQuestion] {
  checkHttp(service, where)
  const { serverUri, pathPrefix, authorizationResponse: response } = service
  if (serverUri?.httpUpstreamType.case !== 'cluster') return refuse(`${where}.server_uri`, 'a cluster is needed')
  if (response !== undefined) checkResponse(response, `${where}.authorization_response`)
  const to = (list: ListStringMatcher | undefined, field: string) =>
    list === undefined ? [] : namesOf(list, `${where}.authorization_response.${field}`)
  const toCaller = to(response?.allowedClientHeadersOnSuccess, 'allowed_client_headers_on_success')
  return [
    backendNamed(serverUri.httpUpstreamType.value),
    serverUri.timeout === undefined ? usualTimeoutMs : msOf(serverUri.timeout),
    {
      type: 'http',
      prefix: pathPrefix,
      headers,
      toBackend: to(response?.allowedUpstreamHeaders, 'allowed_upstream_headers'),
      toCaller:
        toCaller === 'all' ? refuse(`${where}.authorization_response.allowed_client_headers_on_success`, 'names are needed') : toCaller,
    },
  ]
}

const backendNamed = (cluster: string): string | undefined => (cluster === invalidCluster ? undefined : cluster)

function namesOf({ patterns }: ListStringMatcher, where: string): readonly string[] | 'all' {
  const [first, ...others] = patterns
  if (first?.matchPattern.case === 'safeRegex' && first.matchPattern.value.regex === '.*' && others.length === 0) return 'all'
  return patterns.map(({ matchPattern }) =>
    matchPattern.case === 'exact' ? matchPattern.value.toLowerCase() : refuse(where, 'only exact names are carried out'),
  )
}

/** What may be changed is bounded in this proxy, always in the same way. */
function mutationsOf({ decoderHeaderMutationRules: rules }: ExtAuthz, isGrpc: boolean, where: string): void {
  const at = `${where}.decoder_header_mutation_rules`
  if (rules === undefined) return
  checkMutations(rules, at)
  if (rules.disallowExpression?.regex !== untouchable || (rules.disallowIsError ?? false) !== isGrpc)
    refuse(at, 'this proxy has bounds of its own: leave it out')
}

function whenOf(
  { filterEnabledMetadata: metadata }: ExtAuthz,
  name: string,
  when: ReadonlyMap<string, readonly AccessRule[]>,
  where: string,
): Pick<Authorizer, 'when'> {
  if (metadata === undefined) return {}
  const at = `${where}.filter_enabled_metadata`
  const rules = when.get(name)
  const [segment, ...others] = metadata.path.map(each => each.segment.value)
  const match = metadata.value?.matchPattern
  const text = match?.case === 'stringMatch' && match.value.matchPattern.case === 'exact' ? match.value.matchPattern.value : undefined
  const isOurs =
    metadata.filter === whenMetadata && segment === whenKey(name) && others.length === 0 && text === 'denied' && !metadata.invert
  if (!isOurs || rules === undefined) return refuse(at, `only what the filter ${whenFilter}/${name} before it says is carried out`)
  return { when: rules }
}
