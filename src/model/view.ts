/** The mesh as one proxy sees it: plain data, the same in both planes. Swapped whole; a request keeps the view it began with. */

/** What the bytes of a port are. `detect`: look at the first bytes, within a bound, and treat what is not HTTP as opaque. `udp`: datagrams; the same number may be a port of TCP too. */
export type Protocol = 'http' | 'http2' | 'grpc' | 'tcp' | 'tls' | 'detect' | 'udp'

export type Direction = 'outbound' | 'inbound'

/**
 * A place where connections arrive.
 * Outbound: `host:port` is the virtual IP and port of a service, matched against the original destination.
 * Inbound: `host:port` is where the proxy itself is bound for callers; it leads to the workload's own port.
 */
export type Listener = {
  readonly name: string // `outbound/NAMESPACE/SERVICE:PORT` or `inbound/PORT`, for udp with `/udp` at the end
  readonly direction: Direction
  readonly host: string
  readonly port: number
  readonly protocol: Protocol
  /** Inbound only: strict refuses what is not mutual TLS; permissive takes plaintext too; absent: plaintext only. */
  readonly tls?: { readonly mode: 'strict' | 'permissive' }
  /** Inbound: each connection begins with a PROXY header, before TLS; one without is refused. */
  readonly proxyProtocol?: true
  /** Name of the route table, for http and detect. */
  readonly routes?: string
  /** Where opaque bytes go, for tcp, tls, detect and udp. With `serverNames`: what names none of them; absent then: it is closed. */
  readonly backends?: readonly WeightedBackend[]
  /** Where TLS goes that is not decrypted here, by the server name in its first message (SNI). Each name stands once. */
  readonly serverNames?: readonly ServerNames[]
  /** How long nothing may pass on a connection of opaque bytes; 0: no limit; absent: one hour. Of udp: in a session; absent: one minute. */
  readonly idleMs?: number
  /** `SERVICE.NAMESPACE`, the destination label of metrics. */
  readonly service: string
}

/** names: lower case, exact, or `*.suffix` for all names below it. */
export type ServerNames = { readonly names: readonly string[]; readonly backends: readonly WeightedBackend[] }

/** weight: parts of the sum; 0 gets nothing. backend: a name in `View.backends`, or undefined where the reference is invalid: its share is answered 500. */
export type WeightedBackend = { readonly backend: string | undefined; readonly weight: number; readonly filters?: readonly Filter[] }

/** One route configuration per service port, shared by all proxies. */
export type RouteTable = { readonly name: string; readonly hosts: readonly VirtualHost[] }

/** domains: exact, `*`, or `*.suffix`. Mesh routes have one host with `*`, for GAMMA matches by address and not by Host. */
export type VirtualHost = { readonly name: string; readonly domains: readonly string[]; readonly routes: readonly Route[] }

/** In order of precedence: the first that matches is taken. */
export type Route = {
  readonly name: string // `Kind/NAMESPACE/NAME/RULE[.MATCH]`, the route label of metrics is `origin`
  /** Where it comes from, for people: `HTTPRoute default/split rule 0`. */
  readonly origin: string
  readonly match: Match
  readonly filters: readonly Filter[]
  readonly action: Action
  /** Whole request and one try; milliseconds; absent or 0: no limit. */
  readonly timeouts?: { readonly requestMs?: number; readonly tryMs?: number }
}

export type Match = {
  readonly path?: PathMatch
  readonly method?: string
  readonly headers?: readonly ValueMatch[]
  readonly query?: readonly ValueMatch[]
}
/** prefix matches whole segments: `/a` matches `/a` and `/a/b`, not `/ab`. regex is RE2 syntax, full match. */
export type PathMatch = { readonly type: 'exact' | 'prefix' | 'regex'; readonly value: string }
/** name: lower case for headers, case-sensitive for query parameters. */
export type ValueMatch = { readonly name: string; readonly type: 'exact' | 'regex'; readonly value: string }

export type Action =
  | { readonly type: 'forward'; readonly backends: readonly WeightedBackend[] }
  | { readonly type: 'redirect'; readonly redirect: Redirect }
  | {
      readonly type: 'respond'
      readonly status: number
      /** Why the mesh itself refuses; absent: the answer is what somebody configured, with `detail` as its body. */
      readonly reason?: 'rule-invalid' | 'backend-invalid' | 'no-listener'
      readonly detail: string
    }

export type PathChange = { readonly type: 'full' | 'prefix'; readonly value: string }
export type Redirect = {
  readonly scheme?: 'http' | 'https'
  readonly host?: string
  readonly port?: number
  readonly path?: PathChange
  readonly status: 301 | 302 | 303 | 307 | 308
}

/** Names lower case. */
export type HeaderChange = { readonly set: readonly NameValue[]; readonly add: readonly NameValue[]; readonly remove: readonly string[] }
export type NameValue = { readonly name: string; readonly value: string }

export type Filter =
  | { readonly type: 'request-headers'; readonly change: HeaderChange }
  | { readonly type: 'response-headers'; readonly change: HeaderChange }
  | { readonly type: 'rewrite'; readonly host?: string; readonly path?: PathChange }

/** What a route leads to: `NAMESPACE/SERVICE:PORT`, or `local/PORT` for the workload behind an inbound listener; for udp with `/udp` at the end. */
export type Backend = {
  readonly name: string
  readonly service: string // `SERVICE.NAMESPACE`
  readonly type: 'endpoints' | 'local' // endpoints: see `View.endpoints`; local: 127.0.0.1:port inside the workload
  readonly port: number
  /** What its workload is spoken to in; `downstream`: HTTP in the version that the caller used. Between proxies the version is agreed by ALPN; datagrams travel there in HTTP/2 (RFC 9298). */
  readonly protocol: 'http1' | 'http2' | 'downstream' | 'tcp' | 'udp'
  readonly balance: 'round-robin' | 'least-request'
  readonly connectTimeoutMs: number
  /** What is reached without TLS expects a PROXY header of this version in front of each connection. */
  readonly proxyProtocol?: 'v1' | 'v2'
  /** Mutual TLS towards endpoints that have `mtls`: the SPIFFE ids of which the peer must prove one. */
  readonly identities: readonly string[]
}

/** degraded: used only when nothing is healthy. */
export type Health = 'healthy' | 'degraded' | 'unhealthy' | 'draining'

export type Endpoint = {
  readonly host: string
  readonly port: number
  readonly weight: number
  readonly health: Health
  readonly mtls: boolean
  /** `NAME.NAMESPACE` of the workload, for people and metrics. */
  readonly workload: string
  readonly locality?: { readonly region: string; readonly zone: string }
}
export type EndpointSet = { readonly backend: string; readonly endpoints: readonly Endpoint[] }

/** A name that the mesh DNS answers. addresses: IPv4, dotted. */
export type DnsName = { readonly name: string; readonly addresses: readonly string[] }

/** Each part keyed by its name. `dns` is one list, in order of name. trust: PEM certificates of all accepted roots. */
export type View = {
  readonly listeners: Readonly<Record<string, Listener>>
  readonly routes: Readonly<Record<string, RouteTable>>
  readonly backends: Readonly<Record<string, Backend>>
  readonly endpoints: Readonly<Record<string, EndpointSet>>
  readonly dns: readonly DnsName[]
  readonly trust: { readonly domain: string; readonly roots: readonly string[] }
}

export const emptyView: View = { listeners: {}, routes: {}, backends: {}, endpoints: {}, dns: [], trust: { domain: '', roots: [] } }
