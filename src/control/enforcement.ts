/**
 * Who keeps a policy about who may call, now: of each proxy that has to, whether it has acknowledged a version with the policy as it is written, and if not, why.
 * It is told in the status of the policy: numbers, names, and the condition Enforced.
 */

import type { ProxyStatus } from '#api/mesh-api'
import type { Enforced, ResourceStatus, Stated } from '#compiler'

/** Names in a status; of more there is the number. */
const mostNamed = 64
const mostTold = 5

type Why = 'ProxyRefuses' | 'ProxyLacks' | 'NoProxy' | 'ProxyAway' | 'Pending'
type Missing = { readonly proxy: string; readonly reason: Why; readonly message: string }
/** less: what those who keep it do otherwise. */
type Standing = { readonly by: readonly string[]; readonly not: readonly Missing[]; readonly less: readonly string[] }

export class Enforcement {
  /** By policy: as which generation, and in which revision of the mesh that came first. */
  readonly #since = new Map<string, { readonly generation: number; readonly revision: number }>()

  /** A newer compilation holds these. */
  compiled(policies: readonly Enforced[], revision: number): void {
    const known = new Set(policies.map(keyOf))
    for (const key of this.#since.keys()) if (!known.has(key)) this.#since.delete(key)
    for (const policy of policies) {
      const key = keyOf(policy)
      if (this.#since.get(key)?.generation !== policy.generation) this.#since.set(key, { generation: policy.generation, revision })
    }
  }

  /** The status of such a policy with who keeps it. proxies: all that are known, by id. */
  told(said: ResourceStatus, policy: Enforced, proxies: ReadonlyMap<string, ProxyStatus>): ResourceStatus {
    const { by, not, less } = this.#standing(policy, proxies)
    const enforcement = {
      proxies: by.length + not.length,
      enforcing: by.length,
      ...(by.length === 0 ? {} : { by: by.slice(0, mostNamed) }),
      ...(not.length === 0 ? {} : { not: not.slice(0, mostNamed) }),
    }
    const condition = conditionOf(by, not, less, policy.generation)
    const refusing = not.filter(({ reason }) => reason === 'ProxyRefuses')
    return {
      ...said,
      more: { ...said.more, enforcement },
      ...(said.ancestors === undefined
        ? {}
        : {
            ancestors: said.ancestors.map(each => ({
              ...each,
              conditions: [
                ...each.conditions.map(one => (one.type === 'Accepted' && refusing.length > 0 ? refused(one, refusing) : one)),
                ...(condition === undefined || !isHeld(each.conditions) ? [] : [condition]),
              ],
            })),
          }),
    }
  }

  #standing(policy: Enforced, proxies: ReadonlyMap<string, ProxyStatus>): Standing {
    const since = this.#since.get(keyOf(policy))?.revision ?? Infinity
    const by: string[] = []
    const not: Missing[] = []
    const less: string[] = []
    for (const { id, isBare } of policy.workloads) {
      const lacking = lacksOf(proxies.get(id), policy)
      const why = whyNot(proxies.get(id), since, isBare, lacking)
      if (why !== undefined) not.push({ proxy: id, ...why })
      else {
        by.push(id)
        for (const { says } of lacking) less.push(`${id}: ${says}`)
      }
    }
    return { by, not: not.sort((one, other) => weight[one.reason] - weight[other.reason]), less }
  }
}

/** What is worse goes first. */
const weight: Readonly<Record<Why, number>> = { ProxyRefuses: 0, ProxyLacks: 1, NoProxy: 2, ProxyAway: 3, Pending: 4 }

export const keyOf = ({ kind, namespace = '', name }: Pick<ResourceStatus, 'kind' | 'namespace' | 'name'>): string =>
  `${kind} ${namespace}/${name}`

/** A policy that holds nowhere is kept by nobody. */
const isHeld = (conditions: readonly Stated[]): boolean => conditions.some(({ type, status }) => type === 'Accepted' && status === 'True')

type Lacks = NonNullable<ProxyStatus['lacking']>

const lacksOf = (proxy: ProxyStatus | undefined, { kind, namespace, name }: Pick<Enforced, 'kind' | 'namespace' | 'name'>): Lacks =>
  proxy?.lacking?.filter(each => each.kind === kind && each.name === `${namespace}/${name}`) ?? []

/** In place of a policy that nobody is known to have to keep: what the proxies that do not carry it out do; undefined: there are none. */
export function lackCondition(
  said: Pick<ResourceStatus, 'kind' | 'namespace' | 'name'>,
  proxies: Iterable<ProxyStatus>,
): Stated | undefined {
  const { kind, namespace = '', name } = said
  const found = [...proxies].flatMap(proxy => lacksOf(proxy, { kind, namespace, name }).map(each => ({ ...each, proxy: proxy.id })))
  if (found.length === 0) return undefined
  const isKept = found.every(({ fate }) => fate === 'less')
  const told = found.slice(0, mostTold).map(({ proxy, says }) => `${proxy}: ${says}`)
  return {
    type: 'Enforced',
    status: isKept ? 'True' : 'False',
    reason: isKept ? 'Enforced' : 'ProxyLacks',
    message: `${told.join('; ')}${found.length > mostTold ? `; and ${found.length - mostTold} more` : ''}`,
  }
}

function whyNot(proxy: ProxyStatus | undefined, since: number, isBare: boolean, lacking: Lacks): Omit<Missing, 'proxy'> | undefined {
  if (isBare && (proxy === undefined || proxy.state === 'disconnected'))
    return { reason: 'NoProxy', message: 'it is reached without a proxy, which would keep the policy: run it by weft run' }
  if (proxy === undefined || proxy.state === 'disconnected')
    return { reason: 'ProxyAway', message: 'its proxy is not connected: if it runs, it keeps what it had' }
  const refused = proxy.rejected.find(({ resource }) => isOfCallers(resource))
  if (refused !== undefined && proxy.active < since)
    return { reason: 'ProxyRefuses', message: `it refuses ${refused.resource}: ${refused.reason}` }
  const lacks = lacking.filter(({ fate }) => fate !== 'less')
  if (lacks.length > 0) return { reason: 'ProxyLacks', message: lacks.map(({ says }) => says).join('; ') }
  return proxy.active >= since ? undefined : { reason: 'Pending', message: 'it has not acknowledged this version yet' }
}

/** Listeners and routes of the side that is called; a reply that was refused as a whole may have had any. */
const isOfCallers = (resource: string): boolean => resource === '*' || /^(inbound|gateway)\//.test(resource)

/** Undefined: there is nobody to keep it. */
function conditionOf(
  by: readonly string[],
  not: readonly Missing[],
  less: readonly string[],
  observedGeneration: number,
): Stated | undefined {
  const all = by.length + not.length
  if (all === 0) return undefined
  const told = not.slice(0, mostTold).map(({ proxy, message }) => `${proxy}: ${message}`)
  const more = not.length > mostTold ? `; and ${not.length - mostTold} more` : ''
  const what = [`${by.length} of ${all} ${all === 1 ? 'proxy keeps' : 'proxies keep'} it`, ...less.slice(0, mostTold)].join('; ')
  return {
    type: 'Enforced',
    status: not.length === 0 ? 'True' : 'False',
    reason: not[0]?.reason ?? 'Enforced',
    message: not.length === 0 ? what : `${what}. ${told.join('; ')}${more}`,
    observedGeneration,
  }
}

/** What a proxy cannot carry out does not count as accepted for it. */
const refused = (accepted: Stated, refusing: readonly Missing[]): Stated => ({
  ...accepted,
  status: 'False',
  reason: 'ProxyRefuses',
  message: refusing
    .slice(0, mostTold)
    .map(({ proxy, message }) => `not accepted for ${proxy}: ${message}`)
    .join('; '),
})
