/** A place where connections arrive, as a view has it: what the bytes are, where they lead, and what is asked of who comes. */

import type { Access, TextMatch } from './access-rule.ts'
import type { Authorizer } from './authorizer.ts'
import type { Egress } from './egress.ts'
import type { Fault } from './fault.ts'
import type { LoginPolicy } from './login.ts'
import type { ConnectionLimit, LimitService } from './rate-limit.ts'
import type { WeightedBackend } from './route.ts'
import type { Telemetry } from './telemetry.ts'
import type { TlsProfile } from './tls.ts'
import type { TokenPolicy } from './token.ts'

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
  /** What is told of its requests and connections; absent: only metrics. */
  readonly telemetry?: Telemetry
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
