/** What a route leads to, how it is reached and shared out, and the endpoints behind it. */

import type { HealthCheck, OutlierDetection } from './endpoint-health.ts'
import type { RetryConstraint } from './retry.ts'
import type { TlsProfile } from './tls.ts'

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

export type EndpointSet = { readonly backend: string; readonly endpoints: readonly Endpoint[] }

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

/** Where something runs: the narrowest last. */
export type Locality = { readonly region: string; readonly zone: string; readonly host?: string }

/** degraded: used only when nothing is healthy. */
export type Health = 'healthy' | 'degraded' | 'unhealthy' | 'draining'
