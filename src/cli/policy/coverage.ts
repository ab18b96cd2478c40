/** What the policies of a mesh make of the calls that were seen: which no rule names, which would be denied, and which rules nobody needed. */

import type { CallSeen, CallsSeen } from '#api/mesh-api'
import type { Resource } from '#resources/kind'
import type { AccessPolicy } from '#resources/weft'
import type { World } from '../world/world.ts'

export type Judged = { readonly call: CallSeen; readonly says: string }
export type UnusedRule = { readonly policy: string; readonly rule: number; readonly created?: string }

/** uncovered: let in because nothing denies it, not because a rule allows it. unproven: by callers without an identity. denied: what rules kept out. */
export type Coverage = {
  readonly uncovered: readonly CallSeen[]
  readonly unproven: readonly CallSeen[]
  readonly denied: readonly CallSeen[]
  readonly unused: readonly UnusedRule[]
}

/** namespace: only of its services and policies. */
export function coverageOf(world: World, { calls, decisions }: CallsSeen, namespace?: string): Coverage {
  const own = calls.filter(({ service }) => namespace === undefined || service.endsWith(`.${namespace}`))
  const passed = own.filter(({ outcome }) => outcome === 'allowed')
  const hits = new Set(decisions.map(({ policy, rule }) => `${policy}#${rule}`))
  const policies = world.resources.filter(isPolicy).filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace)
  return {
    uncovered: passed.filter(call => call.identity !== '' && world.judgeSeen(call)?.by === undefined),
    unproven: passed.filter(({ identity }) => identity === ''),
    denied: own.filter(({ outcome }) => outcome === 'denied'),
    unused: policies.flatMap(({ metadata, spec }) => {
      const policy = `${metadata.namespace}/${metadata.name}`
      // Of what is only tried nothing is counted but what it would deny.
      if (spec?.action === 'Audit') return []
      const created = metadata.creationTimestamp === undefined ? {} : { created: metadata.creationTimestamp }
      return (spec?.rules ?? []).flatMap((_, rule) => (hits.has(`${policy}#${rule}`) ? [] : [{ policy, rule, ...created }]))
    }),
  }
}

/** Calls that were let in, and would not be. */
export const deniedBy = (candidate: World, calls: readonly CallSeen[]): readonly Judged[] =>
  calls.flatMap(call => {
    const outcome = call.outcome === 'allowed' ? candidate.judgeSeen(call) : undefined
    return outcome === undefined || outcome.verdict === 'Allow' || outcome.verdict === 'Audit' ? [] : [{ call, says: outcome.says }]
  })

const isPolicy = (resource: Resource): resource is AccessPolicy => resource.kind === 'AccessPolicy'

/** `web → cart.shop:8080 GET /items/*`. */
export function tellCall({ identity, service, port, protocol, method, path }: CallSeen): string {
  const what = method === '' ? protocol : `${method} ${path}`
  return `${tellIdentity(identity)} → ${service}:${port} ${what}`
}

export const tellIdentity = (identity: string): string =>
  identity === '' ? 'nobody known' : identity.replace(/^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/, '$2.$1')
