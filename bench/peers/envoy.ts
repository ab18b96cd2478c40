/** Envoy, once bare and once with what a mesh configures on a sidecar; HTTP/1.1 or HTTP/2 between the halves, SPIFFE ids checked. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { idOf, type Who } from '../certificates.ts'
import type { Missing, Peer, Place, Stand } from '../peer.ts'
import { fetchEnvoy } from './envoy-binary.ts'

export async function findEnvoy(): Promise<readonly (Peer | Missing)[]> {
  const found = await fetchEnvoy()
  if ('missing' in found)
    return [
      { name: 'envoy', missing: found.missing },
      { name: 'envoy-h2', missing: found.missing },
      { name: 'envoy-mesh', missing: found.missing },
    ]
  const { binary, version } = found
  const command =
    (role: Stand, isMesh: boolean, isH2 = false) =>
    (place: Place) => {
      const file = join(place.folder, `envoy-${place.listen}.json`)
      writeFileSync(file, JSON.stringify(configuration(role, place, isMesh, isH2)))
      return [binary, '-c', file, '--concurrency', '1', '--disable-hot-restart', '-l', 'error']
    }
  const http = (isMesh: boolean) => ({
    hop: command('hop', isMesh),
    out: command('out', isMesh),
    in: command('in', isMesh),
    h2out: command('h2out', isMesh, true),
    h2in: command('h2in', isMesh, true),
  })
  return [
    {
      name: 'envoy-h2',
      version,
      does: 'forwarding only, HTTP/2 between the halves',
      roles: { out: command('out', false, true), in: command('in', false, true) },
    },
    { name: 'envoy', version, does: 'forwarding only (one router filter)', roles: { ...http(false), tcp: command('tcp', false) } },
    {
      name: 'envoy-mesh',
      version,
      does: '10 routes, RBAC, request ids, XFCC, access log to a file, retries, outlier detection; less than Istio, without its statistics and tracing',
      roles: http(true),
      lacks: 'a relay of bytes has none of these; see envoy',
    },
  ]
}

const overH2 = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
}

const type = (name: string) => ({ '@type': `type.googleapis.com/envoy.${name}` })
const at = (port: number) => ({ address: { socket_address: { address: '127.0.0.1', port_value: port } } })

function configuration(role: Stand, { listen, to, certs, folder }: Place, isMesh: boolean, isH2: boolean): object {
  const isOut = role === 'out' || role === 'h2out'
  const isIn = role === 'in' || role === 'h2in'
  const speaksH2 = role === 'h2in' || (isOut && isH2)
  const limit = 100_000
  const cluster = {
    name: 'called',
    type: 'STATIC',
    connect_timeout: '5s',
    lb_policy: 'LEAST_REQUEST',
    load_assignment: { cluster_name: 'called', endpoints: [{ lb_endpoints: [{ endpoint: at(to) }] }] },
    circuit_breakers: { thresholds: [{ max_connections: limit, max_pending_requests: limit, max_requests: limit }] },
    ...(isMesh ? { outlier_detection: {} } : {}),
    ...(speaksH2 ? overH2 : {}),
    ...(isOut ? { transport_socket: tls('Upstream', certs, 'client', 'server', isH2) } : {}),
  }
  const chain = {
    filters: [role === 'tcp' ? tcpProxy() : isMesh ? meshHttp(role, join(folder, `access-${listen}.log`)) : http(role)],
    ...(isIn ? { transport_socket: tls('Downstream', certs, 'server', 'client', isH2) } : {}),
  }
  return { static_resources: { listeners: [{ name: 'callers', ...at(listen), filter_chains: [chain] }], clusters: [cluster] } }
}

function tls(side: 'Upstream' | 'Downstream', certs: string, me: Who, peer: Who, isH2: boolean): object {
  const common = {
    tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
    tls_certificates: [{ certificate_chain: { filename: `${certs}/${me}.pem` }, private_key: { filename: `${certs}/${me}.key` } }],
    validation_context: {
      trusted_ca: { filename: `${certs}/ca.pem` },
      match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: idOf(peer) } }],
    },
    alpn_protocols: isH2 ? ['h2'] : ['http/1.1'],
  }
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      ...type(`extensions.transport_sockets.tls.v3.${side}TlsContext`),
      common_tls_context: common,
      ...(side === 'Downstream' ? { require_client_certificate: true } : {}),
    },
  }
}

const tcpProxy = () => ({
  name: 'envoy.filters.network.tcp_proxy',
  typed_config: { ...type('extensions.filters.network.tcp_proxy.v3.TcpProxy'), stat_prefix: 'callers', cluster: 'called' },
})

const router = { name: 'envoy.filters.http.router', typed_config: type('extensions.filters.http.router.v3.Router') }
const anyPath = { match: { prefix: '/' }, route: { cluster: 'called', timeout: '15s' } }

/** The connection manager with its routes; more: what else stands in it. */
function http(role: Stand, filters: readonly object[] = [router], routes: readonly object[] = [anyPath], more: object = {}): object {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      ...type('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
      stat_prefix: role,
      http_filters: filters,
      route_config: { name: 'routes', virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
      ...more,
    },
  }
}

function meshHttp(role: Stand, accessLog: string): object {
  const retrying = { retry_on: 'connect-failure,refused-stream,unavailable', num_retries: 2 }
  const narrow = Array.from({ length: 9 }, (_, nth) => ({
    match: { path_separated_prefix: `/api/v${nth}`, headers: [{ name: 'x-version', string_match: { exact: `v${nth}` } }] },
    route: { cluster: 'called' },
  }))
  const isIn = role === 'in' || role === 'h2in'
  const caller = isIn ? { authenticated: { principal_name: { exact: idOf('client') } } } : { any: true }
  const policies = { callers: { permissions: [{ any: true }], principals: [caller] } }
  const rbac = {
    name: 'envoy.filters.http.rbac',
    typed_config: { ...type('extensions.filters.http.rbac.v3.RBAC'), rules: { action: 'ALLOW', policies } },
  }
  return http(role, [rbac, router], [...narrow, { ...anyPath, route: { ...anyPath.route, retry_policy: retrying } }], {
    generate_request_id: true,
    normalize_path: true,
    access_log: [
      {
        name: 'envoy.access_loggers.file',
        typed_config: { ...type('extensions.access_loggers.file.v3.FileAccessLog'), path: accessLog },
      },
    ],
    ...(isIn ? { forward_client_cert_details: 'APPEND_FORWARD', set_current_client_cert_details: { uri: true } } : {}),
  })
}
