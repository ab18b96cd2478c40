/**
 * What an Envoy is started with so that it is the proxy of a workload: who it is, where its configuration, its certificates and the orders for
 * probing its program come from. Everything else it is told by the control plane, in the same messages as Weft's own proxies.
 */

import { type JsonObject, toJson } from '@bufbuild/protobuf'
import type { ProxyNode } from '#model/workload'
import { NodeSchema } from './gen/envoy/config/core/v3/base_pb.ts'
import { nodeOf } from './node.ts'
import { agentCluster, ownSecret, rootSecret } from './types.ts'

export type BootstrapOptions = {
  readonly node: ProxyNode
  /** The port of the control plane for proxies, and the SPIFFE id that it must prove. */
  readonly control: { readonly host: string; readonly port: number; readonly identity: string }
  /** The socket at which the agent beside it serves secrets. */
  readonly secrets: string
  readonly admin: { readonly host: string; readonly port: number }
}

/** The greatest that Envoy can be told. */
const mostSteps = 2 ** 32 - 1
const controlCluster = 'weft-control'
const type = (name: string) => ({ '@type': `type.googleapis.com/envoy.${name}` })
const toCluster = (name: string): JsonObject => ({
  api_type: 'GRPC',
  transport_api_version: 'V3',
  grpc_services: [{ envoy_grpc: { cluster_name: name } }],
})
const secret = (name: string): JsonObject => ({
  name,
  sds_config: { resource_api_version: 'V3', api_config_source: toCluster(agentCluster) },
})
const at = (name: string, address: JsonObject): JsonObject => ({
  cluster_name: name,
  endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
})
const http2 = (keepAlive: boolean): JsonObject => ({
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    ...type('extensions.upstreams.http.v3.HttpProtocolOptions'),
    explicit_http_config: {
      http2_protocol_options: keepAlive ? { connection_keepalive: { interval: '20s', timeout: '10s' } } : {},
    },
  },
})

/** As `envoy -c` reads it. Without secrets: those come over the socket. */
export function envoyBootstrap({ node, control, secrets, admin }: BootstrapOptions): JsonObject {
  const { userAgentName: _, userAgentVersion: _version, ...said } = toJson(NodeSchema, nodeOf(node)) as JsonObject
  return {
    node: said,
    admin: { address: { socket_address: { address: admin.host, port_value: admin.port } } },
    dynamic_resources: {
      ads_config: { ...toCluster(controlCluster), api_type: 'DELTA_GRPC', set_node_on_first_message_only: true },
      cds_config: { resource_api_version: 'V3', ads: {} },
      lds_config: { resource_api_version: 'V3', ads: {} },
    },
    hds_config: toCluster(controlCluster),
    static_resources: {
      clusters: [
        {
          name: controlCluster,
          type: /^[\d.]+$|:/.test(control.host) ? 'STATIC' : 'STRICT_DNS',
          connect_timeout: '5s',
          load_assignment: at(controlCluster, { socket_address: { address: control.host, port_value: control.port } }),
          typed_extension_protocol_options: http2(true),
          transport_socket: {
            name: 'envoy.transport_sockets.tls',
            typed_config: {
              ...type('extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
              common_tls_context: {
                tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
                alpn_protocols: ['h2'],
                tls_certificate_sds_secret_configs: [secret(ownSecret)],
                combined_validation_context: {
                  default_validation_context: {
                    match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: control.identity } }],
                  },
                  validation_context_sds_secret_config: secret(rootSecret),
                },
              },
            },
          },
        },
        {
          name: agentCluster,
          type: 'STATIC',
          connect_timeout: '1s',
          load_assignment: at(agentCluster, { pipe: { path: secrets } }),
          typed_extension_protocol_options: http2(false),
        },
      ],
    },
    // Expressions are judged when documents are read; Envoy would refuse those that compile to more than a hundred steps: a list of values, a long host.
    layered_runtime: {
      layers: [
        { name: 'weft', static_layer: { 're2.max_program_size.error_level': mostSteps, 're2.max_program_size.warn_level': mostSteps } },
      ],
    },
    // What a proxy may hold at once; without it Envoy warns that it has no limit.
    overload_manager: {
      resource_monitors: [
        {
          name: 'envoy.resource_monitors.global_downstream_max_connections',
          typed_config: {
            ...type('extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig'),
            max_active_downstream_connections: '50000',
          },
        },
      ],
    },
  }
}
