/** The part of the operator API that is not resources: what the mesh is doing now. Served under /weft/v1, read by the CLI and the dashboard. Browser-safe. */

import type { View } from '#model/view'
import type { Grant } from './rights.ts'

/** GET /weft/v1/status */
export type ControlStatus = {
  readonly version: string
  readonly startedAt: string // RFC 3339
  readonly trustDomain: string
  /** Of the ids of its workloads, such as /ns/{namespace}/sa/{serviceAccount}; absent (an older control plane): that. */
  readonly idTemplate?: string
  readonly xds: { readonly host: string; readonly port: number }
  readonly store: { readonly path: string; readonly revision: number }
  /** type: what signs; BuiltIn: keys of the mesh's own. leafLifeSeconds: of the certificates of workloads. */
  readonly authority: { readonly type: string; readonly leafLifeSeconds: number }
  readonly certificates: readonly {
    readonly use: 'root' | 'intermediate' | 'control'
    readonly subject: string
    readonly notAfter: string
  }[]
  readonly mtls: MtlsStanding
  readonly proxies: readonly ProxyStatus[]
  /** Absent: of an older control plane. */
  readonly trust?: TrustTold
  /** Certificates of Gateways that CertificateIssuers get; names are `NAMESPACE/NAME`, times RFC 3339. Absent: of an older control plane. */
  readonly ordered?: readonly OrderedTold[]
}

/** notAfter: absent: there is none yet. dangerFrom: from when on it is dangerous that there is no other. problem: why the last try gave none, and what to do. */
export type OrderedTold = {
  readonly secret: string
  readonly issuer: string
  readonly notAfter?: string
  readonly renewsAt?: string
  readonly dangerFrom?: string
  readonly problem?: string
  readonly triesAt?: string
}

/**
 * Who is not believed any more, and who else is. Times are RFC 3339. lists: those that the authority signed, of each that may stand in a chain. failing: why the
 * bundle of a TrustDomain could not be fetched, or read.
 */
export type TrustTold = {
  readonly revocations: readonly {
    readonly name: string
    readonly revokes: readonly string[]
    readonly reason: string
    readonly until?: string
  }[]
  readonly lists: readonly {
    readonly issuer: string
    readonly number?: string
    readonly thisUpdate: string
    readonly nextUpdate?: string
    readonly entries: number
  }[]
  readonly domains: readonly {
    readonly name: string
    readonly trustDomain: string
    readonly roots: readonly { readonly subject: string; readonly sha256: string; readonly notAfter: string }[]
    readonly url?: string
    readonly sequence?: number
    readonly refreshedAt?: string
    readonly failing?: string
  }[]
}

/** What the ports of workloads behind proxies take: how many of each mode. plaintext: how many of them were called in plaintext in the last ten minutes. */
export type MtlsStanding = { readonly strict: number; readonly permissive: number; readonly disabled: number; readonly plaintext: number }

export type SyncState = 'synced' | 'pending' | 'rejected' | 'disconnected'

/** GET /weft/v1/proxies; revisions are store revisions: `active` is the newest that the proxy has acknowledged whole. */
export type ProxyStatus = {
  readonly id: string // `WORKLOAD.NAMESPACE`
  readonly workload: string
  readonly namespace: string
  readonly service: string
  readonly version: string
  readonly state: SyncState
  readonly connectedAt?: string
  /** RFC 3339; '' when that is not known. */
  readonly lastSeen: string
  readonly wanted: number
  readonly active: number
  readonly rejected: readonly { readonly type: string; readonly resource: string; readonly reason: string; readonly at: string }[]
  /** Of an Envoy: what it has no means for, by which document (name: `NAMESPACE/NAME`; '': not known), and what becomes of it. Absent: nothing. */
  readonly lacking?: readonly {
    readonly kind: string
    readonly name: string
    readonly fate: 'closed' | 'partly' | 'without' | 'less'
    readonly says: string
  }[]
  readonly health: 'healthy' | 'degraded' | 'unhealthy' | 'draining'
  readonly identity: string // SPIFFE id
  readonly certificate?: { readonly notAfter: string; readonly serial: string }
  readonly admin?: string
  /** Why its identity, or the certificate that it shows, is not believed any more: a sentence. Absent: it is. */
  readonly revoked?: string
  /** Since when, where its Workload is still listed: RFC 3339. */
  readonly revokedAt?: string
}

/** GET /weft/v1/proxies/ID/config: the view that the control plane compiled for it. */
export type ProxyConfig = { readonly id: string; readonly revision: number; readonly view: View }

