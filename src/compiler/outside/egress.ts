/** EgressPolicies: what is said of each, and what one proxy is told of them. */

import type { Egress, EgressRule, EgressTarget } from '#model/egress'
import { isHost } from '#model/egress'
import { networkOf } from '#model/access'
import type { TextMatch } from '#model/access-rule'
import type { ClientMatch, EgressGuard, EgressGuardRule, Mesh } from '#model/mesh'
import type { ProxyNode } from '#model/workload'
import type { EgressDestination, EgressPolicy, EgressTargetRef } from '#resources/weft'
import { rootNamespace, weftGroup } from '#resources/weft'
import { nameOf, namespaceOf } from '../gather.ts'
import { type ServicePort, selects } from '../services/services.ts'
import type { ResourceStatus } from '../status.ts'
import { controllerName, state, statusFor } from '../status.ts'

/** policies: oldest first. externals: ports that rules may name by host. */
export function findEgress(
  policies: readonly EgressPolicy[],
  externals: readonly ServicePort[],
): { readonly guards: readonly EgressGuard[]; readonly statuses: readonly ResourceStatus[] } {
  const guards: EgressGuard[] = []
  const statuses = policies.map(policy => {
    const { rules, problems } = lowerRules(policy, externals)
    const targets: EgressGuard['targets'][number][] = []
    const ancestors = (policy.spec?.targetRefs ?? []).map((ref, at) => {
      const wrong = objection(policy, ref)
      if (wrong === undefined) targets.push(targetOf(policy, ref))
      const conditions =
        wrong === undefined
          ? [
              state(policy, 'Accepted', true, 'Accepted', 'The policy holds'),
              ...(problems.length === 0
                ? []
                : [state(policy, 'PartiallyInvalid', true, 'UnsupportedValue', problems.slice(0, 20).join('; '))]),
            ]
          : [state(policy, 'Accepted', false, wrong.reason, `spec.targetRefs[${at}]: ${wrong.says}`)]
      return { ancestorRef: ancestorOf(policy, ref), controllerName, conditions }
    })
    const said = policy.spec?.default
    if (targets.length > 0)
      guards.push({
        policy: nameOf(policy),
        targets,
        ...(said === undefined ? {} : { default: said === 'Deny' ? 'deny' : 'allow' }),
        rules,
      })
    return statusFor(policy, { ancestors })
  })
  return { guards, statuses }
}

function objection(policy: EgressPolicy, { kind, name }: EgressTargetRef): { readonly reason: string; readonly says: string } | undefined {
  const namespace = namespaceOf(policy)
  if (kind === 'Mesh' && namespace !== rootNamespace)
    return {
      reason: 'Invalid',
      says: `policies for the whole mesh are taken from the namespace ${rootNamespace} only: write it there, or name a narrower target`,
    }
  if (kind === 'Mesh' && name !== undefined && name !== 'default') return { reason: 'TargetNotFound', says: 'the Mesh is named default' }
  if (kind === 'Namespace' && name !== undefined && name !== namespace)
    return { reason: 'Invalid', says: `a policy holds in its own namespace, ${namespace}: write it in ${name}` }
  return undefined
}

const ancestorOf = (policy: EgressPolicy, { kind, name }: EgressTargetRef) => ({
  group: kind === 'Namespace' ? '' : weftGroup,
  kind,
  ...(kind === 'Mesh' ? {} : { namespace: namespaceOf(policy) }),
  name: name ?? (kind === 'Mesh' ? 'default' : kind === 'Namespace' ? namespaceOf(policy) : 'labels'),
})

function targetOf(policy: EgressPolicy, { kind, labels }: EgressTargetRef): EgressGuard['targets'][number] {
  if (kind === 'Mesh') return { rank: 0 }
  const namespace = namespaceOf(policy)
  return kind === 'Namespace' ? { rank: 1, namespace } : { rank: 2, namespace, selector: labels ?? {} }
}

/** What cannot be compared is left out of a denial, which then denies more; what allows by it does not allow. */
function lowerRules(
  policy: EgressPolicy,
  externals: readonly ServicePort[],
): { readonly rules: readonly EgressGuardRule[]; readonly problems: readonly string[] } {
  const problems: string[] = []
  const rules = (policy.spec?.rules ?? []).flatMap(({ action, from, to }, at): readonly EgressGuardRule[] => {
    const as = action === 'Deny' ? 'deny' : 'allow'
    const targets = (to ?? []).flatMap((one, nth): readonly EgressTarget[] => {
      const path = `spec.rules[${at}].to[${nth}]`
      const unseen = whyUnseen(one, externals)
      if (unseen !== undefined)
        problems.push(`${path}.${unseen}: ${as === 'allow' ? 'it allows nothing there' : 'it denies everything there'}`)
      const bad = one.ipBlocks?.find(each => networkOf(each) === undefined)
      if (bad === undefined) return [lowerTarget(one)]
      problems.push(
        `${path}.ipBlocks: "${bad}" is no address and no network: ${as === 'allow' ? 'it allows nothing' : 'it denies without it'}`,
      )
      const { ipBlocks: _, ...rest } = one
      return as === 'allow' ? [] : [lowerTarget(rest)]
    })
    if (to !== undefined && targets.length === 0) return []
    const clients = from?.map(
      (one): ClientMatch => ({
        namespace: one.namespace ?? namespaceOf(policy),
        ...(one.service === undefined ? {} : { service: one.service }),
        labels: one.labels ?? {},
      }),
    )
    return [{ name: `${nameOf(policy)}#${at}`, as, to: targets, ...(clients === undefined ? {} : { from: clients }) }]
  })
  return { rules, problems }
}

