/** The whole mesh as plain data: what the compiler makes of all resources, and from which each proxy's view is cut. */

import type { AccessCondition, AccessRule, TextMatch } from './access-rule.ts'
import type { Authorizer } from './authorizer.ts'
import type { Backend, EndpointSet, Origination } from './backend.ts'
import type { EgressTarget } from './egress.ts'
import type { AdaptiveConcurrency, Listener, Protocol } from './listener.ts'
import type { ConnectionLimit, LimitService, Quota, RateLimit } from './rate-limit.ts'
import type { HashOn, Route, RouteTable } from './route.ts'
import type { TlsProfile } from './tls.ts'
import type { TokenPolicy } from './token.ts'
import type { Trust } from './trust.ts'
import type { DnsName } from './view.ts'

/** What clients call, keyed by name: a listener and, where HTTP is spoken, a route table for each service port. */
export type Outbound = { readonly listeners: Readonly<Record<string, Listener>>; readonly routes: Readonly<Record<string, RouteTable>> }

/** What a Service says of the ports of the workloads that it selects. target: number or name of the workload's port. */
export type SelectedPort = {
  readonly selector: Readonly<Record<string, string>>
  readonly target: number | string
  readonly protocol: Protocol
  /** It expects a PROXY header in front of each connection. */
  readonly proxyProtocol?: 'v1' | 'v2'
}

/** Whose endpoints come first for a caller: those in the same place, then those in the same wider ones; then other regions, the listed in that order. */
export type Near = { readonly place: 'region' | 'zone' | 'host'; readonly failover?: readonly string[] }

/** labels: all of them; an empty set says nothing. */
export type ClientMatch = { readonly namespace: string; readonly service?: string; readonly labels: Readonly<Record<string, string>> }

/** What one document says, by name of the field, as it is written there; and for whom: absent, for everybody. policy: `KIND NAMESPACE/NAME`. */
export type Layer = {
  readonly policy: string
  readonly from?: readonly ClientMatch[]
  readonly says: Readonly<Record<string, unknown>>
}

/** Routes that hold for some clients only, in place of the entries of the same name. scope: the namespace, for consumer routes; absent: producer routes. */
export type Chosen = Outbound & { readonly from: readonly ClientMatch[]; readonly scope?: string }

/** What the workloads behind a port of a Service take in. routes: as callers match them, in their order; what has no limit of its own has that of the whole. */
export type Limited = {
  readonly selector: Readonly<Record<string, string>>
  readonly target: number | string
  readonly limits?: Limits
  readonly routes: readonly LimitedRoute[]
}
/** What one policy says: nothing of it is put together with another's. */
export type Limits = { readonly rateLimit?: RateLimit; readonly quota?: Quota; readonly connectionLimit?: ConnectionLimit }
/** What the service in the control plane keeps for all proxies. spenders: SPIFFE ids of the workloads whose proxies may ask. */
export type SharedLimit = RateLimit & { readonly spenders: readonly string[] }
/** What the workloads behind a port of a Service bear at once is found out. */
export type SelectedConcurrency = {
  readonly selector: Readonly<Record<string, string>>
  readonly target: number | string
  readonly concurrency: AdaptiveConcurrency
}
/** selector: absent for all workloads of the namespace. */
export type PlaceLimit = { readonly selector?: Readonly<Record<string, string>>; readonly limits: Limits }
export type LimitedRoute = Pick<Route, 'name' | 'origin' | 'match'> & { readonly limits?: Limits }

/** Which tokens requests to the workloads must bring: at one port (target), or at all; the first that fits holds. selector: absent for all of the namespace. */
export type SelectedTokens = {
  readonly selector?: Readonly<Record<string, string>>
  readonly target?: number | string
  readonly policy: TokenPolicy
}

/** Who is asked about requests and connections of the workloads, as SelectedTokens. provider: the workloads that are asked; about calls to those nobody is. */
export type SelectedAuthorizer = {
  readonly selector?: Readonly<Record<string, string>>
  readonly target?: number | string
  readonly authorizer: Authorizer
  readonly provider?: {
    readonly namespace: string
    readonly selector: Readonly<Record<string, string>>
    readonly target: number | string
  }
}

