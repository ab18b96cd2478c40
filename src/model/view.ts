/** The mesh as one proxy sees it: plain data, the same in both planes; a request keeps the view it began with. One file as a whole, for these types name each other. */

import type { IdTemplates } from '#base/id-template'
import type { Egress } from './egress.ts'
import type { TlsProfile } from './tls.ts'

/** What the bytes of a port are. `detect`: look at the first bytes, within a bound, and treat what is not HTTP as opaque. `udp`: datagrams; the same number may be a port of TCP too. */
export type Protocol = 'http' | 'http2' | 'grpc' | 'tcp' | 'tls' | 'detect' | 'udp'

/** gateway: what comes from outside the mesh. */
export type Direction = 'outbound' | 'inbound' | 'gateway'

/**
 * A place where connections arrive.
 * Outbound: `host:port` is the virtual IP and port of a service, matched against the original destination.
 * Inbound: `host:port` is where the proxy itself is bound for callers; it leads to the workload's own port.
 * Gateway: `host:port` is where the proxy listens for callers that know nothing of the mesh.
 */
export type Listener = {
  readonly name: string // `outbound/NAMESPACE/SERVICE:PORT`, `inbound/PORT` or `gateway/PORT`, for udp with `/udp` at the end
  readonly direction: Direction
  readonly host: string
  readonly port: number
  readonly protocol: Protocol
  /** Outbound: `host:port` is a loopback address that the proxy itself is bound to, in place of the virtual one. */
  readonly isBound?: true
  /** Inbound only: strict refuses what is not mutual TLS; permissive takes plaintext too; absent: plaintext only. profile: absent: modern. */
  readonly tls?: { readonly mode: 'strict' | 'permissive'; readonly profile?: TlsProfile }
  /** Inbound: each connection begins with a PROXY header, before TLS; one without is refused. */
  readonly proxyProtocol?: true
  /** Name of the route table, for http and detect. */
  readonly routes?: string
  /** Where opaque bytes go, for tcp, tls, detect and udp. With `serverNames`: what names none of them; absent then: it is closed. */
  readonly backends?: readonly WeightedBackend[]
  /** Where TLS goes that is not decrypted here, by the server name in its first message (SNI). Each name stands once. */
  readonly serverNames?: readonly ServerNames[]
  /** Gateway: TLS ends here, with the certificates and the routes of the name that the caller asks for (SNI). One without names is for all others; where none fits there is no handshake. */
  readonly terminates?: readonly Terminated[]
  /** How long nothing may pass on a connection of opaque bytes; 0: no limit; absent: one hour. Of udp: in a session; absent: one minute. */
  readonly idleMs?: number
  /** Opaque bytes of one caller go to the same endpoint, where the backend chooses by hash. */
  readonly hash?: 'source-ip'
  /** What is broken on purpose of opaque connections: a delay, a slow line, and of aborts only a reset; of datagrams what the workload sends: a delay and a drop. */
  readonly fault?: Fault
  /** `SERVICE.NAMESPACE`, the destination label of metrics. */
  readonly service: string
  /** Inbound: how many requests are under way at once is found out; what is beyond is refused. Absent: no limit. */
  readonly concurrency?: AdaptiveConcurrency
  /** Inbound: how many new connections of opaque bytes are taken. */
  readonly connectionLimit?: ConnectionLimit
  /** Who is asked about the quotas of its routes. */
  readonly limitService?: LimitService
  /** What its routes may ask of tokens. */
  readonly tokens?: readonly TokenPolicy[]
  /** At a Gateway: where callers of its routes may have to log in. */
  readonly logins?: readonly LoginPolicy[]
  /** Who may be asked about its requests, in the order in which they are. */
  readonly authorizers?: readonly Authorizer[]
  /** Who is asked about connections whose bytes are opaque; of the kind grpc, about all of them. */
  readonly connectionAuthorizer?: Authorizer
  /** Inbound: who may connect where the bytes are opaque or datagrams; of requests the routes say it. Absent: everybody. */
  readonly access?: Access
  /** Inbound: identities that are told why they are denied. Absent: nobody. */
  readonly tellsWhy?: readonly TextMatch[]
  /** Outbound: it leads out of the mesh, and this is what may be called where the bytes are opaque, TLS or datagrams; of requests the routes say it. */
  readonly egress?: Egress
}

