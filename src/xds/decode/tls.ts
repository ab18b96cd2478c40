/** TLS contexts that mean what Weft's proxies do: TLS 1.3, own certificate, roots of the mesh, peers by SPIFFE id. Anything else is refused. */

import type { TlsProfile } from '#model/tls'
import type { View } from '#model/view'
import type { TransportSocket } from '../gen/envoy/config/core/v3/base_pb.ts'
import {
  type CertificateValidationContext,
  CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { ProxyProtocolConfig_Version, ProxyProtocolConfigSchema } from '../gen/envoy/config/core/v3/proxy_protocol_pb.ts'
import { ProxyProtocolUpstreamTransportSchema } from '../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts'
import { type Secret, SecretSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import {
  CommonTlsContext_CombinedCertificateValidationContextSchema,
  type CommonTlsContext,
  CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import { SPIFFECertValidatorConfigSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.ts'
import { ownSecret, rootSecret } from '../types.ts'
import { carries, mustBeAds, refuse, textOf, typeName, unpack } from './carried.ts'
import { profileOf } from './terms.ts'

const checkCommon = carries(CommonTlsContextSchema, [
  'tls_params',
  'tls_certificate_sds_secret_configs',
  'validation_context_sds_secret_config',
  'combined_validation_context',
  'alpn_protocols',
])
const checkCombined = carries(CommonTlsContext_CombinedCertificateValidationContextSchema, [
  'default_validation_context',
  'validation_context_sds_secret_config',
])
const checkNames = carries(CertificateValidationContextSchema, ['match_typed_subject_alt_names'])
const checkRoots = carries(CertificateValidationContextSchema, ['trusted_ca', 'custom_validator_config'])
const checkUp = carries(UpstreamTlsContextSchema, ['common_tls_context', 'sni'])
const checkDown = carries(DownstreamTlsContextSchema, ['common_tls_context', 'require_client_certificate'])
const checkHeader = carries(ProxyProtocolUpstreamTransportSchema, ['config', 'transport_socket'])
const checkVersion = carries(ProxyProtocolConfigSchema, ['version'])
const checkSecret = carries(SecretSchema, ['name', 'validation_context'])

/** What an upstream context demands of the peer. */
export type UpstreamTls = {
  readonly identities: readonly string[]
  readonly alpn: readonly string[]
  readonly serverName: string
  readonly profile: TlsProfile
}

/** Undefined for plaintext. */
export function upstreamOf(socket: TransportSocket | undefined, where: string): UpstreamTls | undefined {
  if (isPlaintext(socket) || headerOf(socket, where) !== undefined) return undefined
  const context = unpack(socket?.configType.value, UpstreamTlsContextSchema, where)
  checkUp(context, where)
  const { names, alpn, profile } = readCommon(context.commonTlsContext, where)
  const identities = names.map(({ sanType, matcher }, index) => {
    const at = `${where}.match_typed_subject_alt_names[${index}]`
    if (sanType !== SubjectAltNameMatcher_SanType.URI || matcher?.matchPattern.case !== 'exact' || matcher.ignoreCase)
      refuse(at, 'only exact URIs are carried out')
    return matcher.matchPattern.value
  })
  if (identities.length === 0) refuse(where, 'the identities that the peer may prove are missing')
  return { identities, alpn, serverName: context.sni, profile }
}

/** The PROXY header that goes in front of plaintext; undefined for none, and for TLS. */
export function headerOf(socket: TransportSocket | undefined, where: string): 'v1' | 'v2' | undefined {
  if (typeName(socket?.configType.value) !== ProxyProtocolUpstreamTransportSchema.typeName) return undefined
  const transport = unpack(socket?.configType.value, ProxyProtocolUpstreamTransportSchema, where)
  checkHeader(transport, where)
  if (!isPlaintext(transport.transportSocket))
    refuse(`${where}.transport_socket`, 'a PROXY header is carried out in front of plaintext only')
  if (transport.config !== undefined) checkVersion(transport.config, `${where}.config`)
  return transport.config?.version === ProxyProtocolConfig_Version.V2 ? 'v2' : 'v1'
}

/** Of a chain that is mutual TLS, what is agreed on. */
export function checkDownstream(socket: TransportSocket | undefined, where: string): TlsProfile | undefined {
  if (isPlaintext(socket)) return undefined
  const context = unpack(socket?.configType.value, DownstreamTlsContextSchema, where)
  checkDown(context, where)
  if (context.requireClientCertificate !== true) refuse(`${where}.require_client_certificate`, 'must be true')
  const { names, alpn, profile } = readCommon(context.commonTlsContext, where)
  if (names.length > 0) refuse(where, 'subject names of callers are not carried out here')
  for (const name of alpn)
    if (name !== 'h2' && name !== 'http/1.1') refuse(`${where}.alpn_protocols`, `"${name}" is not carried out by this proxy`)
  return profile
}

export const isPlaintext = (socket: TransportSocket | undefined): boolean =>
  socket === undefined || typeName(socket.configType.value) === 'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer'

function readCommon(
  context: CommonTlsContext | undefined,
  where: string,
): { names: CertificateValidationContext['matchTypedSubjectAltNames']; alpn: readonly string[]; profile: TlsProfile } {
  if (context === undefined) refuse(where, 'common_tls_context is missing')
  checkCommon(context, where)
  const profile = profileOf(context.tlsParams, `${where}.tls_params`, true)
  const [own, ...others] = context.tlsCertificateSdsSecretConfigs
  if (own?.name !== ownSecret || others.length > 0)
    refuse(`${where}.tls_certificate_sds_secret_configs`, `only the own certificate, "${ownSecret}", is carried out`)
  const validation = context.validationContextType
  if (validation.case === undefined) refuse(where, 'a validation context is missing: the peer must be proved')
  const combined = validation.case === 'combinedValidationContext' ? validation.value : undefined
  if (combined !== undefined) checkCombined(combined, `${where}.combined_validation_context`)
  const roots = validation.case === 'validationContextSdsSecretConfig' ? validation.value : combined?.validationContextSdsSecretConfig
  if (roots?.name !== rootSecret) refuse(where, `peers are validated by the secret "${rootSecret}" only`)
  mustBeAds(roots.sdsConfig, `${where}.sds_config of ${rootSecret}`)
  const names = combined?.defaultValidationContext
  if (names !== undefined) checkNames(names, `${where}.default_validation_context`)
  return { names: names?.matchTypedSubjectAltNames ?? [], alpn: context.alpnProtocols, profile }
}

export function decodeTrust(message: Secret): View['trust'] {
  if (message.name !== rootSecret) refuse('name', `only "${rootSecret}" is taken from the control plane`)
  checkSecret(message, '')
  if (message.type.case !== 'validationContext') refuse('', 'must be a validation context')
  const context = message.type.value
  checkRoots(context, 'validation_context')
  if (context.customValidatorConfig === undefined)
    return { domain: '', roots: rootsIn(textOf(context.trustedCa, 'trusted_ca'), 'trusted_ca') }
  const where = 'custom_validator_config'
  const validator = unpack(context.customValidatorConfig.typedConfig, SPIFFECertValidatorConfigSchema, where)
  const [own, ...others] = validator.trustDomains.map(({ name, trustBundle }) => ({
    name,
    roots: rootsIn(textOf(trustBundle, where), `${where}: ${name}`),
  }))
  if (own === undefined) return refuse(where, 'a trust domain is missing')
  // The first is that of the mesh itself.
  const federated = Object.fromEntries(others.map(({ name, roots }) => [name, roots]))
  return { domain: own.name, roots: own.roots, ...(others.length === 0 ? {} : { federated }) }
}

function rootsIn(pem: string, where: string): readonly string[] {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []
  return found.length > 0 ? found.map(root => `${root}\n`) : refuse(where, 'holds no certificate')
}
