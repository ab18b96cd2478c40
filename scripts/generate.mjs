// Generates the protobuf code of src/xds/gen from the .proto files that npm's @grpc/grpc-js-xds ships, plus ours in proto/.
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const bin = join(root, 'node_modules', '.bin')
const deps = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds/package.json')), 'deps')
const target = join(root, 'src', 'xds', 'gen')

/** Trees and files that need protos which no npm package carries, and that a mesh does not use. */
const leftOut =
  /(^|\/)v2(alpha\d*)?(\/|$)|google\/api\/(servicecontrol|servicemanagement|expr\/v1beta1)|config\/trace\/v3\/opencensus\.proto|service\/trace\/v3|\/v1alpha\d?\/|validate\/.*(java|tests)/

/**
 * What the code names, and with it all that these refer to; loading every message of Envoy would cost each proxy 100 ms and 40 MB.
 * A field of another extension is still seen when it comes: its type URL is refused by name.
 */
const roots = [
  'envoy.config.cluster.v3.Cluster',
  'envoy.config.trace.v3.OpenTelemetryConfig',
  'envoy.extensions.access_loggers.file.v3.FileAccessLog',
  'envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter',
  'envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig',
  'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog',
  'envoy.config.route.v3.FilterConfig',
  'envoy.config.endpoint.v3.ClusterLoadAssignment',
  'envoy.config.listener.v3.Listener',
  'envoy.config.route.v3.RouteConfiguration',
  'envoy.extensions.clusters.aggregate.v3.ClusterConfig',
  'envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency',
  'envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig',
  'envoy.extensions.compression.brotli.compressor.v3.Brotli',
  'envoy.extensions.compression.gzip.compressor.v3.Gzip',
  'envoy.extensions.compression.zstd.compressor.v3.Zstd',
  'envoy.extensions.filters.http.buffer.v3.Buffer',
  'envoy.extensions.filters.http.buffer.v3.BufferPerRoute',
  'envoy.extensions.filters.http.compressor.v3.Compressor',
  'envoy.extensions.filters.http.compressor.v3.CompressorPerRoute',
  'envoy.extensions.filters.http.cors.v3.Cors',
  'envoy.extensions.filters.http.cors.v3.CorsPolicy',
  'envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig',
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz',
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
  'envoy.extensions.filters.http.fault.v3.HTTPFault',
  'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication',
  'envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig',
  'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit',
  'envoy.extensions.filters.http.ratelimit.v3.RateLimit',
  'envoy.extensions.filters.http.rbac.v3.RBAC',
  'envoy.extensions.filters.http.rbac.v3.RBACPerRoute',
  'envoy.extensions.filters.http.router.v3.Router',
  'envoy.extensions.filters.http.stateful_session.v3.StatefulSession',
  'envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute',
  'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector',
  'envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol',
  'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector',
  'envoy.extensions.filters.network.ext_authz.v3.ExtAuthz',
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
  'envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit',
  'envoy.extensions.filters.network.rbac.v3.RBAC',
  'envoy.extensions.filters.network.set_filter_state.v3.Config',
  'envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig',
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
  'envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig',
  'envoy.extensions.filters.udp.udp_proxy.session.http_capsule.v3.FilterConfig',
  'envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig',
  'envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState',
  'envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState',
  'envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest',
  'envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor',
  'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
  'envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport',
  'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer',
  'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
  'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig',
  'envoy.extensions.transport_sockets.tls.v3.Secret',
  'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
  'envoy.service.auth.v3.CheckRequest',
  'envoy.service.auth.v3.CheckResponse',
  'envoy.service.discovery.v3.DeltaDiscoveryRequest',
  'envoy.service.discovery.v3.DeltaDiscoveryResponse',
  'envoy.service.discovery.v3.DiscoveryRequest',
  'envoy.service.discovery.v3.DiscoveryResponse',
  'envoy.service.health.v3.HealthCheckRequestOrEndpointHealthResponse',
  'envoy.service.health.v3.HealthCheckSpecifier',
  'envoy.service.metrics.v3.StreamMetricsMessage',
  'envoy.service.metrics.v3.StreamMetricsResponse',
  'envoy.service.ratelimit.v3.RateLimitRequest',
  'envoy.service.ratelimit.v3.RateLimitResponse',
  'istio.v1.auth.IstioCertificateRequest',
  'istio.v1.auth.IstioCertificateResponse',
  'xds.type.v3.TypedStruct',
  'JWTBundlesRequest',
  'JWTBundlesResponse',
  'JWTSVIDRequest',
  'JWTSVIDResponse',
  'ValidateJWTSVIDRequest',
  'ValidateJWTSVIDResponse',
  'X509BundlesRequest',
  'X509BundlesResponse',
  'X509SVIDRequest',
  'X509SVIDResponse',
]

