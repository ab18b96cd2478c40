/** Tokens that routes ask for → Envoy's jwt_authn: a provider for each issuer of each policy, a requirement by the name of the policy, and by that name each route. */

import { create, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf'
import { type Any, anyPack, EmptySchema } from '@bufbuild/protobuf/wkt'
import type { AccessCondition } from '#model/access-rule'
import { noKeys } from '#model/jwks'
import type { Listener } from '#model/listener'
import type { TokenIssuer, TokenPolicy } from '#model/token'
import { type Principal, PrincipalSchema } from '../gen/envoy/config/rbac/v3/rbac_pb.ts'
import {
  JwtAuthenticationSchema,
  type JwtProvider,
  JwtProviderSchema,
  type JwtRequirement,
  JwtRequirementSchema,
  PerRouteConfigSchema,
} from '../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts'
import { MetadataMatcherSchema } from '../gen/envoy/type/matcher/v3/metadata_pb.ts'
import type { StringMatcher } from '../gen/envoy/type/matcher/v3/string_pb.ts'
import { ValueMatcherSchema } from '../gen/envoy/type/matcher/v3/value_pb.ts'
import { invalidCluster } from '../types.ts'
import { duration, typed } from './source.ts'

export const tokenFilter = 'envoy.filters.http.jwt_authn'
/** Where claims are for the filters after it: one key, for of one request one token is verified. */
export const claimsKey = 'claims'
/** Label of a listener: for keys by URL Envoy has no list of algorithms. By name of the provider. */
export const algorithmsLabel = 'token-algorithms'

const nowhere = 'http://no-keys.invalid/'

const providerName = ({ name }: TokenPolicy, issuer: TokenIssuer): string => `${name}/${issuer.name}`

/** Label of a listener: policies whose tokens must hold as long as the request; Envoy looks at them once. */
export const boundLabel = 'token-bound'

/** In front of the filters that judge claims. */
export function encodeTokens(policies: Listener['tokens']) {
  if (policies === undefined) return []
  const message = create(JwtAuthenticationSchema, {
    providers: Object.fromEntries(
      policies.flatMap(policy =>
        policy.issuers.map(issuer => [providerName(policy, issuer), providerOf(issuer, policy.choosesRoutes === true)]),
      ),
    ),
    requirementMap: Object.fromEntries(policies.map(policy => [policy.name, requirementOf(policy)])),
  })
  return [{ name: tokenFilter, configType: typed(JwtAuthenticationSchema, message) }]
}

export const tokenRoute = (name: string): Record<string, Any> => ({
  [tokenFilter]: anyPack(
    PerRouteConfigSchema,
    create(PerRouteConfigSchema, { requirementSpecifier: { case: 'requirementName', value: name } }),
  ),
})

export function tokenLabels(policies: Listener['tokens'] = []): JsonObject {
  const said = policies.flatMap(policy =>
    policy.issuers.flatMap(issuer =>
      issuer.keys.type === 'url' ? [[providerName(policy, issuer), issuer.keys.algorithms.join()] as const] : [],
    ),
  )
  const bound = policies.flatMap(({ name, isBoundToToken }) => (isBoundToToken === true ? [name] : []))
  return {
    ...(said.length === 0 ? {} : { [algorithmsLabel]: Object.fromEntries(said) }),
    ...(bound.length === 0 ? {} : { [boundLabel]: bound.join() }),
  }
}

function providerOf(
  { issuer, audiences, keys, from, forward, claimsToHeaders, skewMs }: TokenIssuer,
  clearRouteCache: boolean,
): JwtProvider {
  return create(JwtProviderSchema, {
    issuer,
    audiences: [...audiences],
    requireExpiration: true,
    jwksSourceSpecifier:
      keys.type === 'inline' && keys.jwks === noKeys
        ? // Envoy takes no set without a key: it may look for one where there is none.
          {
            case: 'remoteJwks',
            value: { httpUri: { uri: nowhere, httpUpstreamType: { case: 'cluster', value: invalidCluster }, timeout: duration(1000) } },
          }
        : keys.type === 'inline'
          ? { case: 'localJwks', value: { specifier: { case: 'inlineString', value: keys.jwks } } }
          : {
              case: 'remoteJwks',
              value: {
                httpUri: { uri: keys.url, httpUpstreamType: { case: 'cluster', value: keys.backend }, timeout: duration(keys.timeoutMs) },
                cacheDuration: duration(keys.refreshMs),
                asyncFetch: { fastListener: true },
              },
            },
    forward,
    fromHeaders: from.flatMap(place => (place.type === 'header' ? [{ name: place.name, valuePrefix: place.prefix }] : [])),
    fromParams: from.flatMap(place => (place.type === 'query' ? [place.name] : [])),
    fromCookies: from.flatMap(place => (place.type === 'cookie' ? [place.name] : [])),
    payloadInMetadata: claimsKey,
    normalizePayloadInMetadata: { spaceDelimitedClaims: ['scope'] },
    // The route is chosen again, by headers that are claims now.
    clearRouteCache,
    clockSkewSeconds: skewMs / 1000,
    claimToHeaders: claimsToHeaders.map(({ claim, header }) => ({ claimName: claim, headerName: header })),
  })
}

/** Of a list two are needed at least. */
function requirementOf(policy: TokenPolicy): JwtRequirement {
  const requirement = (requiresType: NonNullable<MessageInitShape<typeof JwtRequirementSchema>['requiresType']>) =>
    create(JwtRequirementSchema, { requiresType })
  const some = [
    ...policy.issuers.map(issuer => requirement({ case: 'providerName', value: providerName(policy, issuer) })),
    ...(policy.isRequired ? [] : [requirement({ case: 'allowMissing', value: create(EmptySchema) })]),
  ]
  return some.length === 1 ? some[0]! : requirement({ case: 'requiresAny', value: { requirements: some } })
}

type Claim = Extract<AccessCondition, { on: 'claim' }>

const fitsText = ({ type, value }: Claim['any'][number], text: string): boolean =>
  type === 'exact' ? text === value : type === 'prefix' ? text.startsWith(value) : type === 'suffix' && text.endsWith(value)

/** matcher: of a text. A claim is a text, a list with one, or true or false. */
export function claimPrincipals({ path, any }: Claim, matcher: (match: Claim['any'][number]) => StringMatcher): Principal[] {
  return any.map(match => {
    const text = { matchPattern: { case: 'stringMatch' as const, value: matcher(match) } }
    const flags = [true, false].filter(flag => fitsText(match, String(flag)))
    const valueMatchers = [
      create(ValueMatcherSchema, text),
      create(ValueMatcherSchema, {
        matchPattern: { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value: text } } },
      }),
      ...flags.map(value => create(ValueMatcherSchema, { matchPattern: { case: 'boolMatch', value } })),
    ]
    return create(PrincipalSchema, {
      identifier: {
        case: 'metadata',
        value: create(MetadataMatcherSchema, {
          filter: tokenFilter,
          path: [claimsKey, ...path].map(key => ({ segment: { case: 'key' as const, value: key } })),
          value: { matchPattern: { case: 'orMatch', value: { valueMatchers } } },
        }),
      },
    })
  })
}