/** What the workloads behind a port take in, and how they answer. */
export type SelectedBodies = {
  readonly selector: Readonly<Record<string, string>>
  readonly target: number | string
  readonly bodies: Pick<Route, 'sizes' | 'compression'>
  /** Key of the port of the Service, and names of the RoutePolicies that say anything of it. */
  readonly port: string
  readonly by: readonly string[]
}

/** Whom one policy judges: the workloads of the namespace (absent: of all) that the selector selects (absent: all), at one port of theirs (absent: at all). */
export type GuardTarget = {
  readonly namespace?: string
  readonly selector?: Readonly<Record<string, string>>
  readonly port?: { readonly target: number | string; readonly isUdp: boolean }
}
/** as: what its rules are; audit: only tried. */
export type Guard = {
  readonly as: 'allow' | 'deny'
  readonly isAudit: boolean
  readonly targets: readonly GuardTarget[]
  readonly rules: readonly GuardRule[]
}
/** As AccessRule. ports: of the workload; empty of both: all. */
export type GuardRule = {
  readonly name: string
  readonly from: readonly (readonly AccessCondition[])[]
  readonly to: readonly GuardOperation[]
  readonly when?: AccessRule['when']
}
export type GuardOperation = {
  readonly ports: readonly number[]
  readonly notPorts: readonly number[]
  readonly http: readonly AccessCondition[]
}

/** Whose calls out of the mesh one EgressPolicy judges, the wider targets with lower rank: the mesh, a namespace, the workloads of it that are selected. */
export type EgressGuard = {
  readonly policy: string
  readonly targets: readonly {
    readonly rank: 0 | 1 | 2
    readonly namespace?: string
    readonly selector?: Readonly<Record<string, string>>
  }[]
  readonly default?: 'allow' | 'deny'
  readonly rules: readonly EgressGuardRule[]
}
/** from: absent for all of the targets. */
export type EgressGuardRule = {
  readonly name: string
  readonly as: 'allow' | 'deny'
  readonly to: readonly EgressTarget[]
  readonly from?: readonly ClientMatch[]
}

/** What the ports of workloads take: mutual TLS, plaintext too, or plaintext only. */
export type MtlsMode = 'strict' | 'permissive' | 'disabled'
export type MtlsModes = {
  /** Where nothing narrower says it. */
  readonly everywhere: MtlsMode
  /** By namespace of the workloads: the first that names a port counts. */
  readonly places: Readonly<Record<string, readonly MtlsPlace[]>>
  /** By namespace: ports behind which plaintext would lose more than the identity; they are never disabled. */
  readonly needed: Readonly<Record<string, readonly MtlsPort[]>>
  /** By `WORKLOAD.NAMESPACE:PORT`: on their way between mutual TLS and plaintext, they take both, and this is what callers speak meanwhile. */
  readonly moving: Readonly<Record<string, Spoken>>
}
export type Spoken = 'tls' | 'plaintext'
export type MtlsPort = { readonly selector: Readonly<Record<string, string>>; readonly target: number | string }
/** Absent: all workloads of the namespace; all ports. */
export type MtlsPlace = Partial<MtlsPort> & { readonly mode: MtlsMode }

/** What one TelemetryPolicy says of proxies, by name of the field as it is written there. namespace: absent: of all; selector: absent: of all workloads there. */
export type TelemetryLayer = {
  readonly namespace?: string
  readonly selector?: Readonly<Record<string, string>>
  readonly layer: Layer
}

