/** An explanation in one word, with who decided: what expectations are compared with, and what flips when documents change. */

import type { Explanation, WayIn } from '#model/explain'

/**
 * verdict: Allow, Deny (by an access rule or what may leave the mesh), Audit (let in, and counted as what would be denied), Mixed (some endpoints let it in),
 * Answer (the mesh itself answers as somebody configured), or the failure code with which it would end.
 * by: `NAMESPACE/NAME/RULE` of the AccessPolicy that decided. says: why, for people. route: its origin. backends: `SERVICE.NAMESPACE` of those with a part.
 */
export type Outcome = {
  readonly verdict: string
  readonly by?: string
  readonly says: string
  readonly route?: string
  readonly backends: readonly string[]
  /** Of a caller without an identity: mutual TLS is strict there, so that it gets in by a published port only. */
  readonly demandsIdentity?: true
  /** The port speaks gRPC. */
  readonly isGrpc?: true
}

export function outcomeOf(explanation: Explanation): Outcome {
  const { route, shares, failure, answered, egress } = explanation
  const parts = shares.filter(({ part }) => part > 0)
  const so = {
    ...(route === undefined ? {} : { route: route.origin }),
    ...(explanation.listener?.protocol === 'grpc' ? { isGrpc: true as const } : {}),
    backends: [...new Set(parts.flatMap(({ backend }) => (backend === undefined ? [] : [backend.service])))].sort(),
  }
  if (answered !== undefined) return { ...so, verdict: 'Answer', says: `the mesh answers ${answered.status}` }
  if (egress?.isAllowed === false) return { ...so, verdict: 'Deny', says: egress.says }
  const ways = parts.flatMap(({ endpoints }) => endpoints.flatMap(({ isUsed, way }) => (isUsed && way !== undefined ? [way] : [])))
  const other = parts.find(each => each.failure !== undefined && each.failure.code !== 'access-denied')?.failure ?? failure
  if (ways.length === 0 || (other !== undefined && other.code !== 'access-denied'))
    return { ...so, verdict: other?.code ?? 'Allow', says: other?.says ?? (egress?.says || 'nothing denies it') }
  return { ...outcomeOfWays(ways), ...so }
}

export function outcomeOfWays(ways: readonly WayIn[]): Outcome {
  const all = ways.map(outcomeOfWay)
  const [first] = all
  const other = all.find(({ verdict }) => verdict !== first!.verdict)
  if (other === undefined) return first!
  return { verdict: 'Mixed', says: `some endpoints: ${first!.says}; others: ${other.says}`, backends: [] }
}

function outcomeOfWay({ judged, access, failure, proxy }: WayIn): Outcome {
  const by = judged?.policy === undefined ? {} : { by: `${judged.policy}/${judged.rule}` }
  if (failure !== undefined)
    return { verdict: failure.code === 'access-denied' ? 'Deny' : failure.code, says: failure.detail, backends: [], ...by }
  const says = access === undefined ? (proxy === 'none' ? 'it has no proxy: nothing is asked' : 'no AccessPolicy is asked') : access.says
  return { verdict: judged?.verdict ?? 'Allow', says: access?.audit === undefined ? says : `${says}; ${access.audit}`, backends: [], ...by }
}