/**
 * GET /weft/v1/proxies/ID/detections: what the proxy found out of connections to ports of which nothing declares the protocol. outcome: sniffed
 * (its first bytes told) or opaque. count: since the proxy started. lastAt: RFC 3339; absent where it was before this control plane heard of it.
 */
export type Detection = {
  readonly direction: string
  readonly listener: string
  readonly protocol: string
  readonly outcome: string
  readonly count: number
  readonly lastAt?: string
}

/**
 * GET /weft/v1/policies?service=NAME.NAMESPACE[&port=N][&from=WORKLOAD.NAMESPACE][&label=K=V][&route=NAME][&path=/P?Q][&method=M][&header=NAME: VALUE]: what
 * holds for the calls to a Service, field by field, and by whose word. header: name in lower case; may be repeated, as label.
 */
export type { ClientTold, FieldTold, PoliciesTold, PortTold, RouteTold } from '#model/policies-told'

/**
 * GET /weft/v1/resilience[?service=NAME.NAMESPACE]: what proxies do now so that what is ill or full does no harm, as they last said. backend: the port, or part, of the service in question. leftOut: who is not
 * called, by which proxy, why, until when (RFC 3339). limits: of BackendPolicies, of each calling proxy. concurrency: what the proxy gives its own
 * workload at once, found by how long an answer takes with few under way (0: not measured yet).
 */
export type Resilience = {
  readonly leftOut: readonly {
    readonly proxy: string
    readonly service: string
    readonly backend: string
    readonly workload: string
    readonly address: string
    readonly cause: string
    readonly until: string
  }[]
  readonly limits: readonly {
    readonly proxy: string
    readonly service: string
    readonly backend: string
    readonly limit: string
    readonly most: number
    readonly used: number
    readonly isOpen: boolean
  }[]
  readonly concurrency: readonly {
    readonly proxy: string
    readonly listener: string
    readonly limit: number
    readonly used: number
    readonly roundTripMs: number
  }[]
}

/**
 * GET /weft/v1/mtls[?namespace=NS][&service=NAME][&port=NUMBER|NAME][&within=SECONDS]: who still speaks plaintext to ports of workloads, and whether it is safe
 * to make them strict. why: what forbids it, for people. within: 600 unless said; what was longer ago does not count. watchedSeconds: since when all of these
 * ports are watched.
 */
export type MtlsReport = {
  readonly safe: boolean
  readonly why: readonly string[]
  readonly withinSeconds: number
  readonly watchedSeconds: number
  readonly ports: readonly MtlsPortReport[]
}
/** mutual: connections with mutual TLS since its proxy started. callers: in plaintext; refused: the same where it is strict. watchedSince: RFC 3339; absent: nobody watches. */
export type MtlsPortReport = {
  readonly workload: string
  readonly namespace: string
  readonly service: string
  readonly port: number
  readonly name?: string
  readonly mode: 'strict' | 'permissive' | 'disabled'
  readonly watchedSince?: string
  readonly mutual: number
  readonly callers: readonly MtlsCaller[]
  readonly refused: readonly MtlsCaller[]
  readonly why?: string
}
/** address: IP, or `other` for those beyond the first hundred. workload: `NAME.NAMESPACE` of whose it is, if that is known. connections: since its proxy started; open: now. */
export type MtlsCaller = {
  readonly address: string
  readonly workload?: string
  readonly connections: number
  readonly open: number
  readonly lastAt: string
}

/** GET /weft/v1/convergence?revision=N: who has N active. */
export type Convergence = {
  readonly revision: number
  readonly total: number
  readonly active: number
  readonly pending: readonly string[]
  readonly rejected: readonly { readonly proxy: string; readonly resource: string; readonly reason: string }[]
}

/**
 * POST /weft/v1/tokens → a join token: a JWT whose payload also tells where to connect and which root to trust. uses: how often it brings somebody in; absent: any
 * number of times until it expires. selector: of labels, in Kubernetes syntax, that a workload which joined by it must have.
 */
export type TokenRequest = {
  readonly namespace: string
  readonly serviceAccount: string
  readonly ttlSeconds?: number
  readonly uses?: number
  readonly selector?: string
}
/** id: by which it is listed and revoked. */
export type TokenReply = { readonly token: string; readonly expiresAt: string; readonly identity: string; readonly id: string }

/** GET /weft/v1/tokens: the join tokens that were made and have not expired longer ago than a day, newest first. DELETE /weft/v1/tokens/ID: it is of no use any more. Times are RFC 3339. */
export type JoinTokenTold = {
  readonly id: string
  readonly identity: string
  readonly state: 'usable' | 'used' | 'expired' | 'revoked'
  readonly uses?: number
  readonly used: number
  readonly selector?: string
  readonly createdAt: string
  readonly createdBy: string
  readonly expiresAt: string
  readonly revokedAt?: string
  readonly lastUse?: { readonly at: string; readonly from: string }
}