/** Objects that did not change between two compiles are the same objects, so that their encoding can be kept. */
export type Mesh = {
  readonly trust: Trust
  /** Denied at every port where identities are proven, before all that policies say: who is revoked. */
  readonly blocked: readonly AccessRule[]
  /** Where it is the same everywhere, only that. */
  readonly mtls: MtlsMode | MtlsModes
  /** What mutual TLS between proxies agrees on; absent: modern. */
  readonly profile?: TlsProfile
  /** For clients of every namespace: producer routes. */
  readonly outbound: Outbound
  /** By namespace of the client: consumer routes, which stand in place of the entries of the same name. */
  readonly consumers: Readonly<Record<string, Outbound>>
  readonly backends: Readonly<Record<string, Backend>>
  readonly endpoints: Readonly<Record<string, EndpointSet>>
  /** By name of the backend, where callers prefer what is near them. */
  readonly near: Readonly<Record<string, Near>>
  /** qualified: names that hold everywhere; short: by namespace of the client. Both in order of name. */
  readonly dns: { readonly qualified: readonly DnsName[]; readonly short: Readonly<Record<string, readonly DnsName[]>> }
  /** By namespace: protocols that Services declare for ports of workloads, of which the workload itself does not know. */
  readonly declared: Readonly<Record<string, readonly SelectedPort[]>>
  /** By `NAMESPACE/NAME` of a Gateway: what its proxies listen on. It may hold private keys, and is for those proxies only. */
  readonly gateways: Readonly<Record<string, Outbound>>
  /** By `NAMESPACE/NAME` of a Gateway and name of the backend: the TLS that its proxies begin inside that of the mesh (`inTls`); refused: it cannot be begun. */
  readonly inside: Readonly<Record<string, Readonly<Record<string, Origination | 'refused'>>>>
  /** Routes for some clients: where several are for one, the last holds; those with a scope after those without. */
  readonly chosen: readonly Chosen[]
  /** What differs for some clients: all that is said of it, what counts most first. What nobody is named for is settled in place. */
  readonly perClient: {
    /** By route table and name of the route. */
    readonly routes: Readonly<Record<string, Readonly<Record<string, readonly Layer[]>>>>
    /** By name of the listener, of opaque bytes. */
    readonly listeners: Readonly<Record<string, readonly Layer[]>>
    /** By name. protocol: what its port speaks. */
    readonly backends: Readonly<Record<string, { readonly protocol: Protocol; readonly layers: readonly Layer[] }>>
    /** By what requests to backends are recognised; only where backends differ. */
    readonly hashes: Readonly<Record<string, readonly HashOn[]>>
  }
  /** By namespace of the workloads; of two for one port the first counts. */
  /** By namespace of the workloads. */
  readonly bodies: Readonly<Record<string, readonly SelectedBodies[]>>
  readonly concurrency: Readonly<Record<string, readonly SelectedConcurrency[]>>
  /** By namespace of the workloads, those that count first. */
  readonly rateLimits: Readonly<Record<string, readonly Limited[]>>
  /** By namespace, what holds for workloads where no Service has a limit: the first that selects one. */
  readonly placeLimits: Readonly<Record<string, readonly PlaceLimit[]>>
  /** By `NAMESPACE/NAME` of the policy. */
  readonly sharedLimits: Readonly<Record<string, SharedLimit>>
  /** By namespace of the called workloads, what counts most first. */
  readonly tokens: Readonly<Record<string, readonly SelectedTokens[]>>
  /** By namespace of the called workloads, what counts most first. */
  readonly authorizers: Readonly<Record<string, readonly SelectedAuthorizer[]>>
  /** What proxies tell of what passes, what counts most first; all of them that select a proxy are merged. */
  readonly telemetry: readonly TelemetryLayer[]
  /** Who counts for all proxies. */
  readonly limitService: LimitService
  /** Who may call: those of older policies first. */
  readonly guards: readonly Guard[]
  /** What holds where no policy allows anything. */
  readonly access: 'allow' | 'deny'
  /** The same by namespace of the called, where that has its own. */
  readonly accessIn: Readonly<Record<string, 'allow' | 'deny'>>
  /** Which callers are told why they are denied. */
  readonly tellsWhy: readonly TextMatch[]
  /** What may be called outside, those of older policies first. */
  readonly egress: readonly EgressGuard[]
  /** By name of the listener: the host of an ExternalService that it stands for, exact or `*.suffix`. Of the latter there is no address. */
  readonly external: Readonly<Record<string, string>>
  /** By name of the backend: the namespace whose proxies alone may have it, for its certificate. */
  readonly owned: Readonly<Record<string, string>>
}
