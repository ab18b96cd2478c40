/** What proxies count and how it is named: the one place where metric names, label names and buckets are written down. */

/** Prometheus-shaped, cumulative since the process started. `buckets` ascend; one for +Inf may be left out, `count` says it. Seconds and bytes. */
export type Histogram = {
  readonly count: number
  readonly sum: number
  readonly buckets: readonly { readonly upperBound: number; readonly cumulativeCount: number }[]
}
export type Metric = { readonly labels: Readonly<Record<string, string>>; readonly value?: number; readonly histogram?: Histogram }
export type MetricFamily = { readonly name: string; readonly type: 'counter' | 'gauge' | 'histogram'; readonly metrics: readonly Metric[] }

/** The proxy that pushes. service and namespace are apart here: `orders`, `default`. */
export type MetricSource = {
  readonly service: string
  readonly namespace: string
  readonly identity: string // SPIFFE id
  readonly workload: string // NAME, unique in its namespace
  readonly version: string // of the workload (label `version`), '' where it has none
}

export const metricNames = {
  requests: 'weft_requests_total',
  duration: 'weft_request_duration_seconds',
  bytes: 'weft_bytes_total',
  opened: 'weft_tcp_connections_opened_total',
  closed: 'weft_tcp_connections_closed_total',
  active: 'weft_connections_active',
  refused: 'weft_requests_refused_total',
  handshakes: 'weft_handshakes_refused_total',
  agreed: 'weft_tls_handshakes_total',
  mirrored: 'weft_mirrored_requests_total',
  faults: 'weft_faults_injected_total',
  limited: 'weft_rate_limits_total',
  codedIn: 'weft_coded_bytes_in_total',
  codedOut: 'weft_coded_bytes_out_total',
  access: 'weft_access_decisions_total',
  authorized: 'weft_external_authorizations_total',
  logins: 'weft_logins_total',
  calls: 'weft_calls_total',
  egress: 'weft_egress_decisions_total',
  spans: 'weft_spans_total',
  logLines: 'weft_access_log_lines_total',
  failed: 'weft_connections_failed_total',
  upstreamConnections: 'weft_upstream_connections',
  upstreamStreams: 'weft_upstream_streams',
  upstreamWaiting: 'weft_upstream_waiting',
  retries: 'weft_retries_total',
  ejections: 'weft_ejections_total',
  ejected: 'weft_endpoints_ejected',
  ejectionEnds: 'weft_ejection_end_seconds', // gauge: seconds since the epoch, 0 where it is over
  backendLimit: 'weft_backend_limit',
  backendLimitUsed: 'weft_backend_limit_used',
  concurrencyLimit: 'weft_concurrency_limit',
  concurrencyUsed: 'weft_concurrency_used',
  concurrencyRoundTrip: 'weft_concurrency_least_round_trip_seconds',
  fallbacks: 'weft_fallbacks_total',
  hedges: 'weft_hedges_total',
  checks: 'weft_health_checks_total',
  failing: 'weft_endpoints_failing_checks',
  detections: 'weft_protocol_detections_total',
  arrivals: 'weft_inbound_connections_total',
  arrived: 'weft_inbound_open_connections',
  udpSessions: 'weft_udp_sessions_total',
  udpDatagrams: 'weft_udp_datagrams_total',
  rejections: 'weft_config_rejections_total',
  certificateExpiry: 'weft_certificate_expiry_seconds', // gauge: seconds left; label serial, lower-case hex
  startTime: 'process_start_time_seconds', // gauge: seconds since the epoch; tells a restart from a control plane that was away
} as const

/**
 * Who calls whom. What a proxy does not know is ''; what it is itself may be left out (the push says it).
 * direction: outbound on the caller's proxy, inbound on the called one's, gateway on that of a Gateway. *_workload: NAME.NAMESPACE. protocol: http, http2, grpc, tcp or udp. mtls: true or false.
 */
export const edgeLabels = [
  'direction',
  'source_workload',
  'source_service',
  'source_namespace',
  'source_identity',
  'destination_workload',
  'destination_service',
  'destination_namespace',
  'destination_identity',
  'destination_version',
  'protocol',
  'mtls',
] as const