/**
 * GET /weft/v1/root-rotation: at which stage the replacement of the root is, and what the next step waits for. POST, with { action: step | start | stop, force? }:
 * the plan afterwards; 409 where the step waits. sha256: of the certificate, hex.
 */
export type RootPlan = {
  readonly stage: 'steady' | 'introduced' | 'signing'
  readonly since: string
  /** Further steps are taken by the control plane when nothing waits for them. */
  readonly automatic: boolean
  /** What signs. */
  readonly root: RootTold
  /** introduced: what will sign; signing: what did. */
  readonly other?: RootTold
  readonly next: RootStep['step']
  readonly steps: readonly RootStep[]
  /** For people; empty: the next step breaks nothing. */
  readonly waitsFor: readonly string[]
}
export type RootTold = { readonly sha256: string; readonly notAfter: string }
export type RootStep = { readonly step: 'introduce' | 'sign' | 'retire'; readonly does: string; readonly done: boolean }
export type RootRequest = { readonly action: 'step' | 'start' | 'stop'; readonly force?: boolean }

/**
 * GET /weft/v1/audit?since=TIME&before=ID&kind=&namespace=&name=&who=&limit=100: who changed what, newest first. before, in the reply: ask for what is older
 * with it; absent: there is no more.
 */
export type AuditPage = { readonly items: readonly AuditEntry[]; readonly before?: number }
/**
 * at: RFC 3339. who: as proved; how: by what (token, certificate, oidc), absent where nobody had to prove anything; address, agent: from where and with what it was asked for. action: created,
 * changed, deleted, or what was done; `refused …` what was not.
 */
export type AuditEntry = {
  readonly id: number
  readonly at: string
  readonly revision: number
  readonly who: string
  readonly how?: string
  readonly address: string
  readonly agent: string
  readonly action: string
  readonly kind: string
  readonly namespace?: string
  readonly name: string
  readonly changes: readonly FieldChange[]
}
/** before, after: absent where the field was not there. Lists are told whole; what a Secret holds is `(hidden)`. */
export type FieldChange = { readonly path: string; readonly before?: unknown; readonly after?: unknown }
export type AuditQuery = {
  readonly since?: string
  readonly before?: number
  readonly kind?: string
  readonly namespace?: string
  readonly name?: string
  readonly who?: string
  readonly limit?: number
}

/**
 * GET /weft/v1/users: who has a token for this API. POST, with { name, roles, ttlSeconds? }: 201 with the token, told once. DELETE /weft/v1/users/NAME: its
 * token holds no more, and what was begun with it ends. roles: `viewer`, `editor` or `admin`, and perhaps the namespaces: `editor:shop,cart`. RFC 3339.
 */
export type User = {
  readonly name: string
  readonly roles: readonly string[]
  readonly createdAt: string
  readonly createdBy: string
  readonly expiresAt?: string
  readonly lastUsedAt?: string
}
export type UserRequest = { readonly name: string; readonly roles: readonly string[]; readonly ttlSeconds?: number }
export type UserReply = { readonly user: User; readonly token: string }

/**
 * GET /weft/v1/login, open to all: whether one has to log in, by what, and who is. POST, with { token }: a session by cookie. /weft/v1/login/oidc: to the
 * OpenID provider. POST /weft/v1/logout.
 */
export type Login = {
  readonly isRequired: boolean
  /** What the provider is called; absent: there is none. */
  readonly oidc?: { readonly name: string }
  /** Absent: nobody is logged in. grants: what is allowed. */
  readonly user?: { readonly name: string; readonly how: string; readonly grants: readonly Grant[]; readonly until?: string }
}

/** GET /weft/v1/rights: each route with the right that it needs; `open`: none; `known`: to be logged in. */
export type RouteRight = { readonly route: string; readonly right: string; readonly does: string }

/** GET /weft/v1/calls[?seconds=N]: who called what, and which access rules decided, in all the time that the control plane watches or in the last seconds. */
export type { CallSeen, CallsSeen, DecisionsSeen } from '#model/calls'

/** GET /weft/v1/topology?seconds=60: services and the traffic between them, from the proxies' own counts. Rates per second, latency in ms. */
export type { Topology, TopologyEdge, TopologyEnd, TopologyService } from '#model/topology'

/** GET /weft/v1/series?service=NAME.NAMESPACE&seconds=600[&side=inbound|outbound]: points of 5 s, oldest first. */
export type { Series } from '#model/topology'

/** Any error of the operator API is a Kubernetes Status object; `message` is for people, `details.causes[]` name fields. */
