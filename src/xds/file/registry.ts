/** The extensions that a file may name by `@type`; any other is refused by that name. */

import { createRegistry } from '@bufbuild/protobuf'
import { StructSchema } from '@bufbuild/protobuf/wkt'
import { ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from '../gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.ts'
import { FilterConfigSchema } from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.ts'
import { OpenTelemetryConfigSchema } from '../gen/envoy/config/trace/v3/opentelemetry_pb.ts'
import { FileAccessLogSchema } from '../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts'
import { ExpressionFilterSchema } from '../gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.ts'
import { StdoutAccessLogSchema } from '../gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts'
import { ClusterConfigSchema as ChainSchema } from '../gen/envoy/extensions/clusters/aggregate/v3/cluster_pb.ts'
import { ClusterConfigSchema as NamesClusterSchema } from '../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts'
import { BrotliSchema } from '../gen/envoy/extensions/compression/brotli/compressor/v3/brotli_pb.ts'
import { GzipSchema } from '../gen/envoy/extensions/compression/gzip/compressor/v3/gzip_pb.ts'
import { ZstdSchema } from '../gen/envoy/extensions/compression/zstd/compressor/v3/zstd_pb.ts'
import { AdaptiveConcurrencySchema } from '../gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.ts'
import { BufferPerRouteSchema, BufferSchema } from '../gen/envoy/extensions/filters/http/buffer/v3/buffer_pb.ts'
import { CompressorPerRouteSchema, CompressorSchema } from '../gen/envoy/extensions/filters/http/compressor/v3/compressor_pb.ts'
import { CorsPolicySchema, CorsSchema } from '../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts'
import { FilterConfigSchema as HttpNamesSchema } from '../gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts'
import { ExtAuthzPerRouteSchema, ExtAuthzSchema } from '../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts'
import { HTTPFaultSchema } from '../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { JwtAuthenticationSchema, PerRouteConfigSchema } from '../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts'
import { LocalRateLimitSchema } from '../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts'
import { RBACPerRouteSchema, RBACSchema as HttpAccessSchema } from '../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'
import { RouterSchema } from '../gen/envoy/extensions/filters/http/router/v3/router_pb.ts'
import { HttpInspectorSchema } from '../gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts'
import { TlsInspectorSchema } from '../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts'
import { ExtAuthzSchema as NetworkAuthzSchema } from '../gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.ts'
import { HttpConnectionManagerSchema } from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { RBACSchema as NetworkAccessSchema } from '../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts'
import { ConfigSchema as StateSchema } from '../gen/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts'
import { FilterConfigSchema as TlsNamesSchema } from '../gen/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts'
import { TcpProxySchema } from '../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'
import { DnsFilterConfigSchema } from '../gen/envoy/extensions/filters/udp/dns_filter/v3/dns_filter_pb.ts'
import { FilterConfigSchema as HttpCapsuleSchema } from '../gen/envoy/extensions/filters/udp/udp_proxy/session/http_capsule/v3/http_capsule_pb.ts'
import { UdpProxyConfigSchema } from '../gen/envoy/extensions/filters/udp/udp_proxy/v3/udp_proxy_pb.ts'
import {
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from '../gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.ts'
import { CookieBasedSessionStateSchema } from '../gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.ts'
import { HeaderBasedSessionStateSchema } from '../gen/envoy/extensions/http/stateful_session/header/v3/header_pb.ts'
import { LeastRequestSchema } from '../gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.ts'
import { PreviousHostsPredicateSchema } from '../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts'
import { RawBufferSchema } from '../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts'
import { SecretSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { DownstreamTlsContextSchema, UpstreamTlsContextSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import { SPIFFECertValidatorConfigSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.ts'
import { HttpProtocolOptionsSchema } from '../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts'
import { TypedStructSchema } from '../gen/xds/type/v3/typed_struct_pb.ts'

/** What stands at the top of a file, by its place in Envoy's `static_resources`. */
export const resourceSchemas = {
  listeners: ListenerSchema,
  clusters: ClusterSchema,
  secrets: SecretSchema,
  routes: RouteConfigurationSchema,
  endpoints: ClusterLoadAssignmentSchema,
} as const

export const registry = createRegistry(
  ...Object.values(resourceSchemas),
  HttpConnectionManagerSchema,
  OpenTelemetryConfigSchema,
  FileAccessLogSchema,
  StdoutAccessLogSchema,
  ExpressionFilterSchema,
  JwtAuthenticationSchema,
  PerRouteConfigSchema,
  TcpProxySchema,
  ChainSchema,
  AdaptiveConcurrencySchema,
  NamesClusterSchema,
  HttpNamesSchema,
  TlsNamesSchema,
  StateSchema,
  RouterSchema,
  HttpAccessSchema,
  RBACPerRouteSchema,
  NetworkAccessSchema,
  ExtAuthzSchema,
  ExtAuthzPerRouteSchema,
  NetworkAuthzSchema,
  BufferSchema,
  BufferPerRouteSchema,
  CompressorSchema,
  CompressorPerRouteSchema,
  GzipSchema,
  BrotliSchema,
  ZstdSchema,
  CorsSchema,
  CorsPolicySchema,
  HTTPFaultSchema,
  LocalRateLimitSchema,
  FilterConfigSchema,
  StructSchema,
  DnsFilterConfigSchema,
  UdpProxyConfigSchema,
  HttpCapsuleSchema,
  StatefulSessionSchema,
  StatefulSessionPerRouteSchema,
  CookieBasedSessionStateSchema,
  HeaderBasedSessionStateSchema,
  LeastRequestSchema,
  TypedStructSchema,
  HttpInspectorSchema,
  TlsInspectorSchema,
  PreviousHostsPredicateSchema,
  RawBufferSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
  SPIFFECertValidatorConfigSchema,
  HttpProtocolOptionsSchema,
)
