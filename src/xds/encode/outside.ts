/** Clusters outside the mesh: by host names, by the name that the caller asks for, by its original destination; and TLS that the proxy itself begins. */

import { create, type MessageInitShape } from '@bufbuild/protobuf'
import type { Backend, Origination } from '#model/backend'
import { termsOf } from '#model/tls'
import { Cluster_DiscoveryType, type ClusterSchema, Cluster_LbPolicy } from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import { DataSourceSchema, type TransportSocket, TransportSocketSchema } from '../gen/envoy/config/core/v3/base_pb.ts'
import { ClusterConfigSchema } from '../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts'
import { SubjectAltNameMatcher_SanType } from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { UpstreamTlsContextSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import { alpnOf } from '../types.ts'
import { namesKept } from './egress.ts'
import { typed } from './source.ts'
import { encodeTerms } from './terms.ts'

export const namedCluster = 'envoy.clusters.dynamic_forward_proxy'

/** Where the roots of a machine are (Debian and its kin). */
export const machineRoots = '/etc/ssl/certs/ca-certificates.crt'

type Place = Pick<MessageInitShape<typeof ClusterSchema>, 'clusterDiscoveryType' | 'lbPolicy' | 'loadAssignment' | 'dnsLookupFamily'>

/** assignment: of type hosts. Several names of one cluster are looked up whole, one as Envoy's LOGICAL_DNS does. */
export function outsidePlace({ type, hosts = [], tls }: Backend, assignment: () => Place['loadAssignment']): Place {
  if (type === 'hosts')
    return {
      clusterDiscoveryType: {
        case: 'type',
        value: hosts.length === 1 ? Cluster_DiscoveryType.LOGICAL_DNS : Cluster_DiscoveryType.STRICT_DNS,
      },
      dnsLookupFamily: namesKept.dnsLookupFamily,
      loadAssignment: assignment(),
    }
  if (type === 'original')
    return {
      clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
      lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    }
  return {
    clusterDiscoveryType: {
      case: 'clusterType',
      value: {
        name: namedCluster,
        typedConfig: typed(
          ClusterConfigSchema,
          create(ClusterConfigSchema, {
            clusterImplementationSpecifier: { case: 'dnsCacheConfig', value: namesKept },
            // Where the proxy begins no TLS there is no name to prove.
            allowInsecureClusterOptions: tls === undefined,
          }),
        ).value,
      },
    },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
  }
}

const inline = (text: string) => create(DataSourceSchema, { specifier: { case: 'inlineString', value: text } })

/** Without a name of its own Envoy takes it from the request (`auto_sni`), as a proxy of Weft does. */
export function originatedTls(
  { serverName, names, roots, certificate, profile = 'compatible' }: Origination,
  protocol: Backend['protocol'],
): TransportSocket {
  const proved = names ?? (serverName === undefined ? [] : [serverName])
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: typed(
      UpstreamTlsContextSchema,
      create(UpstreamTlsContextSchema, {
        sni: serverName ?? '',
        commonTlsContext: {
          tlsParams: encodeTerms(termsOf[profile]),
          ...(certificate === undefined
            ? {}
            : { tlsCertificates: [{ certificateChain: inline(certificate.cert), privateKey: inline(certificate.key) }] }),
          validationContextType: {
            case: 'validationContext',
            value: {
              trustedCa:
                roots === undefined
                  ? create(DataSourceSchema, { specifier: { case: 'filename', value: machineRoots } })
                  : inline(roots.join('')),
              matchTypedSubjectAltNames: proved.map(name => ({
                sanType: name.includes('://') ? SubjectAltNameMatcher_SanType.URI : SubjectAltNameMatcher_SanType.DNS,
                matcher: { matchPattern: { case: 'exact' as const, value: name } },
              })),
            },
          },
          alpnProtocols: [...alpnOf[protocol]],
        },
      }),
    ),
  })
}
