/** What AccessPolicies come to at one port of one workload. */

import type { Guard, GuardRule, GuardTarget, Mesh } from '#model/mesh'
import { strangersRule } from '#model/access'
import type { Access, AccessCondition, AccessRule } from '#model/access-rule'
import { claimHeadersAt, wholeClaims } from '#model/claim-headers'
import type { ProxyNode, Workload, WorkloadPort } from '#model/workload'
import { portOf, selects } from '../services/services.ts'

/** What holds at one port of one workload. isNameless: nobody proves an identity there. opaque: where its bytes are not looked into. Undefined: nothing. */
export function accessAt(
  mesh: Mesh,
  node: ProxyNode,
  port: WorkloadPort,
  isUdp: boolean,
  isNameless = false,
): { readonly http: Access; readonly opaque: Access } | undefined {
  const own = mesh.guards.filter(({ targets }) => targets.some(target => isTarget(target, node, port, isUdp)))
  const foreign = isNameless ? [] : Object.keys(mesh.trust.federated ?? {})
  const blocked = isNameless ? [] : mesh.blocked
  const wide = defaultIn(mesh, node.namespace)
  if (own.length === 0 && wide === 'allow' && foreign.length === 0 && blocked.length === 0) return undefined
  const rulesOf = (as: Guard['as'], isAudit: boolean): readonly AccessRule[] | undefined => {
    const those = own.filter(guard => guard.as === as && guard.isAudit === isAudit)
    return those.length === 0 ? undefined : those.flatMap(({ rules }) => rules.flatMap(rule => rulesAt(rule, port.port)))
  }
  const deny = rulesOf('deny', false) ?? []
  const allow = rulesOf('allow', false) ?? (wide === 'deny' ? [] : undefined)
  const auditDeny = rulesOf('deny', true)
  // Where Allow policies are enforced already, one more could only let more in.
  const auditAllow = allow === undefined ? rulesOf('allow', true) : undefined
  const audit =
    (auditDeny ?? []).length === 0 && auditAllow === undefined
      ? {}
      : { audit: { deny: auditDeny ?? [], ...(auditAllow === undefined ? {} : { allow: auditAllow }) } }
  const judged: Access = { deny, ...(allow === undefined ? {} : { allow }), ...audit }
  const named = withoutStrangers({ ...judged, deny: blocked.length === 0 ? deny : [...blocked, ...deny] }, foreign)
  if (named.deny.length === 0 && named.allow === undefined && !('audit' in named)) return undefined
  const told = wholeClaims(named, claimHeadersIn(mesh))
  const http = isNameless ? blindTo(told, isIdentity, true) : told
  // Tokens come with requests.
  return { http, opaque: blindTo(http, isClaim, false) }
}

const namesIn = new WeakMap<Mesh, ReadonlySet<string>>()

/** Of all of the mesh: what a gateway told from a claim comes to workloads that look at no token. */
function claimHeadersIn(mesh: Mesh): ReadonlySet<string> {
  let found = namesIn.get(mesh)
  if (found === undefined) {
    const listeners = Object.values(mesh.gateways).flatMap(gateway => Object.values(gateway.listeners))
    const here = Object.values(mesh.tokens).flatMap(all => all.map(({ policy }) => ({ tokens: [policy] })))
    namesIn.set(mesh, (found = new Set([...listeners, ...here].flatMap(each => [...claimHeadersAt(each)]))))
  }
  return found
}

/** What holds for workloads of a namespace where no policy allows anything. */
export const defaultIn = ({ access, accessIn }: Pick<Mesh, 'access' | 'accessIn'>, namespace: string): Mesh['access'] =>
  (Object.hasOwn(accessIn, namespace) ? accessIn[namespace] : undefined) ?? access

export const isTarget = (
  { namespace, selector, port: at }: GuardTarget,
  node: ProxyNode | Workload,
  port: WorkloadPort,
  isUdp: boolean,
): boolean =>
  (namespace === undefined || namespace === node.namespace) &&
  (selector === undefined || selects(selector, node)) &&
  (at === undefined || (at.isUdp === isUdp && portOf(node, at.target, at.isUdp)?.port === port.port))

/** Ports are settled here, for a proxy listens at others than its workload. */
function rulesAt({ name, from, to, when }: GuardRule, port: number): readonly AccessRule[] {
  const here = to.filter(({ ports, notPorts }) => (ports.length === 0 || ports.includes(port)) && !notPorts.includes(port))
  if (to.length > 0 && here.length === 0) return []
  const isWide = (all: readonly (readonly AccessCondition[])[]): boolean => all.some(each => each.length === 0)
  const conditions = here.map(({ http }) => http)
  return [{ name, from: isWide(from) ? [] : from, to: isWide(conditions) ? [] : conditions, ...(when === undefined ? {} : { when }) }]
}

/**
 * Other trust domains are believed to be who they are, and may do nothing for that: only a rule that names one lets it in. What allows everybody, or all who
 * are not this or that, means everybody of this mesh.
 */
function withoutStrangers(access: Access, foreign: readonly string[]): Access {
  if (foreign.length === 0) return access
  const all = foreign.map(domain => ({ type: 'prefix', value: `spiffe://${domain}/` }) as const)
  if (access.allow === undefined)
    return { ...access, deny: [...access.deny, { name: `${strangersRule}#0`, from: [[{ on: 'identity', any: all }]], to: [] }] }
  const only = (conditions: readonly AccessCondition[]): readonly AccessCondition[] => {
    const named = conditions.flatMap(each => (each.on === 'identity' && each.not !== true ? each.any : []))
    const unnamed = all.filter(
      ({ value }) => !named.some(match => (match.type === 'exact' || match.type === 'prefix') && match.value.startsWith(value)),
    )
    return unnamed.length === 0 ? conditions : [...conditions, { on: 'identity', any: unnamed, not: true }]
  }
  const allow = access.allow.map(rule => ({ ...rule, from: (rule.from.length === 0 ? [[]] : rule.from).map(only) }))
  return { ...access, allow }
}

const isIdentity = ({ on }: AccessCondition): boolean => on === 'identity'
const isClaim = ({ on }: AccessCondition): boolean => on === 'claim'

/**
 * Where a part of what rules look at is not seen: what denies by it denies all whom it would tell apart, and what allows by it allows none of them.
 * seesRequests: HTTP is looked into; else the same of all that is said of requests.
 */
function blindTo({ deny, allow, audit }: Access, isUnseen: (condition: AccessCondition) => boolean, seesRequests: boolean): Access {
  const wider = (rules: readonly AccessRule[]): readonly AccessRule[] =>
    rules.map(rule => {
      const from = rule.from.map(all => all.filter(each => !isUnseen(each)))
      return { ...rule, from: from.some(all => all.length === 0) ? [] : from, to: seesRequests ? rule.to : [] }
    })
  const narrower = (rules: readonly AccessRule[]): readonly AccessRule[] =>
    rules.flatMap(rule => {
      const from = rule.from.filter(all => !all.some(isUnseen))
      if (rule.from.length > 0 && from.length === 0) return []
      if (seesRequests) return [{ ...rule, from }]
      return rule.to.length === 0 || rule.to.some(all => all.length === 0) ? [{ ...rule, from, to: [] }] : []
    })
  return {
    deny: wider(deny),
    ...(allow === undefined ? {} : { allow: narrower(allow) }),
    ...(audit === undefined
      ? {}
      : { audit: { deny: wider(audit.deny), ...(audit.allow === undefined ? {} : { allow: narrower(audit.allow) }) } }),
  }
}
