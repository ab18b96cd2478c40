/** Certificates as files name them, turned into the secrets that the proxy knows: one certificate and one set of roots for the whole proxy. */

import { create } from '@bufbuild/protobuf'
import type { DataSource, TransportSocket } from '../gen/envoy/config/core/v3/base_pb.ts'
import {
  type CertificateValidationContext,
  CertificateValidationContextSchema,
  type TlsCertificate,
  TlsCertificateSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { SdsSecretConfigSchema, type Secret, SecretSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import {
  type CommonTlsContext,
  CommonTlsContext_CombinedCertificateValidationContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import { SPIFFECertValidatorConfigSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.ts'
import { carries, refuse, typeName, unpack } from '../decode/carried.ts'
import { typed, fromAds } from '../encode/source.ts'
import { ownSecret, rootSecret } from '../types.ts'

/** PEM in a file or in the resource itself. */
export type Source = { readonly file: string } | { readonly text: string }
export type OwnSource = { readonly cert: Source; readonly key: Source }
/** domain: the trust domain that peers must be of, where the file says one. */
export type RootSource = { readonly roots: Source; readonly domain?: string }

const checkOwn = carries(TlsCertificateSchema, ['certificate_chain', 'private_key'])
const checkValidation = carries(CertificateValidationContextSchema, [
  'trusted_ca',
  'match_typed_subject_alt_names',
  'custom_validator_config',
])
const checkSecret = carries(SecretSchema, ['name', 'tls_certificate', 'validation_context'])
const checkRoots = carries(CertificateValidationContextSchema, ['trusted_ca', 'custom_validator_config'])

/** What the contexts and secrets of one file name; a second that names another is refused. */
export class NamedTls {
  own: OwnSource | undefined
  roots: RootSource | undefined
  /** Some context needs a certificate, named here or not. */
  isNeeded = false

  claimOwn(found: OwnSource, where: string): void {
    if (this.own !== undefined && JSON.stringify(this.own) !== JSON.stringify(found))
      refuse(where, 'another certificate than elsewhere in this file: one for the whole proxy is carried out')
    this.own = found
  }

  claimRoots(found: RootSource, where: string): void {
    if (this.roots !== undefined && JSON.stringify(this.roots) !== JSON.stringify(found))
      refuse(where, 'other roots than elsewhere in this file: one set for the whole proxy is carried out')
    this.roots = found
  }
}

/** The secrets `default` and `ROOTCA`, which contexts name by SDS. */
export function takeSecret(secret: Secret, tls: NamedTls): void {
  checkSecret(secret, '')
  if (secret.name === ownSecret && secret.type.case === 'tlsCertificate')
    return tls.claimOwn(ownOf(secret.type.value, 'tls_certificate'), 'tls_certificate')
  if (secret.name === rootSecret && secret.type.case === 'validationContext') {
    checkRoots(secret.type.value, 'validation_context')
    return tls.claimRoots(rootsOf(secret.type.value, 'validation_context'), 'validation_context')
  }
  return refuse('name', `only "${ownSecret}" with a tls_certificate and "${rootSecret}" with a validation_context are carried out`)
}

/** The same context with secrets by name in place of files. alpn: what an upstream context that names none offers. */
export function withSecrets(
  socket: TransportSocket | undefined,
  where: string,
  tls: NamedTls,
  alpn: readonly string[],
): TransportSocket | undefined {
  const any = socket?.configType.value
  if (socket === undefined || any === undefined) return socket
  const isUpstream = typeName(any) === UpstreamTlsContextSchema.typeName
  if (!isUpstream && typeName(any) !== DownstreamTlsContextSchema.typeName) return socket
  tls.isNeeded = true
  const schema = isUpstream ? UpstreamTlsContextSchema : DownstreamTlsContextSchema
  const context = unpack(any, schema, where)
  if (context.commonTlsContext === undefined) return socket
  const common = named(context.commonTlsContext, `${where}.common_tls_context`, tls)
  const offered = isUpstream && common.alpnProtocols.length === 0 ? { ...common, alpnProtocols: [...alpn] } : common
  return { ...socket, configType: typed(schema, { ...context, commonTlsContext: offered } as never) }
}

function named(context: CommonTlsContext, where: string, tls: NamedTls): CommonTlsContext {
  const [own, ...others] = context.tlsCertificates
  if (others.length > 0) refuse(`${where}.tls_certificates`, 'exactly one is carried out')
  if (own !== undefined) tls.claimOwn(ownOf(own, `${where}.tls_certificates[0]`), `${where}.tls_certificates[0]`)
  const secrets = context.tlsCertificateSdsSecretConfigs
  const isInline = context.validationContextType.case === 'validationContext'
  return {
    ...context,
    tlsCertificates: [],
    tlsCertificateSdsSecretConfigs: secrets.length > 0 ? secrets : [byName(ownSecret)],
    validationContextType:
      context.validationContextType.case === undefined || isInline
        ? validation(
            isInline ? (context.validationContextType.value as CertificateValidationContext) : undefined,
            `${where}.validation_context`,
            tls,
          )
        : context.validationContextType,
  } as CommonTlsContext
}

function validation(context: CertificateValidationContext | undefined, where: string, tls: NamedTls) {
  const names = create(CertificateValidationContextSchema, {})
  if (context !== undefined) {
    checkValidation(context, where)
    names.matchTypedSubjectAltNames = context.matchTypedSubjectAltNames
    if (context.trustedCa !== undefined || context.customValidatorConfig !== undefined) tls.claimRoots(rootsOf(context, where), where)
  }
  return {
    case: 'combinedValidationContext',
    value: create(CommonTlsContext_CombinedCertificateValidationContextSchema, {
      defaultValidationContext: names,
      validationContextSdsSecretConfig: byName(rootSecret),
    }),
  }
}

const byName = (name: string) => create(SdsSecretConfigSchema, { name, sdsConfig: fromAds })

function ownOf(certificate: TlsCertificate, where: string): OwnSource {
  checkOwn(certificate, where)
  return {
    cert: sourceOf(certificate.certificateChain, `${where}.certificate_chain`),
    key: sourceOf(certificate.privateKey, `${where}.private_key`),
  }
}

function rootsOf(context: CertificateValidationContext, where: string): RootSource {
  if (context.customValidatorConfig === undefined) return { roots: sourceOf(context.trustedCa, `${where}.trusted_ca`) }
  const at = `${where}.custom_validator_config`
  const { trustDomains } = unpack(context.customValidatorConfig.typedConfig, SPIFFECertValidatorConfigSchema, at)
  const [domain, ...others] = trustDomains
  if (domain === undefined || others.length > 0) refuse(at, 'exactly one trust domain is carried out')
  return { roots: sourceOf(domain.trustBundle, `${at}.trust_domains[0].trust_bundle`), domain: domain.name }
}

function sourceOf(source: DataSource | undefined, where: string): Source {
  const specifier = source?.specifier
  if (specifier?.case === 'filename') return { file: specifier.value }
  if (specifier?.case === 'inlineString') return { text: specifier.value }
  if (specifier?.case === 'inlineBytes') return { text: new TextDecoder().decode(specifier.value) }
  return refuse(where, 'filename or inline text is needed')
}
