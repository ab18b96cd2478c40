/** TLS contexts of both ends of a mesh connection, and the secret that says whom to trust. TLS 1.3 only; certificates by SDS name. */

import { create } from '@bufbuild/protobuf'
import { meshTermsOf, type TlsProfile } from '#model/tls'
import type { Trust } from '#model/trust'
import { DataSourceSchema, type TransportSocket, TransportSocketSchema } from '../gen/envoy/config/core/v3/base_pb.ts'
import { ApiConfigSource_ApiType, ApiVersion, ConfigSourceSchema } from '../gen/envoy/config/core/v3/config_source_pb.ts'
import {
  type CertificateValidationContext,
  CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { ProxyProtocolConfig_Version } from '../gen/envoy/config/core/v3/proxy_protocol_pb.ts'
import { ProxyProtocolUpstreamTransportSchema } from '../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts'
import { RawBufferSchema } from '../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts'
import { type Secret, SecretSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { SPIFFECertValidatorConfigSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.ts'
import {
  type CommonTlsContext,
  CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import { agentCluster, ownSecret, rootSecret } from '../types.ts'
import { fromAds, typed } from './source.ts'
import { encodeTerms } from './terms.ts'

const fromAgent = create(ConfigSourceSchema, {
  configSourceSpecifier: {
    case: 'apiConfigSource',
    value: {
      apiType: ApiConfigSource_ApiType.GRPC,
      transportApiVersion: ApiVersion.V3,
      grpcServices: [{ targetSpecifier: { case: 'envoyGrpc', value: { clusterName: agentCluster } } }],
    },
  },
  resourceApiVersion: ApiVersion.V3,
})

function common(alpn: readonly string[], accepted: CertificateValidationContext, profile: TlsProfile): CommonTlsContext {
  return create(CommonTlsContextSchema, {
    tlsParams: encodeTerms(meshTermsOf[profile]),
    tlsCertificateSdsSecretConfigs: [{ name: ownSecret, sdsConfig: fromAgent }],
    validationContextType: {
      case: 'combinedValidationContext',
      value: { defaultValidationContext: accepted, validationContextSdsSecretConfig: { name: rootSecret, sdsConfig: fromAds } },
    },
    alpnProtocols: [...alpn],
  })
}

/** The peer must prove one of the identities. */
export function upstreamTls(
  identities: readonly string[],
  alpn: readonly string[],
  serverName: string,
  profile: TlsProfile = 'modern',
): TransportSocket {
  const accepted = create(CertificateValidationContextSchema, {
    matchTypedSubjectAltNames: identities.map(identity => ({
      sanType: SubjectAltNameMatcher_SanType.URI,
      matcher: { matchPattern: { case: 'exact' as const, value: identity } },
    })),
  })
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: typed(
      UpstreamTlsContextSchema,
      create(UpstreamTlsContextSchema, { commonTlsContext: common(alpn, accepted, profile), sni: serverName }),
    ),
  })
}

/** Any identity of the mesh; who may do what is decided by policy. */
export function downstreamTls(alpn: readonly string[], profile: TlsProfile = 'modern'): TransportSocket {
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: typed(
      DownstreamTlsContextSchema,
      create(DownstreamTlsContextSchema, {
        commonTlsContext: common(alpn, create(CertificateValidationContextSchema), profile),
        requireClientCertificate: true,
      }),
    ),
  })
}

export const plaintext: TransportSocket = create(TransportSocketSchema, {
  name: 'envoy.transport_sockets.raw_buffer',
  configType: typed(RawBufferSchema, create(RawBufferSchema)),
})

/** Plaintext behind a PROXY header. */
export const announced = (version: 'v1' | 'v2'): TransportSocket =>
  create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.upstream_proxy_protocol',
    configType: typed(
      ProxyProtocolUpstreamTransportSchema,
      create(ProxyProtocolUpstreamTransportSchema, {
        config: { version: version === 'v1' ? ProxyProtocolConfig_Version.V1 : ProxyProtocolConfig_Version.V2 },
        transportSocket: plaintext,
      }),
    ),
  })

/**
 * With a trust domain Envoy's SPIFFE validator, which believes each root for identities of its domain only. The domain is not a SAN matcher: those of a secret
 * are merged with those of the context that refers to it, where any one suffices, and would let the whole domain pass for one service. That validator
 * reads revocation lists from the bundle itself, and then demands one of every authority of a chain, up to the root.
 */
export function encodeTrust({ domain, roots, federated = {}, crls = [], areWhole }: Trust): Secret {
  const bundle = inline(areWhole === true ? [...roots, ...crls] : roots)
  const trustDomains = [
    { name: domain, trustBundle: bundle },
    ...Object.entries(federated).map(([name, of]) => ({ name, trustBundle: inline(of) })),
  ]
  const validator = create(SPIFFECertValidatorConfigSchema, { trustDomains })
  return create(SecretSchema, {
    name: rootSecret,
    type: {
      case: 'validationContext',
      value:
        domain === ''
          ? { trustedCa: bundle }
          : {
              customValidatorConfig: {
                name: 'envoy.tls.cert_validator.spiffe',
                typedConfig: typed(SPIFFECertValidatorConfigSchema, validator).value,
              },
            },
    },
  })
}

const inline = (pem: readonly string[]) =>
  create(DataSourceSchema, { specifier: { case: 'inlineString', value: pem.map(one => `${one.trim()}\n`).join('') } })