/** route: `Route.origin` or ''. code: `200`. grpc_status: `0`…`16` or ''. reason: a failure code of the mesh (base/failure.ts) or ''. */
export const requestLabels = [...edgeLabels, 'route', 'code', 'grpc_status', 'reason'] as const
/** flow: sent (towards the destination) or received. */
export const bytesLabels = [...edgeLabels, 'flow'] as const
export const connectionLabels = [...edgeLabels] as const
/** Of the workload's own sending. outcome: relayed, or refused where nobody takes them. */
export const udpSessionLabels = ['destination_service', 'destination_workload', 'outcome'] as const
/** flow: sent, received, or dropped where it could not be passed on at once. */
export const udpDatagramLabels = ['destination_service', 'destination_workload', 'flow'] as const
/** How it was found out what the bytes of a connection are. outcome: declared, sniffed (told by its first bytes), opaque (not told, or silent for too long). */
export const detectionLabels = ['direction', 'listener', 'protocol', 'outcome'] as const
/** Connections of callers at ports of the workload. tls: mutual, plaintext, or refused for plaintext where mutual TLS is demanded. source: the address of a caller that proved nothing, of the first hundred, then `other`; else ''. */
export const arrivalLabels = ['listener', 'tls', 'source'] as const
/** Copies of requests that went to a mirror: none of `requests`. reason: why the copy failed, or ''. */
export const mirroredLabels = ['destination_service', 'destination_namespace', 'route', 'code', 'reason'] as const
/** what: answer or request, which were compressed, or taken, for requests that were decompressed. coding: gzip, br or zstd. */
export const codedLabels = ['what', 'coding'] as const
/** policy: NAMESPACE/NAME. fault: delay, bandwidth, http, grpc, reset or drop. */
export const faultLabels = ['policy', 'route', 'fault'] as const
/** policy: NAMESPACE/NAME. scope: local, global or connections. outcome: allowed, limited, or failed-open and failed-closed where the service that counts for all gave no answer. */
export const limitLabels = ['policy', 'scope', 'outcome'] as const
/** policy: NAMESPACE/NAME, or '' where none decided; rule: its place in the policy, from 0. action: allow, deny, or audit for what would be denied. */
export const accessLabels = ['policy', 'rule', 'action'] as const
/** policy: NAMESPACE/NAME, or the rule of a route. outcome: allowed, denied, failed-open, failed-closed, invalid. */
export const authorizedLabels = ['policy', 'outcome'] as const
/** What callers asked of this workload, for learning who needs what. port: on which it listens itself. path: see model/calls.ts. outcome: allowed, or denied by an access rule. */
export const callLabels = ['source_identity', 'port', 'protocol', 'method', 'path', 'outcome'] as const
/** What left the mesh, or was not let out. policy: NAMESPACE/NAME, or '' where none decided; rule: its place in the policy, from 0, or '' for its default. destination: HOST:PORT of the first two hundred, then `other`. */
export const egressLabels = ['policy', 'rule', 'action', 'destination'] as const
/** Requests that never became one: they have no edge. code: `431`, or `0` for a stream that was reset. */
/** reason: what was wrong with the caller's certificate (many-ids, expired, …); tls-version, tls-group, tls-cipher where nothing is shared; or tls for what else TLS itself refused. */
export const handshakeLabels = ['listener', 'reason'] as const
/** side: inbound, outbound, gateway, outside. version: TLSv1.3; group: X25519MLKEM768; cipher: TLS_AES_256_GCM_SHA384. */
export const agreedLabels = ['side', 'version', 'group', 'cipher'] as const
export const refusedLabels = ['direction', 'listener', 'code', 'reason'] as const
/** Connections of callers that were ended for what came on them. */
export const failedLabels = ['direction', 'listener', 'reason'] as const
/** From this proxy to one endpoint. alpn: what was agreed: weft, h2 or http/1.1; without TLS, what is spoken. */
export const upstreamLabels = ['destination_service', 'destination_workload', 'alpn'] as const
/** route: `Route.origin`. cause: a status, `grpc-` and one of gRPC, or a failure code. outcome: made, or what forbade it: attempts, budget, limit, body, time. */
export const retryLabels = ['destination_service', 'route', 'cause', 'outcome'] as const
/** cause: the threshold of outlierDetection that was reached. outcome: ejected, forbidden where too many are left out already, or spared where chance (`enforcing`) has it. */
export const ejectionLabels = ['destination_service', 'destination_workload', 'cause', 'outcome'] as const
/** backend: name of the one in question, for a Service has one for each port and each ServiceSubset. */
export const ejectedLabels = ['destination_service', 'backend', 'destination_workload'] as const
/** reason: a failure code or ''. */
export const closedLabels = [...edgeLabels, 'reason'] as const
/** code_class: `2xx`…`5xx`. */
export const durationLabels = [
  'direction',
  'source_service',
  'source_namespace',
  'destination_service',
  'destination_namespace',
  'route',
  'code_class',
] as const

/** Upper bounds in seconds, 0.5 ms to 60 s, finest where a call inside one site lies. */
export const durationBuckets: readonly number[] = [
  0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
]
export const ejectionEndLabels = [...ejectedLabels, 'address', 'cause'] as const
/** backend: as of ejectedLabels. limit: connections, pendingRequests, requests or retries of the BackendPolicy. */
export const backendLimitLabels = ['destination_service', 'backend', 'limit'] as const
/** The port of this workload whose requests under way are limited by how fast they are answered. */
export const concurrencyLabels = ['listener'] as const
/** outcome: exported; dropped: too many waited; refused: by the collector; failed: it did not answer, or the proxy ended before. */
export const spanLabels = ['outcome'] as const
/** outcome: written; dropped: too many waited, or its file could not be written. */
export const logLabels = ['outcome'] as const
/** Requests that went to the Service named as fallback. reason: no-endpoint, or backend-limit. */
export const fallbackLabels = ['destination_service', 'fallback', 'reason'] as const
/** outcome: passed or failed. reason: '' where it passed, else a failure code, `status`, `not-serving`, `unexpected-bytes` or `closed`. */
export const checkLabels = ['destination_service', 'destination_workload', 'outcome', 'reason'] as const
export const failingLabels = ['destination_service', 'destination_workload'] as const
/** outcome: won or lost by the further try, failed where nobody answered well; or why it was not made: budget, limit, body. */
export const hedgeLabels = ['destination_service', 'route', 'outcome'] as const