/** names: as of ServerNames; empty: any. certificates: PEM, of one of each kind of key; none: TLS is not ended, and its bytes go to the backends. Either routes or backends. */
export type Terminated = {
  readonly names: readonly string[]
  readonly certificates: readonly { readonly cert: string; readonly key: string }[]
  /** A route table, for requests. */
  readonly routes?: string
  /** For connections that are not looked into. */
  readonly backends?: readonly WeightedBackend[]
  /** As of a listener. */
  readonly hash?: 'source-ip'
  /** Whose certificates callers must show: PEM of authorities. Not required: others are served too, and those that show none. */
  readonly callers?: { readonly roots: readonly string[]; readonly isRequired: boolean }
  /** What is agreed on with callers; absent: modern. */
  readonly profile?: TlsProfile
}

/** names: lower case, exact, or `*.suffix` for all names below it. */
export type ServerNames = { readonly names: readonly string[]; readonly backends: readonly WeightedBackend[] }

/** weight: parts of the sum; 0 gets nothing. backend: a name in `View.backends`, or undefined where the reference is invalid: its share is answered 500. */
export type WeightedBackend = { readonly backend: string | undefined; readonly weight: number; readonly filters?: readonly Filter[] }

/** One route configuration per service port, shared by all proxies. */
export type RouteTable = { readonly name: string; readonly hosts: readonly VirtualHost[] }

/** domains: exact, `*`, or `*.suffix`; of several hosts the most specific domain decides, and each stands once in a table. Mesh routes have one host with `*`, for GAMMA matches by address and not by Host. */
export type VirtualHost = { readonly name: string; readonly domains: readonly string[]; readonly routes: readonly Route[] }

/** In order of precedence: the first that matches is taken. */
export type Route = {
  readonly name: string // `Kind/NAMESPACE/NAME/RULE[.MATCH]`, the route label of metrics is `origin`
  /** Where it comes from, for people: `HTTPRoute default/split rule 0`. */
  readonly origin: string
  readonly match: Match
  readonly filters: readonly Filter[]
  readonly action: Action
  /** Whole request, one try, and how long nothing of either may pass; milliseconds; absent or 0: no limit. */
  readonly timeouts?: { readonly requestMs?: number; readonly tryMs?: number; readonly idleMs?: number }
  /** Who else gets a copy of each request, and of how many. */
  readonly mirrors?: readonly Mirror[]
  /** Pages of which origins may read the answers. */
  readonly cors?: Cors
  /** What is broken on purpose. */
  readonly fault?: Fault
  /** How large a request may be. */
  readonly sizes?: Sizes
  /** What is compressed, and what is not any more. */
  readonly compression?: Compression
  /** How many requests are taken in. */
  readonly rateLimit?: RateLimit
  /** How many all proxies together take in. */
  readonly quota?: Quota
  /** When a request is sent again. Absent: only where nothing of it was taken, or once where it may be repeated. */
  readonly retry?: Retry
  /** When a second try is sent beside the first. */
  readonly hedge?: Hedge
  /** Name of the policy, among `Listener.tokens`, by which requests must bring tokens. */
  readonly tokens?: string
  /** Name of the policy, among `Listener.logins`, by which callers must have logged in. */
  readonly login?: string
  /** Names, among `Listener.authorizers`, of those who all must let its requests on. */
  readonly authorize?: readonly string[]
  /** Inbound: who may ask what. Absent: everybody everything. */
  readonly access?: Access
  /** Outbound: it leads out of the mesh, and this is what may be asked there. */
  readonly egress?: Egress
}

