/** The Envoy resources of a half: everything on that a mesh has on (ten routes, identities, ten access rules, least request, metrics), so that the figures are those of use. */

/** `out`: plain in, mutual TLS out. `in`: the reverse, to the workload. `hop`: plain HTTP both sides. `tcp`: opaque bytes, plain both sides. */
export const roles = ['out', 'in', 'hop', 'tcp'] as const
export type Role = (typeof roles)[number]

export type HalfOptions = {
  /** Ports on 127.0.0.1; listen 0: any free one. */
  readonly listen: number
  readonly to: number
  /** PEM files; not needed for hop and tcp. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string }
  /** The SPIFFE id that the other end of `out` must prove. */
  readonly server?: string
  /** tcp: out and in carry opaque bytes too. http: HTTP in the version of the caller. */
  readonly protocol?: 'http' | 'tcp'
  /** With ten rules of who may call what, on the called side and on the hop; the last one holds for what is measured. */
  readonly access?: true
}

const type = (name: string) => ({ '@type': `type.googleapis.com/envoy.${name}` })
const at = (port: number) => ({ address: { socket_address: { address: '127.0.0.1', port_value: port } } })
const mesh = (labels: object) => ({ metadata: { filter_metadata: { 'dev.weft': labels } } })

/** What `weft proxy --from` reads. */
export function resourcesFor(
  role: Role,
  { listen, to, tls, server, protocol = role === 'tcp' ? 'tcp' : 'http', access }: HalfOptions,
): object {
  const isTls = role === 'out' || role === 'in'
  if (isTls && tls === undefined) throw new Error(`${role} needs certificates`)
  const cluster = {
    name: 'server',
    connect_timeout: '5s',
    lb_policy: 'LEAST_REQUEST',
    ...(protocol === 'tcp' ? {} : inTheVersionOfTheCaller),
    ...(role === 'in' ? { load_assignment: assignment(to) } : { type: 'EDS', eds_cluster_config: { eds_config: { ads: {} } } }),
    ...(role === 'out' ? { transport_socket: upstreamTls(tls!, server ?? '') } : {}),
    ...mesh({ service: 'server.app', port: role === 'in' ? to : 80, protocol: protocol === 'tcp' ? 'tcp' : 'downstream' }),
  }
  const judges = access === true && (role === 'in' || role === 'hop')
  const chain = {
    filters:
      protocol === 'tcp' ? [...(judges ? networkAccess : []), relay] : [judges ? httpWith(judgedRoutes(isTls), accessFilters) : http],
    ...(role === 'in' ? { transport_socket: downstreamTls(tls!) } : {}),
  }
  const listener = {
    name: role === 'in' ? 'inbound/server' : 'outbound/server',
    ...at(listen),
    traffic_direction: role === 'in' ? 'INBOUND' : 'OUTBOUND',
    filter_chains: [chain],
    ...mesh({ service: 'server.app' }),
  }
  return {
    node: { id: role === 'in' ? 'server-1' : 'client-1', cluster: role === 'in' ? 'server' : 'client' },
    static_resources: {
      listeners: [listener],
      clusters: [cluster],
      ...(role === 'in' ? {} : { endpoints: [assignment(to)] }),
    },
  }
}

const assignment = (port: number) => ({
  cluster_name: 'server',
  endpoints: [{ lb_endpoints: [{ endpoint: at(port), ...mesh({ workload: 'server-1.app' }) }] }],
})

const inTheVersionOfTheCaller = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      ...type('extensions.upstreams.http.v3.HttpProtocolOptions'),
      use_downstream_protocol_config: {},
    },
  },
}

const relay = {
  name: 'envoy.filters.network.tcp_proxy',
  typed_config: { ...type('extensions.filters.network.tcp_proxy.v3.TcpProxy'), stat_prefix: 'callers', cluster: 'server' },
}

/** Nine routes that the measured requests look at and do not take, then the one for all. */
const routes = [
  ...Array.from({ length: 9 }, (_, nth) => ({
    name: `HTTPRoute app/server rule ${nth}`,
    match: { path_separated_prefix: `/api/v${nth}`, headers: [{ name: 'x-version', string_match: { exact: `v${nth}` } }] },
    route: { cluster: 'server', timeout: '0s' },
  })),
  { name: 'HTTPRoute app/server rule 9', match: { prefix: '/' }, route: { cluster: 'server', timeout: '0s' } },
]

