/** Envoy's jwt_authn → the tokens that routes ask for: what it asks beside that is refused by name. */

import type { JsonObject } from '@bufbuild/protobuf'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { AccessCondition, TextMatch } from '#model/access-rule'
import { noKeys, pinnedKeys } from '#model/jwks'
import type { TokenIssuer, TokenPlace, TokenPolicy } from '#model/token'
import { algorithmsLabel, boundLabel, claimsKey, tokenFilter } from '../encode/tokens.ts'
import {
  JwtAuthenticationSchema,
  type JwtProvider,
  JwtProvider_NormalizePayloadSchema,
  JwtProviderSchema,
  type JwtRequirement,
  PerRouteConfigSchema,
  RemoteJwksSchema,
} from '../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts'
import type { MetadataMatcher } from '../gen/envoy/type/matcher/v3/metadata_pb.ts'
import type { StringMatcher } from '../gen/envoy/type/matcher/v3/string_pb.ts'
import { invalidCluster } from '../types.ts'
import { carries, msOf, refuse, textOf, typeName, unpack } from './carried.ts'

const checkFilter = carries(JwtAuthenticationSchema, ['providers', 'requirement_map'])
const checkProvider = carries(JwtProviderSchema, [
  'issuer',
  'audiences',
  'require_expiration',
  'local_jwks',
  'remote_jwks',
  'forward',
  'from_headers',
  'from_params',
  'from_cookies',
  'payload_in_metadata',
  'normalize_payload_in_metadata',
  'clock_skew_seconds',
  'clear_route_cache',
  'jwt_cache_config',
  'claim_to_headers',
])
const checkRemote = carries(RemoteJwksSchema, ['http_uri', 'cache_duration', 'async_fetch'])
const checkNormal = carries(JwtProvider_NormalizePayloadSchema, ['space_delimited_claims'])