/** What is denied comes first, then what is allowed. allow: absent: what is not denied is allowed; else what none of them allows is denied. audit: the same, but only counted. */
export type Access = {
  readonly deny: readonly AccessRule[]
  readonly allow?: readonly AccessRule[]
  readonly audit?: { readonly deny: readonly AccessRule[]; readonly allow?: readonly AccessRule[] }
}
/** name: `NAMESPACE/POLICY#RULE`. It holds where all conditions of one of `from` do (empty: everybody), and all of one of `to` (empty: everything). */
export type AccessRule = {
  readonly name: string
  readonly from: readonly (readonly AccessCondition[])[]
  readonly to: readonly (readonly AccessCondition[])[]
  /** Only at these times; absent: always. */
  readonly when?: readonly TimeWindow[]
}
/** All that it says. notBefore, notAfter: ms since the epoch, the second no more in it. weekly: days, 0 is Sunday; from, to: minutes since midnight in that zone of the IANA, from 0 up to 1440; with `to` before `from` into the next day. */
export type TimeWindow = {
  readonly notBefore?: number
  readonly notAfter?: number
  readonly weekly?: { readonly days: readonly number[]; readonly from: number; readonly to: number; readonly timeZone: string }
}
/**
 * One of `any` must fit; with `not` none of them. A header is compared value by value; without `any` it must be there. networks: CIDR.
 * isWhole: the header is one value, commas and all, for it is written from a claim.
 * claim: of a verified token, the way into it; of a list any element, of `scope` any word. It stands in `from` only.
 */
export type AccessCondition =
  | { readonly on: 'identity' | 'method' | 'path' | 'host'; readonly any: readonly TextMatch[]; readonly not?: true }
  | { readonly on: 'header'; readonly name: string; readonly any: readonly TextMatch[]; readonly not?: true; readonly isWhole?: true }
  | { readonly on: 'address'; readonly networks: readonly string[]; readonly not?: true }
  | { readonly on: 'claim'; readonly path: readonly string[]; readonly any: readonly TextMatch[]; readonly not?: true }
export type TextMatch = { readonly type: 'exact' | 'prefix' | 'suffix' | 'regex'; readonly value: string }

/**
 * attempts: further tries at most. codes: statuses after which one is made. on: further conditions, in the words of Envoy's `retry_on`; of those of gRPC
 * the status counts where it comes without a message. backoff: the pause before a further try. longestRetryAfterMs: for how long a pause
 * that an answer asks for (`Retry-After`) is made; absent: it is not looked at.
 */
export type Retry = {
  readonly attempts: number
  readonly codes: readonly number[]
  readonly on: readonly RetryOn[]
  readonly backoff: { readonly baseMs: number; readonly maxMs: number }
  readonly longestRetryAfterMs?: number
}
/** While nothing has come for so long, another try is sent beside the others, to another endpoint: so many at most. Without allMethods only what may be repeated is. */
export type Hedge = { readonly afterMs: number; readonly attempts: number; readonly allMethods?: true }
export type RetryOn = (typeof retryConditions)[number]
export const retryConditions = [
  '5xx',
  'gateway-error',
  'retriable-4xx',
  'reset',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
] as const

/** A part of all requests, in millionths, as fine as Envoy's. */
export type Millionths = number

export type Mirror = { readonly backend: string; readonly share: Millionths }

/** origins: exact, `*` for all, or a pattern for a part of them. methods and headers: as they are announced; `*` stands alone. maxAgeS: seconds. */
export type Cors = {
  readonly origins: readonly { readonly type: 'exact' | 'regex'; readonly value: string }[]
  readonly credentials: boolean
  readonly methods: readonly string[]
  readonly headers: readonly string[]
  readonly expose: readonly string[]
  readonly maxAgeS: number
  /** Preflights of other origins go to the backend; else they are answered without permission. */
  readonly forwardsOthers?: true
}

