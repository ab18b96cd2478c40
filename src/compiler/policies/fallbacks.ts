/** Where requests go while a Service cannot serve: the `fallback` of BackendPolicies, resolved before anything is settled, so that each layer says a backend. */

import type { ReferenceGrant } from '#resources/gateway-api'
import type { BackendPolicy, BackendPolicySpec } from '#resources/weft'
import { weftGroup } from '#resources/weft'
import { nameOf, namespaceOf } from '../gather.ts'
import { backendProtocol } from '../services/protocol.ts'
import { resolve } from '../routes/resolve.ts'
import type { ServicePort, Services } from '../services/services.ts'
import { type ResourceStatus, type Stated, state } from '../status.ts'

/** What stands in place of the reference. */
export type LedTo = { readonly backend: string; readonly protocol: ServicePort['protocol'] }

export type Fallbacks = {
  /** With what the references lead to; without those that lead nowhere. */
  readonly policies: readonly BackendPolicy[]
  /** With what became of the references. */
  readonly told: (statuses: readonly ResourceStatus[]) => readonly ResourceStatus[]
}

type Verdict = { readonly ledTo?: LedTo; readonly reason: string; readonly says: string }

export function resolveFallbacks(policies: readonly BackendPolicy[], services: Services, grants: readonly ReferenceGrant[]): Fallbacks {
  const verdicts = new Map<string, Verdict>()
  const helpers = new Map<string, Set<string>>() // by Service, those that it falls back to
  for (const policy of policies) {
    const ref = policy.spec?.fallback
    if (ref === undefined) continue
    verdicts.set(nameOf(policy), verdictOn(policy, ref, services, grants))
    for (const service of targetsOf(policy))
      helpers.set(service, (helpers.get(service) ?? new Set<string>()).add(`${ref.namespace ?? namespaceOf(policy)}/${ref.name}`))
  }
  for (const policy of policies) {
    const circle = verdicts.get(nameOf(policy))?.ledTo === undefined ? undefined : circleOf(targetsOf(policy), helpers)
    if (circle === undefined) continue
    const says = `spec.fallback: goes round in a circle: ${circle.join(' → ')}`
    verdicts.set(nameOf(policy), { reason: 'Circular', says })
  }
  return {
    policies: policies.map(policy => withFallback(policy, verdicts.get(nameOf(policy)))),
    told: statuses => statuses.map(status => reported(status, policies, verdicts)),
  }
}

function verdictOn(
  policy: BackendPolicy,
  ref: NonNullable<BackendPolicySpec['fallback']>,
  services: Services,
  grants: readonly ReferenceGrant[],
): Verdict {
  const from = { group: weftGroup, kind: 'BackendPolicy', namespace: namespaceOf(policy) }
  const resolved = resolve(ref, from, services, grants)
  if (resolved.backend === undefined) return { reason: resolved.reason, says: `spec.fallback: ${resolved.says}` }
  const port = [...services.by.values()].flat().find(({ key }) => key === resolved.backend)
  return {
    ledTo: { backend: resolved.backend, protocol: port?.protocol ?? 'tcp' },
    reason: 'ResolvedRefs',
    says: `Leads to ${resolved.backend}`,
  }
}

/** `NAMESPACE/SERVICE` of those that it is for. */
const targetsOf = (policy: BackendPolicy): readonly string[] =>
  (policy.spec?.targetRefs ?? []).flatMap(({ kind, name }) => (kind === 'Service' ? [`${namespaceOf(policy)}/${name}`] : []))

/** From one of these back to itself; undefined where no way leads there. */
function circleOf(services: readonly string[], helpers: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] | undefined {
  for (const service of services) {
    const ways: (readonly string[])[] = [[service]]
    const seen = new Set<string>()
    for (const way of ways)
      for (const next of helpers.get(way.at(-1)!) ?? []) {
        if (next === service) return [...way, next]
        if (!seen.has(next)) ways.push([...way, next])
        seen.add(next)
      }
  }
  return undefined
}

/** The spec is from here on what layers are made of: the reference stands for what it leads to. */
function withFallback(policy: BackendPolicy, verdict: Verdict | undefined): BackendPolicy {
  if (verdict === undefined || policy.spec === undefined) return policy
  const { fallback: _, ...spec } = policy.spec
  return { ...policy, spec: (verdict.ledTo === undefined ? spec : { ...spec, fallback: verdict.ledTo }) as BackendPolicySpec }
}

/** Those of which every part can go where the requests go otherwise. */
export const ledToAt = (said: LedTo | undefined, protocol: ServicePort['protocol']): string | undefined =>
  said === undefined || whyNotAt(said, protocol) !== undefined ? undefined : said.backend

/** protocol: of the port that is to be helped out. */
export function whyNotAt({ backend, protocol: spoken }: LedTo, protocol: ServicePort['protocol']): string | undefined {
  const [own, other] = [backendProtocol(protocol), backendProtocol(spoken)]
  const carriesRequests = (each: string): boolean => each !== 'tcp' && each !== 'udp'
  if (own === other || (carriesRequests(own) && carriesRequests(other))) return undefined
  return `${backend} speaks ${spoken}`
}

function reported(status: ResourceStatus, policies: readonly BackendPolicy[], verdicts: ReadonlyMap<string, Verdict>): ResourceStatus {
  const verdict = verdicts.get(`${status.namespace ?? 'default'}/${status.name}`)
  if (verdict === undefined || status.kind !== 'BackendPolicy' || status.ancestors === undefined) return status
  const policy = policies.find(each => nameOf(each) === `${status.namespace ?? 'default'}/${status.name}`)!
  const condition: Stated = state(policy, 'ResolvedRefs', verdict.ledTo !== undefined, verdict.reason, verdict.says)
  return { ...status, ancestors: status.ancestors.map(each => ({ ...each, conditions: [...each.conditions, condition] })) }
}