/** Methods and paths of what is not decrypted. */
function whyUnseen({ methods, paths, hosts, ports }: EgressDestination, externals: readonly ServicePort[]): string | undefined {
  if (methods === undefined && paths === undefined) return undefined
  const field = paths === undefined ? 'methods' : 'paths'
  const opaque = externals.find(
    ({ protocol, port, external }) =>
      (protocol === 'tls' || protocol === 'tcp' || protocol === 'udp') &&
      (ports?.includes(port) ?? true) &&
      (hosts?.some(host => isHost(host, external?.host) || host === external?.host) ?? true),
  )
  if (opaque !== undefined)
    return `${field}: port ${opaque.port} of ExternalService ${opaque.namespace}/${opaque.service} is ${opaque.protocol}, where no HTTP is seen`
  if (ports?.includes(443) === true && !externals.some(({ port, external }) => port === 443 && hosts?.includes(external?.host ?? '')))
    return `${field}: port 443 is TLS that is not decrypted here, where no HTTP is seen (let an ExternalService originate the TLS)`
  return undefined
}

const lowerTarget = ({ hosts, ipBlocks, ports, methods, paths }: EgressDestination): EgressTarget => ({
  ...(hosts === undefined ? {} : { hosts }),
  ...(ipBlocks === undefined ? {} : { networks: ipBlocks.map(each => (each.includes('/') ? each : `${each}/${networkOf(each)!.bits}`)) }),
  ...(ports === undefined ? {} : { ports }),
  ...(methods === undefined ? {} : { methods }),
  ...(paths === undefined ? {} : { paths: paths.flatMap(lowerPath) }),
})

function lowerPath({ type, value }: NonNullable<EgressDestination['paths']>[number]): readonly TextMatch[] {
  if (type === 'Exact') return [{ type: 'exact', value }]
  const bare = value.replace(/\/$/, '')
  return bare === ''
    ? [{ type: 'prefix', value: '/' }]
    : [
        { type: 'exact', value: bare },
        { type: 'prefix', value: `${bare}/` },
      ]
}

/** What holds for the workload of one proxy; undefined where nothing does. The same words give the same object, for one mesh. */
export function egressOf(mesh: Mesh, node: ProxyNode): Egress | undefined {
  const held = mesh.egress.flatMap(guard => {
    const ranks = guard.targets
      .filter(
        ({ namespace, selector }) =>
          (namespace === undefined || namespace === node.namespace) && (selector === undefined || selects(selector, node)),
      )
      .map(({ rank }) => rank)
    return ranks.length === 0 ? [] : [{ guard, rank: Math.max(...ranks) }]
  })
  if (held.length === 0) return undefined
  const narrowest = Math.max(...held.map(({ guard, rank }) => (guard.default === undefined ? -1 : rank)))
  const defaults = held.filter(({ guard, rank }) => guard.default !== undefined && rank === narrowest).map(({ guard }) => guard)
  const chosen = defaults.find(each => each.default === 'deny') ?? defaults[0]
  const meant = held.flatMap(({ guard }) => guard.rules).filter(({ from }) => from === undefined || from.some(one => isMeant(one, node)))
  const of = (as: 'allow' | 'deny'): readonly EgressRule[] => meant.filter(each => each.as === as).map(({ name, to }) => ({ name, to }))
  const otherwise = chosen?.default ?? 'allow'
  const made: Egress = {
    default: otherwise,
    policy: chosen?.policy ?? '',
    deny: of('deny'),
    allow: otherwise === 'deny' ? of('allow') : [],
  }
  if (otherwise === 'allow' && made.deny.length === 0) return undefined
  const kept = known.get(mesh) ?? new Map<string, Egress>()
  known.set(mesh, kept)
  const key = JSON.stringify([made.default, made.policy, made.deny.map(each => each.name), made.allow.map(each => each.name)])
  const found = kept.get(key) ?? made
  kept.set(key, found)
  return found
}

const known = new WeakMap<Mesh, Map<string, Egress>>()

const isMeant = ({ namespace, service, labels }: ClientMatch, node: ProxyNode): boolean =>
  namespace === node.namespace &&
  (service === undefined || service === node.service) &&
  (Object.keys(labels).length === 0 || selects(labels, node))