/** policy: `NAMESPACE/NAME` of who asked for it. endsAt: ms since the epoch from which on it is no more done, whoever still has it. Delay comes before abort. */
export type Fault = {
  readonly policy: string
  readonly endsAt?: number
  /** jitterMs: by chance so much more or less, spread as `spread` says; absent: evenly, up to so much. */
  readonly delay?: { readonly ms: number; readonly jitterMs?: number; readonly spread?: Spread; readonly share: Millionths }
  readonly abort?: Abort & { readonly share: Millionths }
  /** Bodies, of TCP all bytes, pass no faster than this, each for itself. Of the requests that are hit both ways have it, as far as they are named. */
  readonly bandwidth?: { readonly share: Millionths; readonly requestsBps?: number; readonly answersBps?: number }
}
/** normal: jitterMs is the standard deviation. exponential, pareto: ms is the least, and jitterMs what is added to it on average; pareto has the longer tail. */
export type Spread = 'normal' | 'exponential' | 'pareto'
export type Abort =
  | { readonly type: 'http'; readonly status: number }
  | { readonly type: 'grpc'; readonly status: number }
  | { readonly type: 'reset' }
  /** Of datagrams: each is lost. */
  | { readonly type: 'drop' }

/** Of one request: bytes of its body, as they come; of its header how many fields, and how many bytes names and values have together. */
export type Sizes = { readonly bodyBytes?: number; readonly headerCount?: number; readonly headerBytes?: number }

/** How a body may be coded (RFC 9110 §8.4.1, RFC 7932, RFC 8878). */
export type Coding = (typeof codings)[number]
export const codings = ['gzip', 'br', 'zstd'] as const

/**
 * answers: in the first of these codings that the caller likes best. requests: on their way to the backend, always, so that it must read this coding. Both:
 * of so many bytes at least, where the length is told, and of these types only, in lower case. takesCoded: bodies of requests that are coded are
 * taken apart, up to so many bytes.
 */
export type Compression = {
  readonly answers?: { readonly codings: readonly Coding[] } & Compressible
  readonly requests?: { readonly coding: Coding } & Compressible
  readonly takesCoded?: { readonly maxBytes: number }
}
export type Compressible = { readonly minBytes: number; readonly types: readonly string[] }

/** `requests` in every `intervalMs`, evenly; at most `burst` at once. */
export type Rate = { readonly requests: number; readonly intervalMs: number; readonly burst: number }

/** A bucket that each proxy keeps for itself. name: of the bucket; two routes with the same name share it. */
export type RateLimit = Rate & {
  readonly name: string
  /** A bucket for each combination of these; absent: one for all. What has none of one of them counts as having `-` there. */
  readonly by?: readonly LimitKey[]
  /** Other rates for some values: the first that fits. */
  readonly overrides?: readonly RateOverride[]
}
/** when: all of these; key: a place in `by`. */
export type RateOverride = Rate & { readonly when: readonly { readonly key: number; readonly values: readonly string[] }[] }
/** identity: the SPIFFE id that the caller proved. path: without the query. address: that the connection came from. */
export type LimitKey = { readonly type: LimitKeyType } | { readonly type: 'header' | 'query'; readonly name: string }
export type LimitKeyType = 'identity' | 'method' | 'path' | 'host' | 'address'

/** New connections of opaque bytes at one port; name: of the bucket. */
export type ConnectionLimit = Rate & { readonly name: string }

/**
 * What the service that counts for all proxies (`Listener.limitService`) is asked about each request.
 * name: `NAMESPACE/NAME` of the policy. failsOpen: without an answer the request goes on. rate: told to a service that is not the mesh's own.
 */
export type Quota = {
  readonly name: string
  readonly failsOpen: boolean
  readonly descriptors: readonly (readonly DescriptorEntry[])[]
  readonly rate?: Rate
}
/** A key with its value: a constant, or what the request has there. absent: the value where it has none; without it the descriptor is then left out. */
export type DescriptorEntry = { readonly key: string } & (
  | { readonly type: 'constant'; readonly value: string }
  | (LimitKey & { readonly absent?: string })
)

/** backend: a name in `View.backends`, or that of the control plane (`controlBackend`). */
export type LimitService = { readonly backend: string; readonly domain: string; readonly timeoutMs: number }
/** The control plane that this proxy is configured by, as something to call. */
export const controlBackend = 'weft-control'

