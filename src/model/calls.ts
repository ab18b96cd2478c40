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
  /** Of the ids of the mesh; absent: the default. */
  readonly idTemplate?: string
  readonly since: string
  readonly at: string
  readonly calls: readonly CallSeen[]
  readonly decisions: readonly DecisionsSeen[]
  readonly dropped: number
}

/** Any path: of callers that used more kinds of paths than are kept. */
export const anyPath = '/*'

const mostSegments = 2
const mostLetters = 32

/**
 * `/orders/17/lines` → `/orders/*`: the first two segments, ended with `/*` where more follows or a segment looks as if it named one thing.
 * Calls of gRPC keep their path. path: in the spelling that access rules are compared with, without the query. Asked for each request whose path is new, so it makes nothing but its answer.
 */
export function pathKind(path: string, isGrpc = false): string {
  if (isGrpc || path === '*') return path
  let start = 1
  for (let nth = 0; nth < mostSegments; nth++) {
    const end = wordEnd(path, start)
    if (end < 0) return start === 1 ? anyPath : `${path.slice(0, start)}*`
    if (end === path.length) return path
    start = end + 1
  }
  return start === path.length ? path : `${path.slice(0, start)}*`
}

/**
 * Where the segment that begins there ends; below 0 where it names one thing. Names that people give to collections and pages are of letters, with two digits at
 * most and none in front; numbers, ids, tokens, hashes and escaped characters are no such names. A segment of nothing is the end of `/a/`.
 */
function wordEnd(path: string, start: number): number {
  let digits = 0
  let isHex = true
  let at = start
  for (; at < path.length; at++) {
    const char = path.charCodeAt(at)
    if (char === 47) break
    if (char >= 48 && char <= 57) {
      if (at === start || ++digits > 2) return -1
      continue
    }
    const lower = char | 32
    const isLetter = lower >= 97 && lower <= 122
    // - . _ ~
    if (!isLetter && char !== 45 && char !== 46 && char !== 95 && char !== 126) return -1
    if (!isLetter || lower > 102) isHex = false
  }
  const length = at - start
  return length > mostLetters || (isHex && length >= 8) ? -1 : at
}

/** A path that is of this kind, for asking what rules make of it. */
export const pathLike = (kind: string): string => (kind === '*' ? kind : kind.replace(/\*$/, 'any'))