const rbac = 'extensions.filters.http.rbac.v3.RBAC'
const accessFilters = ['deny', 'allow'].map(name => ({ name: `envoy.filters.http.rbac.${name}`, typed_config: type(rbac) }))
const among = (...names: readonly string[]) => ({
  or_ids: { ids: names.map(name => ({ authenticated: { principal_name: { exact: `spiffe://mesh.local/ns/app/sa/${name}` } } })) },
})
const below = (path: string) => ({
  or_rules: { rules: [{ url_path: { path: { exact: path } } }, { url_path: { path: { prefix: `${path}/` } } }] },
})
const methods = (...names: readonly string[]) => ({
  or_rules: { rules: names.map(name => ({ header: { name: ':method', string_match: { exact: name } } })) },
})
const anybody = { any: true }

/** Five that deny and five that allow; on the hop nobody has an identity. */
function judgedRoutes(hasIdentities: boolean) {
  const who = (...names: readonly string[]) => (hasIdentities ? among(...names) : anybody)
  const deny = Object.fromEntries(
    Array.from({ length: 5 }, (_, nth) => [
      `app/closed-${nth}#0`,
      { principals: [who('client', `other-${nth}`)], permissions: [{ and_rules: { rules: [below(`/admin/v${nth}`)] } }] },
    ]),
  )
  const allow = Object.fromEntries(
    Array.from({ length: 5 }, (_, nth) => [
      `app/open-${nth}#0`,
      nth === 4
        ? { principals: [who('client')], permissions: [{ and_rules: { rules: [methods('GET', 'POST')] } }] }
        : { principals: [who('client', `other-${nth}`)], permissions: [{ and_rules: { rules: [methods('PUT'), below(`/api/v${nth}`)] } }] },
    ]),
  )
  const perRoute = (action: string, policies: object) => ({
    ...type('extensions.filters.http.rbac.v3.RBACPerRoute'),
    rbac: { rules: { action, policies } },
  })
  const access = { 'envoy.filters.http.rbac.deny': perRoute('DENY', deny), 'envoy.filters.http.rbac.allow': perRoute('ALLOW', allow) }
  return routes.map(route => ({ ...route, typed_per_filter_config: access }))
}

/** Of opaque bytes nothing is known but who sends them; on the hop not even that. */
const networkAccess = [
  {
    name: 'envoy.filters.network.rbac.deny',
    typed_config: {
      ...type('extensions.filters.network.rbac.v3.RBAC'),
      stat_prefix: 'callers',
      rules: {
        action: 'DENY',
        policies: Object.fromEntries(
          Array.from({ length: 10 }, (_, nth) => [`app/closed-${nth}#0`, { principals: [among(`other-${nth}`)], permissions: [anybody] }]),
        ),
      },
    },
  },
]

const httpWith = (judged: readonly object[], filters: readonly object[]) => ({
  ...http,
  typed_config: {
    ...http.typed_config,
    http_filters: [...filters, ...http.typed_config.http_filters],
    route_config: { name: 'server', virtual_hosts: [{ name: 'server', domains: ['*'], routes: judged }] },
  },
})

const http = {
  name: 'envoy.filters.network.http_connection_manager',
  typed_config: {
    ...type('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'callers',
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: type('extensions.filters.http.router.v3.Router') }],
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    route_config: { name: 'server', virtual_hosts: [{ name: 'server', domains: ['*'], routes }] },
  },
}

type Files = NonNullable<HalfOptions['tls']>

const common = ({ cert, key, ca }: Files, names: readonly object[]) => ({
  tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
  tls_certificates: [{ certificate_chain: { filename: cert }, private_key: { filename: key } }],
  validation_context: { trusted_ca: { filename: ca }, ...(names.length > 0 ? { match_typed_subject_alt_names: names } : {}) },
})

const upstreamTls = (files: Files, server: string) => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: {
    ...type('extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
    common_tls_context: common(files, [{ san_type: 'URI', matcher: { exact: server } }]),
  },
})

const downstreamTls = (files: Files) => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: {
    ...type('extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
    require_client_certificate: true,
    common_tls_context: common(files, []),
  },
})
