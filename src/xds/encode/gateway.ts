/** A listener for callers outside the mesh → Envoy's: plaintext by one chain, TLS by one chain for each set of server names, with its certificates where it ends there. */

import { create } from '@bufbuild/protobuf'
import type { Listener, Terminated } from '#model/listener'
import { termsOf } from '#model/tls'
import { TrafficDirection, type TransportSocket, TransportSocketSchema } from '../gen/envoy/config/core/v3/base_pb.ts'
import {
  type Filter,
  FilterChainMatchSchema,
  FilterChainSchema,
  type ListenerFilter,
} from '../gen/envoy/config/listener/v3/listener_components_pb.ts'
import { type Listener as EnvoyListener, ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.ts'
import {
  CertificateValidationContext_TrustChainVerification as Trust,
  CertificateValidationContextSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { CommonTlsContextSchema, DownstreamTlsContextSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import { duration, labels, typed } from './source.ts'
import { telemetryLabels } from './telemetry.ts'
import { encodeTerms } from './terms.ts'
import { tokenLabels } from './tokens.ts'

type ChainEnd = Partial<Filter> & Pick<Filter, 'name'>

/** httpFilter: the filter that goes by a route table; tcpFilter: the one that looks into nothing. */
export function encodeGateway(
  listener: Listener,
  tlsInspector: ListenerFilter,
  httpFilter: (routes: string) => ChainEnd,
  tcpFilter: (end: Pick<Terminated, 'backends' | 'hash'>) => ChainEnd,
): EnvoyListener {
  const { name, host, port, protocol, service, routes, terminates, tokens } = listener
  return create(ListenerSchema, {
    name,
    address: { address: { case: 'socketAddress', value: { address: host, portSpecifier: { case: 'portValue', value: port } } } },
    trafficDirection: TrafficDirection.INBOUND,
    filterChains:
      terminates === undefined
        ? [create(FilterChainSchema, { name: 'raw_buffer/http', filters: [httpFilter(routes ?? '') as Filter] })]
        : terminates.map(each =>
            create(FilterChainSchema, {
              name: each.names[0] ?? 'other names',
              // Without it a caller in plaintext would meet the chain of all names.
              filterChainMatch: create(FilterChainMatchSchema, { transportProtocol: 'tls', serverNames: [...each.names] }),
              ...(each.certificates.length === 0 ? {} : { transportSocket: edgeTls(each) }),
              filters: [(each.routes === undefined ? tcpFilter(each) : httpFilter(each.routes)) as Filter],
            }),
          ),
    ...(terminates === undefined ? {} : { listenerFilters: [tlsInspector], listenerFiltersTimeout: duration(10_000) }),
    metadata: labels({ service, protocol, direction: 'gateway', ...tokenLabels(tokens), ...telemetryLabels(listener) }),
  })
}

const edgeTls = ({ certificates, callers, routes, profile = 'modern' }: Terminated): TransportSocket =>
  create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: typed(
      DownstreamTlsContextSchema,
      create(DownstreamTlsContextSchema, {
        commonTlsContext: create(CommonTlsContextSchema, {
          tlsParams: encodeTerms(termsOf[profile]),
          tlsCertificates: certificates.map(({ cert, key }) => ({
            certificateChain: { specifier: { case: 'inlineString' as const, value: cert } },
            privateKey: { specifier: { case: 'inlineString' as const, value: key } },
          })),
          alpnProtocols: routes === undefined ? [] : ['h2', 'http/1.1'],
          ...(callers === undefined
            ? {}
            : {
                validationContextType: {
                  case: 'validationContext' as const,
                  value: create(CertificateValidationContextSchema, {
                    trustedCa: { specifier: { case: 'inlineString', value: callers.roots.join('') } },
                    trustChainVerification: callers.isRequired ? Trust.VERIFY_TRUST_CHAIN : Trust.ACCEPT_UNTRUSTED,
                  }),
                },
              }),
        }),
        requireClientCertificate: callers?.isRequired ?? false,
      }),
    ),
  })
