/** Authorizers → Envoy's ext_authz: a filter for each, switched off until a route names it; in front of one that is not asked about everything an RBAC that decides whether it is. */

import { create } from '@bufbuild/protobuf'
import { type Any, anyPack, StructSchema } from '@bufbuild/protobuf/wkt'
import { untouchable } from '#model/authorize'
import type { Authorizer, AuthorizerQuestion } from '#model/authorizer'
import { ApiVersion } from '../gen/envoy/config/core/v3/config_source_pb.ts'
import {
  CheckSettingsSchema,
  type ExtAuthz,
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
} from '../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts'
import { RBACSchema } from '../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'
import { ExtAuthzSchema as ConnectionSchema } from '../gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.ts'
import { StatusCode } from '../gen/envoy/type/v3/http_status_pb.ts'
import { invalidCluster } from '../types.ts'
import { askedRules } from './access.ts'
import { authorityOf, duration, typed } from './source.ts'

export const authorizeFilter = 'envoy.filters.http.ext_authz'
export const whenFilter = 'envoy.filters.http.rbac.when'
export const connectionFilter = 'envoy.filters.network.ext_authz'
/** Where an RBAC filter leaves what its shadow rules say. */
export const whenMetadata = 'envoy.filters.http.rbac'
export const whenKey = (name: string): string => `${name}:shadow_engine_result`

export const filterOf = (name: string): string => `${authorizeFilter}/${name}`

/** In front of the router, behind what judges requests here. */
export const encodeAuthorizers = (authorizers: readonly Authorizer[] = []) =>
  authorizers.flatMap(each => [
    ...(each.when === undefined
      ? []
      : [
          {
            name: `${whenFilter}/${each.name}`,
            configType: typed(
              RBACSchema,
              create(RBACSchema, { shadowRules: askedRules(each.when), shadowRulesStatPrefix: `${each.name}:` }),
            ),
          },
        ]),
    ...(each.body?.isCut === false ? [wholeBodies] : []),
    { name: filterOf(each.name), disabled: true, configType: typed(ExtAuthzSchema, filterConfig(each)) },
  ])

/**
 * Of a body that ends in its first frame of HTTP/2 Envoy shows the beginning and lets all of it on, although it is to be refused. It has no such filter and
 * refuses the listener.
 */
export const wholeBodiesFilter = 'dev.weft.whole-bodies'
const wholeBodies = { name: wholeBodiesFilter, configType: typed(StructSchema, create(StructSchema)) }

/** Switches them on. */
export const encodeAsked = (names: readonly string[]): Record<string, Any> =>
  Object.fromEntries(
    names.map(name => [
      filterOf(name),
      anyPack(
        ExtAuthzPerRouteSchema,
        create(ExtAuthzPerRouteSchema, { override: { case: 'checkSettings', value: create(CheckSettingsSchema) } }),
      ),
    ]),
  )

/** In front of the proxy of opaque bytes. */
export const encodeConnectionAuthorizer = (authorizer: Authorizer | undefined) =>
  authorizer === undefined
    ? []
    : [
        {
          name: connectionFilter,
          configType: typed(
            ConnectionSchema,
            create(ConnectionSchema, {
              statPrefix: authorizer.name,
              failureModeAllow: authorizer.failsOpen,
              transportApiVersion: ApiVersion.V3,
              grpcService: grpcService(authorizer),
            }),
          ),
        },
      ]

const grpcService = ({ backend, timeoutMs }: Authorizer) => ({
  targetSpecifier: {
    case: 'envoyGrpc' as const,
    value: { clusterName: backend ?? invalidCluster, ...(backend === undefined ? {} : { authority: authorityOf(backend) }) },
  },
  timeout: duration(timeoutMs),
})

function filterConfig(authorizer: Authorizer): ExtAuthz {
  const { name, failsOpen, ask, body, when } = authorizer
  // A list without names is none to Envoy, which then shows a service of HTTP what it always does.
  const headers = ask.headers !== undefined && ask.headers.length > 0 ? { allowedHeaders: named(ask.headers) } : {}
  return create(ExtAuthzSchema, {
    services:
      ask.type === 'grpc'
        ? { case: 'grpcService', value: grpcService(authorizer) }
        : { case: 'httpService', value: httpService(authorizer, ask) },
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: failsOpen,
    statusOnError: { code: StatusCode.ServiceUnavailable },
    validateMutations: true,
    statPrefix: name,
    ...headers,
    ...(body === undefined
      ? {}
      : { withRequestBody: { maxRequestBytes: body.maxBytes, allowPartialMessage: body.isCut, packAsBytes: true } }),
    decoderHeaderMutationRules: {
      allowEnvoy: true,
      disallowSystem: true,
      disallowExpression: { regex: untouchable },
      // An answer of HTTP has such headers of its own.
      disallowIsError: ask.type === 'grpc',
    },
    ...(when === undefined
      ? {}
      : {
          filterEnabledMetadata: {
            filter: whenMetadata,
            path: [{ segment: { case: 'key', value: whenKey(name) } }],
            value: { matchPattern: { case: 'stringMatch', value: { matchPattern: { case: 'exact', value: 'denied' } } } },
          },
        }),
  })
}

const named = (names: readonly string[]) => ({
  patterns: names.map(value => ({ matchPattern: { case: 'exact' as const, value }, ignoreCase: true })),
})
const everything = { patterns: [{ matchPattern: { case: 'safeRegex' as const, value: { regex: '.*' } } }] }

const httpService = (
  { name, backend, timeoutMs }: Authorizer,
  { prefix, toBackend, toCaller }: Extract<AuthorizerQuestion, { type: 'http' }>,
) => ({
  serverUri: {
    uri: `http://${name.replaceAll(/[^\w.-]/g, '-')}`,
    httpUpstreamType: { case: 'cluster' as const, value: backend ?? invalidCluster },
    timeout: duration(timeoutMs),
  },
  pathPrefix: prefix,
  authorizationResponse: {
    ...(toBackend === 'all'
      ? { allowedUpstreamHeaders: everything }
      : toBackend.length > 0
        ? { allowedUpstreamHeaders: named(toBackend) }
        : {}),
    ...(toCaller.length > 0 ? { allowedClientHeadersOnSuccess: named(toCaller) } : {}),
  },
})
