/** Every way in which the mesh itself ends a request or a connection: its name, whose fault it is, what the caller is told, and whether it may be tried again. One table as a whole, from which pages and answers are made. */

/** Who is to blame: the caller, the called, the mesh's own state, or a rule that somebody wrote. */
export type Blame = 'downstream' | 'upstream' | 'mesh' | 'policy'

/** `final`: never again. `safe`: nothing was sent, any other endpoint may be tried. `reused`: for methods that may be repeated, when the connection closed without a byte: always on one that had served before, else once. */
export type Fate = 'final' | 'safe' | 'reused'

type Entry = {
  readonly status: number
  readonly grpc: number
  readonly blame: Blame
  readonly fate: Fate
  readonly says: string
  readonly hint: string
}

/** status: HTTP status; grpc: the gRPC status code of the same meaning (grpc/doc/statuscodes.md). The reference page and the response header derive from this table. */
export const failures = {
  'bad-request': {
    status: 400,
    grpc: 13,
    blame: 'downstream',
    fate: 'final',
    says: 'the request is not valid HTTP',
    hint: 'the detail names the rule of RFC 9112 that it breaks',
  },
  'proxy-header-invalid': {
    status: 400,
    grpc: 13,
    blame: 'downstream',
    fate: 'final',
    says: 'the connection does not begin with a PROXY header, as this port demands',
    hint: 'only a balancer that speaks the PROXY protocol may call this port: turn it on there, or take --accept-proxy-protocol away',
  },
  'header-too-large': {
    status: 431,
    grpc: 8,
    blame: 'downstream',
    fate: 'final',
    says: 'the header section is larger than the limit',
    hint: 'send fewer or shorter headers',
  },
  'request-too-large': {
    status: 413,
    grpc: 8,
    blame: 'downstream',
    fate: 'final',
    says: 'the body of the request is larger than the limit',
    hint: 'send less at once, or raise limits.requestBody of the RoutePolicy; weft explain policy says which',
  },
  'coding-not-supported': {
    status: 415,
    grpc: 12,
    blame: 'downstream',
    fate: 'final',
    says: 'the body of the request is in a coding that is not taken',
    hint: 'the detail names the codings that are (RFC 9110 §15.5.16)',
  },
  'uri-too-long': {
    status: 414,
    grpc: 8,
    blame: 'downstream',
    fate: 'final',
    says: 'the request target is longer than the limit',
    hint: 'shorten the URL',
  },
  'not-implemented': {
    status: 501,
    grpc: 12,
    blame: 'downstream',
    fate: 'final',
    says: 'the request uses a feature that this proxy does not carry',
    hint: 'the detail names it',
  },
  'version-not-supported': {
    status: 505,
    grpc: 12,
    blame: 'downstream',
    fate: 'final',
    says: 'the request is in a version of HTTP that is not spoken here',
    hint: 'the detail names it (RFC 9110 §15.6.6)',
  },
  'request-timeout': {
    status: 408,
    grpc: 4,
    blame: 'downstream',
    fate: 'final',
    says: 'the request did not arrive in time',
    hint: 'the client was too slow to send its header',
  },
  'no-route': {
    status: 404,
    grpc: 12,
    blame: 'policy',
    fate: 'final',
    says: 'no route of this service matches the request',
    hint: 'weft get httproutes,grpcroutes; add a rule that matches, or one without matches',
  },
  'tunnel-refused': {
    status: 405,
    grpc: 12,
    blame: 'policy',
    fate: 'final',
    says: 'CONNECT makes a tunnel, and nobody said that one may be made here',
    hint: 'an HTTPRoute whose match names method: CONNECT lets it through',
  },
  misdirected: {
    status: 421,
    grpc: 5,
    blame: 'downstream',
    fate: 'final',
    says: 'the host of the request belongs to another listener than the name that the TLS connection asked for',
    hint: 'open a new connection for that host (RFC 9110 §15.5.20)',
  },
  'no-listener': {
    status: 404,
    grpc: 12,
    blame: 'mesh',
    fate: 'final',
    says: 'the mesh knows no service of that name and port',
    hint: 'weft get services',
  },
  'backend-invalid': {
    status: 500,
    grpc: 14, // UNAVAILABLE, as Gateway API words it (GRPCRouteRule.backendRefs)
    blame: 'policy',
    fate: 'final',
    says: 'the route refers to a backend that does not exist or may not be used',
    hint: 'weft describe the route: its ResolvedRefs condition names the reference',
  },
  'rule-invalid': {
    status: 500,
    grpc: 13,
    blame: 'policy',
    fate: 'final',
    says: 'the matching rule asks for something that is not carried out',
    hint: 'weft describe the route: its conditions name the field',
  },
  'no-endpoint': {
    status: 503,
    grpc: 14,
    blame: 'upstream',
    fate: 'final',
    says: 'the backend has no ready endpoint',
    hint: 'weft get workloads shows which are ready, weft describe service whom callers leave out, and why',
  },
  'connect-refused': {
    status: 503,
    grpc: 14,
    blame: 'upstream',
    fate: 'safe',
    says: 'the endpoint refused the connection',
    hint: 'is the process listening on the declared port?',
  },
  'connect-timeout': {
    status: 503,
    grpc: 14,
    blame: 'upstream',
    fate: 'safe',
    says: 'the endpoint did not answer in time',
    hint: 'is its host up and reachable?',
  },
  'connect-failed': {
    status: 503,
    grpc: 14,
    blame: 'upstream',
    fate: 'safe',
    says: 'the connection to the endpoint could not be made',
    hint: 'the detail carries the operating system error',
  },
  'tls-failed': {
    status: 503,
    grpc: 14,
    blame: 'upstream',
    fate: 'safe',
    says: 'the TLS handshake with the endpoint failed',
    hint: 'weft status shows the certificates of both ends',
  },
  'identity-mismatch': {
    status: 503,
    grpc: 14,
    blame: 'upstream',
    fate: 'safe',
    says: 'the endpoint proved another identity than the one expected',
    hint: 'the detail names both SPIFFE ids',
  },
  'stream-refused': {
    status: 503,
    grpc: 14,
    blame: 'upstream',
    fate: 'safe',
    says: 'the endpoint took no more requests on the connection',
    hint: 'it is shutting down or overloaded; another endpoint takes over',
  },
  'upstream-reset': {
    status: 502,
    grpc: 14,
    blame: 'upstream',
    fate: 'reused',
    says: 'the endpoint closed the connection before it answered',
    hint: 'look at the log of the called process',
  },
  'upstream-invalid': {
    status: 502,
    grpc: 13,
    blame: 'upstream',
    fate: 'final',
    says: 'the endpoint answered with something that is not valid HTTP',
    hint: 'the detail names the rule of RFC 9112 that it breaks; is the port declared with the right protocol?',
  },
  'upstream-timeout': {
    status: 504,
    grpc: 4,
    blame: 'upstream',
    fate: 'final',
    says: 'the endpoint did not answer within the timeout',
    hint: 'see timeouts of the route',
  },
  'caller-gone': {
    status: 499,
    grpc: 1,
    blame: 'downstream',
    fate: 'final',
    says: 'the caller broke the connection off',
    hint: 'look at the log of the calling process; a timeout of its own is the usual reason',
  },
  'idle-timeout': {
    status: 408,
    grpc: 4,
    blame: 'downstream',
    fate: 'final',
    says: 'nothing passed on the connection for as long as it may be idle',
    hint: 'let the program ask for TCP keep-alive of its own protocol, or raise the idle timeout',
  },
  'identity-required': {
    status: 403,
    grpc: 16,
    blame: 'policy',
    fate: 'final',
    says: 'the caller proved no identity and this port accepts none without',
    hint: 'call it from inside the mesh: weft run -- …',
  },
  'access-denied': {
    status: 403,
    grpc: 7,
    blame: 'policy',
    fate: 'final',
    says: 'an AccessPolicy does not let this caller do this',
    hint: 'weft explain request says which; the log of the called proxy has the decision by its number',
  },
  'token-missing': {
    status: 401,
    grpc: 16,
    blame: 'policy',
    fate: 'final',
    says: 'a JWTPolicy asks for a token, and the request brings none',
    hint: 'send one, as a rule in Authorization: Bearer …',
  },
  'token-invalid': {
    status: 401,
    grpc: 16,
    blame: 'policy',
    fate: 'final',
    says: 'the token of the request is not one that a JWTPolicy takes',
    hint: 'the detail says what is wrong with it',
  },
  'token-expired': {
    status: 401,
    grpc: 16,
    blame: 'policy',
    fate: 'final',
    says: 'the token of the request holds no more',
    hint: 'get a new one from its issuer',
  },
  'keys-unavailable': {
    status: 503,
    grpc: 14,
    blame: 'mesh',
    fate: 'final',
    says: 'the keys by which tokens are verified could not be had',
    hint: 'the detail names the provider of the JWTPolicy: does its url answer, or does its ConfigMap exist?',
  },
  'login-required': {
    status: 401,
    grpc: 16,
    blame: 'policy',
    fate: 'final',
    says: 'a LoginPolicy asks for a login, and the request belongs to none that holds',
    hint: 'open a page of this host in a browser, which is sent to the login; the detail says why this request was not',
  },
  'login-failed': {
    status: 400,
    grpc: 16,
    blame: 'downstream',
    fate: 'final',
    says: 'the login did not succeed',
    hint: 'begin it again from a page of this host; the detail says what was wrong',
  },
  'login-unavailable': {
    status: 503,
    grpc: 14,
    blame: 'mesh',
    fate: 'final',
    says: 'nobody can log in now',
    hint: 'the detail says why: does the issuer of the LoginPolicy answer, and do its Secrets exist?',
  },
  'external-authorization-denied': {
    status: 403,
    grpc: 7,
    blame: 'policy',
    fate: 'final',
    says: 'the service that an ExternalAuthorizationPolicy or a filter ExternalAuth names does not let this request on',
    hint: 'the answer is that of the service, with its status and headers: its own log says why',
  },
  'external-authorization-unavailable': {
    status: 503,
    grpc: 14,
    blame: 'mesh',
    fate: 'final',
    says: 'the service that is asked about this request gave no answer, and nothing goes on without one',
    hint: 'the log of the proxy says what is wrong with which service; with failOpen: true requests go on meanwhile',
  },
  'external-authorization-invalid': {
    status: 500,
    grpc: 13,
    blame: 'mesh',
    fate: 'final',
    says: 'the service that is asked about this request answered what cannot be carried out',
    hint: 'the log of the proxy says what: it may set headers, but none that frame a message or tell who called',
  },
  'egress-denied': {
    status: 403,
    grpc: 7,
    blame: 'policy',
    fate: 'final',
    says: 'an EgressPolicy does not let this workload call that outside the mesh',
    hint: 'the detail names the policy: weft get egresspolicies; allow the host there, or write an ExternalService for it',
  },
  'fault-injected': {
    status: 503,
    grpc: 14,
    blame: 'policy',
    fate: 'final',
    says: 'a FaultPolicy breaks this request on purpose',
    hint: 'nothing is wrong with the called service; the detail names the policy: delete it to end this',
  },
  'rate-limited': {
    status: 429,
    grpc: 8,
    blame: 'policy',
    fate: 'final',
    says: 'more requests came than a RateLimitPolicy lets in',
    hint: 'wait for as long as Retry-After says; the detail names the policy',
  },
  'rate-limit-unavailable': {
    status: 503,
    grpc: 14,
    blame: 'mesh',
    fate: 'final',
    says: 'the service that counts for all proxies gave no answer, and a RateLimitPolicy lets nothing through without it',
    hint: 'is the control plane, or the service that Mesh spec.rateLimits names, up? With failOpen: true requests go on meanwhile',
  },
  overload: {
    status: 503,
    grpc: 8,
    blame: 'mesh',
    fate: 'final',
    says: 'a limit of the proxy is reached',
    hint: 'the detail names the limit',
  },
  'backend-limit': {
    status: 503,
    grpc: 14,
    blame: 'policy',
    fate: 'final',
    says: 'as much is under way to the backend as its policy allows',
    hint: 'the detail names which of the limits of its BackendPolicy: raise it, or find out why the backend is slow',
  },
  'concurrency-limit': {
    status: 503,
    grpc: 14,
    blame: 'policy',
    fate: 'final',
    says: 'as much is under way at the workload as it answers without a queue',
    hint: 'its BackendPolicy says adaptiveConcurrency: run more workloads, or find out why this one became slow; weft_concurrency_limit shows the limit',
  },
  draining: {
    status: 503,
    grpc: 14,
    blame: 'mesh',
    fate: 'safe',
    says: 'the proxy is shutting down',
    hint: 'try again; another endpoint takes over',
  },
  'drain-deadline': {
    status: 503,
    grpc: 14,
    blame: 'mesh',
    fate: 'final',
    says: 'the proxy ended before this did',
    hint: 'give it longer with --drain, or let the caller connect anew sooner',
  },
  'not-ready': {
    status: 503,
    grpc: 14,
    blame: 'mesh',
    fate: 'safe',
    says: 'the proxy has no configuration yet',
    hint: 'weft status: is the control plane up?',
  },
} as const satisfies Record<string, Entry>

export type FailureCode = keyof typeof failures

/** A failure of the mesh, not a bug: it has no stack. Thrown in the proxy to the one catch of `serve`. */
export class Failure {
  readonly code: FailureCode
  readonly detail: string
  constructor(code: FailureCode, detail = '') {
    this.code = code
    this.detail = detail
  }
  get status(): number {
    return failures[this.code].status
  }
  /** The gRPC status of the same meaning. */
  get grpc(): number {
    return failures[this.code].grpc
  }
  get blame(): Blame {
    return failures[this.code].blame
  }
  get fate(): Fate {
    return failures[this.code].fate
  }
  /** One sentence for a person. */
  get says(): string {
    return failures[this.code].says + (this.detail ? `: ${this.detail}` : '')
  }
  get hint(): string {
    return failures[this.code].hint
  }
}
