/** The whole mesh as plain data: what the compiler makes of all resources, and from which each proxy's view is cut. */

import type { AccessCondition, Backend, DnsName, EndpointSet, Fault, Listener, Protocol, RateLimit, Route, RouteTable } from './view.ts'

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

/** from: absent for everybody. */
export type Injection = { readonly fault: Fault; readonly from?: readonly ClientMatch[] }

/** What the workloads behind a port of a Service take in. routes: as callers match them, in their order; what has no limit of its own has that of the whole. */
export type Limited = {
  readonly selector: Readonly<Record<string, string>>
  readonly target: number | string
  readonly rateLimit?: RateLimit
  readonly routes: readonly LimitedRoute[]
}
export type LimitedRoute = Pick<Route, 'name' | 'origin' | 'match' | 'rateLimit'>

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
}
export type GuardOperation = {
  readonly ports: readonly number[]
  readonly notPorts: readonly number[]
  readonly http: readonly AccessCondition[]
}

/** Objects that did not change between two compiles are the same objects, so that their encoding can be kept. */
export type Mesh = {
  readonly trust: { readonly domain: string; readonly roots: readonly string[] }
  readonly mtls: 'strict' | 'permissive'
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
  /** By route table and name of the route: the first that is for a client is the one it gets. */
  readonly faults: Readonly<Record<string, Readonly<Record<string, readonly Injection[]>>>>
  /** The same of opaque connections, by name of the listener. */
  readonly connectionFaults: Readonly<Record<string, readonly Injection[]>>
  /** By namespace of the workloads, those that count first. */
  readonly rateLimits: Readonly<Record<string, readonly Limited[]>>
  /** Who may call: those of older policies first. */
  readonly guards: readonly Guard[]
  /** What holds where no policy allows anything. */
  readonly access: 'allow' | 'deny'
}
