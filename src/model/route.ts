/** Which requests go where: route tables, their hosts, and routes with all that is done on the way. */

import type { Access } from './access-rule.ts'
import type { Compression } from './compression.ts'
import type { Egress } from './egress.ts'
import type { Fault, Millionths } from './fault.ts'
import type { Filter, Redirect } from './filter.ts'
import type { Quota, RateLimit } from './rate-limit.ts'
import type { Hedge, Retry } from './retry.ts'

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

/** weight: parts of the sum; 0 gets nothing. backend: a name in `View.backends`, or undefined where the reference is invalid: its share is answered 500. */
export type WeightedBackend = { readonly backend: string | undefined; readonly weight: number; readonly filters?: readonly Filter[] }

/** name: of a header in lower case. ttlMs: a client without the cookie is given one for so long, 0: until its browser closes; absent: none is given. */
export type HashOn =
  | { readonly type: 'header' | 'query'; readonly name: string }
  | { readonly type: 'cookie'; readonly name: string; readonly ttlMs?: number; readonly path?: string }
  | { readonly type: 'source-ip' }

/** What names the endpoint, in the answer and in later requests. ttlMs: 0: until the browser closes. */
export type Session =
  | { readonly type: 'cookie'; readonly name: string; readonly path: string; readonly ttlMs: number }
  | { readonly type: 'header'; readonly name: string }

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

/** Of one request: bytes of its body, as they come; of its header how many fields, and how many bytes names and values have together. */
export type Sizes = { readonly bodyBytes?: number; readonly headerCount?: number; readonly headerBytes?: number }