export type Match = {
  /** gRPC calls only, by their content type, as Envoy's RouteMatch.grpc has it. */
  readonly grpc?: true
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
  | {
      readonly type: 'forward'
      readonly backends: readonly WeightedBackend[]
      /** By what a request is recognised, for backends that choose by hash: all that it has of these together. */
      readonly hash?: readonly HashOn[]
      /** A client that comes back reaches the endpoint that it had, as long as that serves. */
      readonly session?: Session
    }
  | { readonly type: 'redirect'; readonly redirect: Redirect }
  | {
      readonly type: 'respond'
      readonly status: number
      /** Why the mesh itself refuses; absent: the answer is what somebody configured, with `detail` as its body. */
      readonly reason?: 'rule-invalid' | 'backend-invalid' | 'no-listener' | 'misdirected'
      readonly detail: string
    }

/** name: of a header in lower case. ttlMs: a client without the cookie is given one for so long, 0: until its browser closes; absent: none is given. */
export type HashOn =
  | { readonly type: 'header' | 'query'; readonly name: string }
  | { readonly type: 'cookie'; readonly name: string; readonly ttlMs?: number; readonly path?: string }
  | { readonly type: 'source-ip' }

/** What names the endpoint, in the answer and in later requests. ttlMs: 0: until the browser closes. */
export type Session =
  | { readonly type: 'cookie'; readonly name: string; readonly path: string; readonly ttlMs: number }
  | { readonly type: 'header'; readonly name: string }

export type PathChange = { readonly type: 'full' | 'prefix'; readonly value: string } | ({ readonly type: 'regex' } & Substitution)
/** Each place that the pattern (RE2 syntax, not anchored) matches becomes the substitution, in which `\1` to `\9` are groups and `\0` is all of it. */
export type Substitution = { readonly pattern: string; readonly substitution: string }
/** The host is the value of a header of the request, if it has that; or what a substitution makes of its path. */
export type HostFrom = { readonly type: 'header'; readonly name: string } | ({ readonly type: 'path' } & Substitution)
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
  | { readonly type: 'rewrite'; readonly host?: string | HostFrom; readonly path?: PathChange }

/** What a route leads to: `NAMESPACE/SERVICE:PORT`, or `local/PORT` for the workload behind an inbound listener; for udp with `/udp` at the end. */
export type Backend = {
  readonly name: string
  readonly service: string // `SERVICE.NAMESPACE`
  /**
   * endpoints: see `View.endpoints`; local: 127.0.0.1:port inside the workload. Outside the mesh: hosts: those of `hosts`, by their names; named: the host that
   * the caller asked for, as the proxy finds it; original: where the caller wanted to go.
   */
  readonly type: 'endpoints' | 'local' | 'hosts' | 'named' | 'original'
  /** Of type hosts. */
  readonly hosts?: readonly Endpoint[]
  /** What of it is reached without mutual TLS is outside the mesh, so that what is denied by address is not reached by it. */
  readonly isExternal?: true
  /** What is reached without mutual TLS of the mesh is reached by TLS of its own. */
  readonly tls?: Origination
  /** It is begun inside the mutual TLS of the mesh, for the workload itself ends it. */
  readonly isTlsInside?: true
  /** Of named and original, 0: the port that the caller wanted. */
  readonly port: number
  /** What its workload is spoken to in; `downstream`: HTTP in the version that the caller used. Between proxies the version is agreed by ALPN; datagrams travel there in HTTP/2 (RFC 9298). */
  readonly protocol: 'http1' | 'http2' | 'downstream' | 'tcp' | 'udp'
  readonly balance: 'round-robin' | 'random' | 'least-request' | 'peak-ewma' | 'ring-hash' | 'maglev'
  readonly balancing?: Balancing
  readonly connectTimeoutMs: number
  /** What is reached without TLS expects a PROXY header of this version in front of each connection. */
  readonly proxyProtocol?: 'v1' | 'v2'
  /** Mutual TLS towards endpoints that have `mtls`: the SPIFFE ids of which the peer must prove one. */
  readonly identities: readonly string[]
  /** What that mutual TLS agrees on; absent: modern. */
  readonly profile?: TlsProfile
  /** Absent: 20 % of the requests of ten seconds, or ten a second. */
  readonly retryConstraint?: RetryConstraint
  /** Of each proxy towards all endpoints together. */
  readonly limits?: Limits
  readonly outlierDetection?: OutlierDetection
  /** Another backend of `View.backends`, to which requests go while none of its own endpoints may serve or its limits are reached. No circle of these. */
  readonly fallback?: string
  /** How each proxy that calls it asks its endpoints whether they serve; absent: not at all. */
  readonly healthCheck?: HealthCheck
}

/**
 * The question, and how often: a failure counts after so many on end, and a success then. jitterPercent: up to so much is added to each interval, by chance.
 * idleMs: the interval while no request goes there; absent: then it is not asked.
 */
export type HealthCheck = {
  readonly ask: HealthQuestion
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly unhealthyAfter: number
  readonly healthyAfter: number
  readonly jitterPercent: number
  readonly idleMs?: number
}
/**
 * host: of the request; absent: the service. statuses: both ends belong to it. service: of grpc.health.v1, '' for the whole server. send, expect: bytes in
 * hexadecimal; what is expected may have others before it and between; nothing of both: that the connection stands.
 */
export type HealthQuestion =
  | {
      readonly type: 'http'
      readonly method: HealthMethod
      readonly path: string
      readonly host?: string
      readonly headers: readonly NameValue[]
      readonly statuses: readonly { readonly first: number; readonly last: number }[]
    }
  | { readonly type: 'grpc'; readonly service: string }
  | { readonly type: 'tcp'; readonly send?: string; readonly expect: readonly string[] }
export type HealthMethod = 'GET' | 'HEAD' | 'OPTIONS' | 'POST' | 'PUT'

/** serverName: in the hello, and what the certificate must prove; absent: the name that was asked for. names: of which it must prove one instead. roots: PEM; absent: those of the machine. */
export type Origination = {
  /** Absent: compatible. */
  readonly profile?: TlsProfile
  readonly serverName?: string
  readonly names?: readonly string[]
  readonly roots?: readonly string[]
  /** What is shown to it, PEM. */
  readonly certificate?: { readonly cert: string; readonly key: string }
}

/** How much there may be at once; absent: no limit. */
export type Limits = {
  readonly connections?: number
  readonly pendingRequests?: number
  readonly requests?: number
  readonly retries?: number
}

/**
 * When an endpoint is left out, and for how long: after so many failures on end (0: never), when it stands out among the others, and when it says
 * itself that it has too much to do. Where local origins are split off, what gave no answer counts by itself, else as an answer of 5xx.
 * intervalMs: over how long answers are counted; also of good service, after which the next ejection is one step shorter. percent: of all endpoints, at once.
 */
export type OutlierDetection = {
  readonly consecutive5xx: number
  readonly consecutiveGatewayErrors: number
  readonly consecutiveLocalOriginFailures: number
  readonly splitsLocalOrigin: boolean
  readonly intervalMs: number
  readonly baseEjectionMs: number
  readonly maxEjectionMs: number
  readonly maxEjectionPercent: number
  /** Those whose part of good answers lies so many standard deviations (in thousandths) below the mean of all that had so many requests. */
  readonly successRate?: { readonly minimumHosts: number; readonly requestVolume: number; readonly stdevThousandths: number }
  /** Those of whose answers so many percent failed. */
  readonly failurePercentage?: { readonly percent: number; readonly minimumHosts: number; readonly requestVolume: number }
  /** An endpoint that answers 429 is spared for as long as it asks for, not above longestMs; pauseMs where it does not say. */
  readonly tooManyRequests?: { readonly pauseMs: number; readonly longestMs: number }
  /** Of a hundred times, how often it is done; absent: always. */
  readonly enforcing?: Readonly<Partial<Record<EjectionCause, number>>>
}

/**
 * Tokens (JWT, RFC 7519) of any of the issuers, each of which stands once. name: `NAMESPACE/NAME` of the policy. isBoundToToken: what is under way when its token
 * ends is broken off. choosesRoutes: routes are told apart by headers that claims are written to, so that the route is chosen again by them.
 */
export type TokenPolicy = {
  readonly name: string
  readonly isRequired: boolean
  readonly issuers: readonly TokenIssuer[]
  readonly isBoundToToken?: true
  readonly choosesRoutes?: true
}
/** audiences: empty: any. keys: inline: a JSON Web Key Set in which each key has the one algorithm for which it is taken. forward: the workload gets the token. */
export type TokenIssuer = {
  readonly name: string
  readonly issuer: string
  readonly audiences: readonly string[]
  readonly keys: InlineKeys | FetchedKeys
  readonly from: readonly TokenPlace[]
  readonly forward: boolean
  readonly claimsToHeaders: readonly { readonly claim: string; readonly header: string }[]
  readonly skewMs: number
}
/**
 * A login at a provider of OpenID Connect, by an authorization code with PKCE. name: `NAMESPACE/NAME` of the policy. secret: of the client; empty: it has none.
 * keys: base64; by the first cookies are sealed, by all of them opened. parameters: further ones of the login's URL. cookie: without prefix; domain: absent:
 * the host alone. apiPaths: all below them too. ca: PEM, in place of what the machine trusts. wrong: why nobody can log in, so that nothing is served.
 */
export type LoginPolicy = {
  readonly name: string
  readonly issuer: string
  readonly clientId: string
  readonly secret: string
  readonly secretIn: 'header' | 'body'
  readonly keys: readonly string[]
  readonly scopes: readonly string[]
  readonly parameters: readonly NameValue[]
  readonly timeoutMs: number
  readonly ca?: string
  readonly redirectPath: string
  readonly logoutPath: string
  readonly afterLogout: string
  readonly cookie: { readonly name: string; readonly domain?: string; readonly sameSite: 'Lax' | 'Strict' | 'None' }
  readonly lifetimeMs: number
  readonly refreshes: boolean
  readonly accessToken?: ForwardedToken
  readonly idToken?: ForwardedToken
  readonly claimsToHeaders: TokenIssuer['claimsToHeaders']
  readonly passesBearer: boolean
  readonly apiPaths: readonly string[]
  readonly choosesRoutes?: true
  readonly wrong?: string
}
/** header: lower case. */
export type ForwardedToken = { readonly header: string; readonly prefix: string }
export type InlineKeys = { readonly type: 'inline'; readonly jwks: string }
/** backend: by which Envoy gets them. */
export type FetchedKeys = {
  readonly type: 'url'
  readonly url: string
  readonly backend: string
  readonly refreshMs: number
  readonly timeoutMs: number
  readonly algorithms: readonly string[]
}
/** name: of a header in lower case. prefix: what stands before the token. */
export type TokenPlace =
  | { readonly type: 'header'; readonly name: string; readonly prefix: string }
  | { readonly type: 'query' | 'cookie'; readonly name: string }

/**
 * A service outside the proxy that is asked whether a request may go on. name: `NAMESPACE/NAME` of the policy, or that of the rule of a route. backend: in
 * `View.backends`; undefined: the reference is invalid, and nothing gets on. failsOpen: without an answer the request goes on. body: so much of it is shown;
 * a longer one is cut, or answered 413. when: only requests for which one of these holds are asked about; absent: all.
 */
export type Authorizer = {
  readonly name: string
  readonly backend: string | undefined
  readonly timeoutMs: number
  readonly failsOpen: boolean
  readonly ask: AuthorizerQuestion
  readonly body?: { readonly maxBytes: number; readonly isCut: boolean }
  readonly when?: readonly AccessRule[]
}
/**
 * grpc: Envoy's service.auth.v3. headers: of the request, that it is shown; absent: all. http: the method, host and path of the request, behind `prefix`, with
 * these headers and Authorization; 200 lets it on. toBackend: headers of that answer that replace those of the request; toCaller: that go into its answer.
 * All names in lower case.
 */
export type AuthorizerQuestion =
  | { readonly type: 'grpc'; readonly headers?: readonly string[] }
  | {
      readonly type: 'http'
      readonly prefix: string
      readonly headers: readonly string[]
      readonly toBackend: readonly string[] | 'all'
      readonly toCaller: readonly string[]
    }

/**
 * Requests at once, as many as a server answers without a queue (Envoy's gradient controller). percentile: of how long answers took, in an interval. roundTrip:
 * every so often so many requests are measured with no more than `limit` at once; bufferPercent: so much longer is still as fast.
 */
export type AdaptiveConcurrency = {
  readonly percentile: number
  readonly intervalMs: number
  readonly mostLimit: number
  readonly roundTrip: {
    readonly intervalMs: number
    readonly requests: number
    readonly jitterPercent: number
    readonly limit: number
    readonly bufferPercent: number
  }
}

/** Why an endpoint is left out; the same words as in a BackendPolicy. */
export type EjectionCause =
  | 'consecutive5xx'
  | 'consecutiveGatewayErrors'
  | 'consecutiveLocalOriginFailures'
  | 'successRate'
  | 'localOriginSuccessRate'
  | 'failurePercentage'
  | 'localOriginFailurePercentage'
  | 'tooManyRequests'

/** How many further tries a backend bears: a part of its requests, or a rate that is always allowed, whichever is more. */
export type RetryConstraint = {
  readonly percent: number
  readonly intervalMs: number
  readonly least: { readonly count: number; readonly intervalMs: number }
}

/** The finer points of choosing an endpoint. */
export type Balancing = {
  /** Of least-request: how many are looked at; absent: two. */
  readonly choices?: number | 'all'
  /** Of ring-hash: places on the ring; absent: as many for each endpoint as ketama has, and a bound on memory. */
  readonly ringSize?: { readonly min?: number; readonly max?: number }
  /** Of maglev: slots of the table, a prime; absent: 65,537. */
  readonly tableSize?: number
  /** Of round-robin, least-request and peak-ewma: how long it takes until an endpoint that has just come gets its full part. */
  readonly slowStartMs?: number
  /** Where fewer than so many may serve, all are used, whatever their health; absent: never. */
  readonly panicPercent?: number
}

/** Where something runs: the narrowest last. */
export type Locality = { readonly region: string; readonly zone: string; readonly host?: string }

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
  readonly locality?: Locality
  /** How near it is to this proxy: the next number helps where the lower ones cannot carry everything; absent: 0. */
  readonly priority?: number
}
export type EndpointSet = { readonly backend: string; readonly endpoints: readonly Endpoint[] }

