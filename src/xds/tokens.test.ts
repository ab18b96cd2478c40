import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { anyPack } from '@bufbuild/protobuf/wkt'
import type { TokenIssuer, TokenPolicy } from '#model/token'
import { decodeTokens, withLabels } from './decode/tokens.ts'
import { encodeTokens, tokenLabels } from './encode/tokens.ts'
import { JwtAuthenticationSchema, JwtProviderSchema } from './gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts'

const inline = { type: 'inline', jwks: '{"keys":[{"kty":"EC","kid":"s","alg":"ES256","crv":"P-256","x":"eA","y":"eQ"}]}' } as const
const issuer: TokenIssuer = {
  name: 'staff',
  issuer: 'https://staff.example',
  audiences: ['shop'],
  keys: inline,
  from: [{ type: 'header', name: 'authorization', prefix: 'Bearer ' }],
  forward: false,
  claimsToHeaders: [{ claim: 'sub', header: 'x-user' }],
  skewMs: 60_000,
}
const url = { type: 'url', url: 'https://keys.example/', backend: 'keys', refreshMs: 1000, timeoutMs: 500, algorithms: ['RS512'] } as const
const back = (policies: readonly TokenPolicy[]) =>
  withLabels(decodeTokens(encodeTokens(policies)[0]!.configType.value, 'here')!, tokenLabels(policies))

test('policies come over as they are: several issuers, a token that may be missing, keys by URL with their algorithms, keys that are none', () => {
  const policies: readonly TokenPolicy[] = [
    { name: 'a/all', isRequired: true, issuers: [issuer] },
    { name: 'a/some', isRequired: false, issuers: [issuer] },
    { name: 'b/two', isRequired: true, issuers: [issuer, { ...issuer, name: 'other', issuer: 'o', keys: url, forward: true }] },
    { name: 'c/none', isRequired: true, issuers: [{ ...issuer, keys: { type: 'inline', jwks: '{"keys":[]}' } }] },
  ]
  assert.deepEqual(back(policies), policies)
})

test('what others ask of the filter and the proxy does not do is refused by name', () => {
  const provider = {
    issuer: 'i',
    requireExpiration: true,
    fromParams: ['t'] as string[],
    jwksSourceSpecifier: {
      case: 'localJwks' as const,
      value: { specifier: { case: 'inlineString' as const, value: inline.jwks as string } },
    },
  }
  const requirement = { requiresType: { case: 'providerName', value: 'p' } } as const
  type Asked = MessageInitShape<typeof JwtAuthenticationSchema>
  const refused = (asked: Asked): string => {
    const any = anyPack(JwtAuthenticationSchema, create(JwtAuthenticationSchema, { requirementMap: { r: requirement }, ...asked }))
    try {
      decodeTokens(any, 'here')
    } catch (thrown) {
      return (thrown as { readonly reason: string }).reason
    }
    return 'taken'
  }
  const of = (more: object): string => refused({ providers: { p: create(JwtProviderSchema, { ...provider, ...more } as never) } })
  assert.equal(of({}), 'taken')
  assert.match(of({ issuer: '' }), /issuer: is needed/)
  assert.match(of({ requireExpiration: false }), /require_expiration: only true/)
  assert.match(of({ fromParams: [] }), /from_headers, from_params or from_cookies is needed/)
  assert.match(of({ payloadInMetadata: 'else' }), /payload_in_metadata/)
  assert.match(of({ forwardPayloadHeader: 'x-payload' }), /forward_payload_header/)
  assert.equal(of({ clearRouteCache: true }), 'taken')
  assert.match(of({ jwksSourceSpecifier: { case: undefined } }), /local_jwks or remote_jwks is needed/)
  const keys = (value: string) => ({ jwksSourceSpecifier: { case: 'localJwks', value: { specifier: { case: 'inlineString', value } } } })
  assert.match(of(keys('{}')), /local_jwks: it is no key set/)
  assert.match(of(keys('{"keys":[{"kty":"EC","crv":"P-256","x":"x","y":"y","d":"d"}]}')), /private key/)
  assert.match(refused({ providers: {} }), /there is no provider "p"/)
  assert.match(refused({ providers: { p: create(JwtProviderSchema, provider) }, bypassCorsPreflight: true }), /bypass_cors_preflight/)
  const map = (requiresType: object) =>
    ({
      providers: { p: create(JwtProviderSchema, provider), q: create(JwtProviderSchema, provider) },
      requirementMap: { r: { requiresType } },
    }) as Asked
  assert.match(refused(map({ case: 'allowMissingOrFailed', value: {} })), /allowMissingOrFailed is not carried out/)
  const both = ['p', 'q'].map(value => ({ requiresType: { case: 'providerName', value } }))
  assert.match(refused(map({ case: 'requiresAny', value: { requirements: both } })), /two providers have the issuer/)
  assert.match(refused(map({ case: 'requiresAll', value: { requirements: both } })), /requiresAll is not carried out/)
})