/** Options that only generators of other languages read; they are most of the descriptors' size. */
const annotations = [
  'validate.rules',
  'validate.disabled',
  'validate.required',
  'udpa.annotations.versioning',
  'udpa.annotations.message_migrate',
  'udpa.annotations.field_migrate',
  'udpa.annotations.enum_migrate',
  'udpa.annotations.enum_value_migrate',
  'udpa.annotations.file_migrate',
  'udpa.annotations.file_status',
  'udpa.annotations.security',
  'udpa.annotations.sensitive',
  'envoy.annotations.disallowed_by_default',
  'envoy.annotations.deprecated_at_minor_version',
  'envoy.annotations.disallowed_by_default_enum',
  'envoy.annotations.deprecated_at_minor_version_enum',
  'xds.annotations.v3.file_status',
  'xds.annotations.v3.message_status',
  'xds.annotations.v3.field_status',
]

const work = mkdtempSync(join(tmpdir(), 'weft-protos-'))
try {
  const take = (from, to = '') => cpSync(from, join(work, to), { recursive: true, filter: path => !leftOut.test(path.slice(from.length)) })
  take(join(deps, 'envoy-api', 'envoy'), 'envoy')
  take(join(deps, 'xds', 'xds'), 'xds')
  take(join(deps, 'xds', 'udpa'), 'udpa')
  take(join(deps, 'protoc-gen-validate', 'validate'), 'validate')
  for (const name of ['annotations', 'http', 'field_behavior', 'resource', 'client', 'launch_stage', 'httpbody']) {
    const file = join(deps, 'googleapis', 'google', 'api', `${name}.proto`)
    if (existsSync(file)) cpSync(file, join(work, 'google', 'api', `${name}.proto`))
  }
  take(join(deps, 'googleapis', 'google', 'rpc'), 'google/rpc')
  take(join(deps, 'googleapis', 'google', 'api', 'expr', 'v1alpha1'), 'google/api/expr/v1alpha1')
  take(join(root, 'proto'))
  edit('envoy/config/trace/v3/trace.proto', text => text.replace(/^import public .*opencensus\.proto";\r?\n/m, ''))
  edit('validate/validate.proto', text => text.replace(/optional bool strict = 25 [^\n]*\n/, '$&  optional bool ignore_empty = 26;\n'))
  writeFileSync(join(work, 'buf.yaml'), 'version: v2\n')
  const list = names => names.map(name => `      - ${name}`)
  writeFileSync(
    join(work, 'buf.gen.yaml'),
    [
      'version: v2',
      'inputs:',
      '  - directory: .',
      '    types:',
      ...list(roots),
      '    exclude_types:',
      ...list(annotations),
      'plugins:',
      '  - local: protoc-gen-es',
      '    out: gen',
      '    strategy: all',
      '    opt: [target=ts, import_extension=ts, erasable_syntax=true]',
      '',
    ].join('\n'),
  )
  execFileSync(join(bin, 'buf'), ['generate'], {
    cwd: work,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PATH: bin + delimiter + process.env.PATH },
  })
  const fresh = `${target}.new`
  rmSync(fresh, { recursive: true, force: true })
  cpSync(join(work, 'gen'), fresh, { recursive: true })
  rmSync(target, { recursive: true, force: true })
  renameSync(fresh, target)
} finally {
  rmSync(work, { recursive: true, force: true })
}

function edit(path, change) {
  const file = join(work, path)
  if (existsSync(file)) writeFileSync(file, change(readFileSync(file, 'utf8')))
}