/** What Envoy takes where nobody says otherwise; of keys in place their own algorithms count. */
const allAlgorithms = ['EdDSA', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512']

/** Undefined: it is another filter. Algorithms are told by a label of the listener (`withLabels`). */
export function decodeTokens(any: Any, where: string): readonly TokenPolicy[] | undefined {
  if (typeName(any) !== JwtAuthenticationSchema.typeName) return undefined
  const at = `${where}: ${tokenFilter}`
  const message = unpack(any, JwtAuthenticationSchema, at)
  checkFilter(message, at)
  return Object.entries(message.requirementMap)
    .map(([name, requirement]) => policyOf(name, requirement, message.providers, `${at}.requirement_map["${name}"]`))
    .sort((one, other) => (one.name < other.name ? -1 : 1))
}

export function decodeTokenRoute(any: Any, where: string): string {
  const { requirementSpecifier: said } = unpack(any, PerRouteConfigSchema, where)
  return said.case === 'requirementName' ? said.value : refuse(where, 'only requirement_name is carried out')
}

/** labels: of the listener. */
export function withLabels(policies: readonly TokenPolicy[], labels: JsonObject): readonly TokenPolicy[] {
  const bound = labels[boundLabel]
  const names = typeof bound === 'string' ? bound.split(',') : []
  return withAlgorithms(policies, labels).map(each => (names.includes(each.name) ? { ...each, isBoundToToken: true } : each))
}

function withAlgorithms(policies: readonly TokenPolicy[], labels: JsonObject): readonly TokenPolicy[] {
  const said = labels[algorithmsLabel]
  if (typeof said !== 'object' || said === null || Array.isArray(said)) return policies
  return policies.map(policy => ({
    ...policy,
    issuers: policy.issuers.map((issuer): TokenIssuer => {
      const list = said[`${policy.name}/${issuer.name}`]
      return issuer.keys.type !== 'url' || typeof list !== 'string'
        ? issuer
        : { ...issuer, keys: { ...issuer.keys, algorithms: list.split(',') } }
    }),
  }))
}

function policyOf(name: string, requirement: JwtRequirement, providers: Readonly<Record<string, JwtProvider>>, where: string): TokenPolicy {
  const { requiresType } = requirement
  const some = requiresType.case === 'requiresAny' ? requiresType.value.requirements : [requirement]
  const issuers: TokenIssuer[] = []
  let isRequired = true
  let choosesRoutes = false
  for (const { requiresType: one } of some) {
    if (one.case === 'allowMissing') isRequired = false
    else if (one.case === 'providerName') {
      const provider = providers[one.value] ?? refuse(where, `there is no provider "${one.value}"`)
      const issuer = issuerOf(
        one.value.startsWith(`${name}/`) ? one.value.slice(name.length + 1) : one.value,
        provider,
        `${where}: ${one.value}`,
      )
      if (issuers.some(each => each.issuer === issuer.issuer)) refuse(where, `two providers have the issuer "${issuer.issuer}"`)
      issuers.push(issuer)
      choosesRoutes ||= provider.clearRouteCache
    } else refuse(where, `${one.case ?? 'nothing'} is not carried out: provider_name, any of these, and allow_missing are`)
  }
  if (issuers.length === 0) refuse(where, 'names no provider')
  return { name, isRequired, issuers, ...(choosesRoutes ? { choosesRoutes } : {}) }
}

function issuerOf(name: string, provider: JwtProvider, where: string): TokenIssuer {
  checkProvider(provider, where)
  if (provider.issuer === '') refuse(`${where}.issuer`, 'is needed')
  if (!provider.requireExpiration) refuse(`${where}.require_expiration`, 'only true is carried out')
  if (provider.payloadInMetadata !== '' && provider.payloadInMetadata !== claimsKey)
    refuse(`${where}.payload_in_metadata`, `only "${claimsKey}" is carried out`)
  if (provider.normalizePayloadInMetadata !== undefined) {
    checkNormal(provider.normalizePayloadInMetadata, `${where}.normalize_payload_in_metadata`)
    if (provider.normalizePayloadInMetadata.spaceDelimitedClaims.join() !== 'scope')
      refuse(`${where}.normalize_payload_in_metadata`, 'only scope is carried out')
  }
  const from: TokenPlace[] = [
    ...provider.fromHeaders.map(each => ({ type: 'header', name: each.name.toLowerCase(), prefix: each.valuePrefix }) as const),
    ...provider.fromParams.map(each => ({ type: 'query', name: each }) as const),
    ...provider.fromCookies.map(each => ({ type: 'cookie', name: each }) as const),
  ]
  return {
    name,
    issuer: provider.issuer,
    audiences: provider.audiences,
    keys: keysOf(provider, where),
    from: from.length > 0 ? from : refuse(where, 'from_headers, from_params or from_cookies is needed'),
    forward: provider.forward,
    claimsToHeaders: provider.claimToHeaders.map(each => ({ claim: each.claimName, header: each.headerName.toLowerCase() })),
    skewMs: provider.clockSkewSeconds * 1000,
  }
}

function keysOf({ jwksSourceSpecifier: source }: JwtProvider, where: string): TokenIssuer['keys'] {
  if (source.case === 'localJwks') {
    const text = textOf(source.value, `${where}.local_jwks`)
    try {
      return { type: 'inline', jwks: JSON.stringify({ keys: pinnedKeys(text, allAlgorithms) }) }
    } catch (thrown) {
      return refuse(`${where}.local_jwks`, thrown instanceof Error ? thrown.message : String(thrown))
    }
  }
  if (source.case === undefined) return refuse(where, 'local_jwks or remote_jwks is needed')
  checkRemote(source.value, `${where}.remote_jwks`)
  const { httpUri, cacheDuration } = source.value
  if (httpUri?.httpUpstreamType.value === invalidCluster) return { type: 'inline', jwks: noKeys }
  if (httpUri?.httpUpstreamType.case !== 'cluster' || !URL.canParse(httpUri.uri))
    return refuse(`${where}.remote_jwks.http_uri`, 'a URL and a cluster are needed')
  return {
    type: 'url',
    url: httpUri.uri,
    backend: httpUri.httpUpstreamType.value,
    refreshMs: cacheDuration === undefined ? 600_000 : msOf(cacheDuration),
    timeoutMs: httpUri.timeout === undefined ? 5000 : msOf(httpUri.timeout),
    algorithms: allAlgorithms,
  }
}

/** A claim as `claimPrincipals` has it: one text, however the claim holds it. */
export function decodeClaim(
  matcher: MetadataMatcher,
  text: (message: StringMatcher, where: string) => TextMatch,
  where: string,
): AccessCondition {
  const keys = matcher.path.map(({ segment }) => (segment.case === 'key' ? segment.value : ''))
  if (matcher.filter !== tokenFilter || keys[0] !== claimsKey || keys.length < 2 || matcher.invert)
    return refuse(where, `only claims of ${tokenFilter} are carried out`)
  const pattern = matcher.value?.matchPattern
  const some = pattern?.case === 'orMatch' ? pattern.value.valueMatchers : []
  const [one, list] = some.map(({ matchPattern }) => matchPattern)
  const element =
    list?.case === 'listMatch' && list.value.matchPattern.case === 'oneOf' ? list.value.matchPattern.value.matchPattern : undefined
  if (one?.case !== 'stringMatch' || element?.case !== 'stringMatch')
    return refuse(where, 'a claim is compared as text and as a list with that text')
  const match = text(one.value, where)
  if (JSON.stringify(match) !== JSON.stringify(text(element.value, where))) return refuse(where, 'a list is compared with the same text')
  return { on: 'claim', path: keys.slice(1), any: [match] }
}