/** A name that the mesh DNS answers. addresses: IPv4, dotted. */
export type DnsName = { readonly name: string; readonly addresses: readonly string[] }

/**
 * Whom the proxy believes to be who they say. domain: '' where a file says it: any. roots: PEM. federated: those of other trust domains, by domain, each
 * believed for identities of its own only. idTemplates: of those domains where ids have another form than the default.
 */
export type Trust = {
  readonly domain: string
  readonly roots: readonly string[]
  readonly federated?: Readonly<Record<string, readonly string[]>>
  readonly idTemplates?: IdTemplates
} & Withdrawn
/**
 * Whom it believes no more. crls: PEM, of whichever authority. areWhole: there is one of every authority that a chain of this mesh may have, up to the root,
 * as Envoy demands before it reads any. revoked: by word of operators.
 */
export type Withdrawn = { readonly crls?: readonly string[]; readonly areWhole?: true; readonly revoked?: readonly Revoked[] }
/** by: name of the Revocation. serial: of a certificate, lower-case hex. */
export type Revoked = { readonly by: string; readonly reason: string } & ({ readonly identity: TextMatch } | { readonly serial: string })

/** Each part keyed by its name. `dns` is one list, in order of name. */
export type View = {
  readonly listeners: Readonly<Record<string, Listener>>
  readonly routes: Readonly<Record<string, RouteTable>>
  readonly backends: Readonly<Record<string, Backend>>
  readonly endpoints: Readonly<Record<string, EndpointSet>>
  readonly dns: readonly DnsName[]
  readonly trust: Trust
}

export const emptyView: View = { listeners: {}, routes: {}, backends: {}, endpoints: {}, dns: [], trust: { domain: '', roots: [] } }
