/** What a called proxy remembers of calls: who called which port with what, paths without what names one thing. Bounded, and without anything secret. */

/**
 * One kind of call, as often as it was seen since the control plane watches.
 * service: `NAME.NAMESPACE` of the called workload. identity: that the caller proved, '' where it proved none. port: on which the workload itself listens.
 * protocol: http, http2, grpc, tcp or udp. method, path: '' where no HTTP is seen; path as `pathKind` has it. outcome: denied by an access rule.
 * firstAt, lastAt: RFC 3339, when the control plane was told.
 */
export type CallSeen = {
  readonly service: string
  readonly identity: string
  readonly port: number
  readonly protocol: string
  readonly method: string
  readonly path: string
  readonly outcome: 'allowed' | 'denied'
  readonly count: number
  readonly firstAt: string
  readonly lastAt: string
}

/** How often a rule of an AccessPolicy decided. policy: `NAMESPACE/NAME`, '' where none did; rule: its place in the policy, from 0. */
export type DecisionsSeen = {
  readonly policy: string
  readonly rule: string
  readonly action: 'allow' | 'deny' | 'audit'
  readonly count: number
  readonly lastAt: string
}

/** since: since when calls are watched. dropped: kinds of calls for which there was no room: what is told is not all. */
export type CallsSeen = {
  readonly since: string
  readonly at: string
  readonly calls: readonly CallSeen[]
  readonly decisions: readonly DecisionsSeen[]
  readonly dropped: number
}

/** Any path: of callers that used more kinds of paths than are kept. */
export const anyPath = '/*'

const mostSegments = 2

/**
 * `/orders/17/lines` → `/orders/*`: the first two segments, ended with `/*` where more follows or a segment looks as if it named one thing.
 * Calls of gRPC keep their path. path: in the spelling that access rules are compared with, without the query.
 */
export function pathKind(path: string, isGrpc = false): string {
  if (isGrpc || path === '*') return path
  const segments = path.slice(1).split('/')
  const kept: string[] = []
  for (const [at, segment] of segments.entries()) {
    if (at === mostSegments && segment !== '') return `/${kept.join('/')}/*`
    if (!isWord(segment)) return kept.length === 0 ? anyPath : `/${kept.join('/')}/*`
    kept.push(segment)
  }
  return `/${kept.join('/')}`
}

/** Names that people give to collections and pages; numbers, ids, tokens and file names of hashes are none. '' is the end of `/a/`. */
const isWord = (segment: string): boolean =>
  segment.length <= 32 && /^[A-Za-z_.~-]*[\w.~-]*$/.test(segment) && !/^\d|\d.*\d.*\d/.test(segment) && !/^[0-9a-f]{8,}$/i.test(segment)

/** A path that is of this kind, for asking what rules make of it. */
export const pathLike = (kind: string): string => kind.replace(/\*$/, 'any')
