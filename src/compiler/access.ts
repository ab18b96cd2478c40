/** AccessPolicies: what is said of each, and the guards that they set. */

import { networkOf, readPath } from '#model/access'
import { claimPath } from '#model/claims'
import type { Guard, GuardOperation, GuardRule, GuardTarget, Mesh } from '#model/mesh'
import type { AccessCondition, TextMatch, TimeWindow } from '#model/view'
import type { Workload, WorkloadPort } from '#model/workload'
import type { AccessOperation, AccessPath, AccessPolicy, AccessSource, AccessTarget, AccessWindow, MeshResource } from '#resources/weft'
import { rootNamespace, weftGroup } from '#resources/weft'
import { isTarget } from './access-at.ts'
import { nameOf, namespaceOf } from './gather.ts'
import { isHttp } from './protocol.ts'
import { type ServicePort, type Services, selects, whyNobody } from './services.ts'
import type { ResourceStatus, Stated } from './status.ts'
import { controllerName, state, statusFor } from './status.ts'

export type Guarding = Pick<Mesh, 'guards' | 'access' | 'tellsWhy'> & { readonly statuses: readonly ResourceStatus[] }

/** policies: oldest first. */
export function findGuards(
  policies: readonly AccessPolicy[],
  meshes: readonly MeshResource[],
  services: Services,
  trustDomain: string,
  nameless: readonly Nameless[],
): Guarding {
  const guards: Guard[] = []
  const statuses = policies.map(policy => {
    const lowered = lowerRules(policy, trustDomain)
    const judged = (policy.spec?.targetRefs ?? []).map((ref, at) =>
      judge(policy, ref, `spec.targetRefs[${at}]`, services, lowered, nameless),
    )
    const targets = judged.flatMap(each => each.targets)
    const { action = 'Allow', audits = 'Deny' } = policy.spec ?? {}
    const as = (action === 'Audit' ? audits : action) === 'Allow' ? 'allow' : 'deny'
    if (targets.length > 0) guards.push({ as, isAudit: action === 'Audit', targets, rules: lowered.rules })
    return statusFor(policy, {
      ancestors: judged.map(({ ancestorRef, conditions }) => ({ ancestorRef, controllerName, conditions })),
    })
  })
  const said = meshes.find(each => each.metadata.name === 'default')?.spec?.access
  return { guards, access: said?.default === 'Deny' ? 'deny' : 'allow', tellsWhy: (said?.tellWhy ?? []).map(patternOf), statuses }
}

type Judged = {
  readonly targets: readonly GuardTarget[]
  readonly ancestorRef: {
    readonly group: string
    readonly kind: string
    readonly namespace?: string
    readonly name: string
    readonly sectionName?: string
  }
  readonly conditions: readonly Stated[]
}

/** A port of a workload that takes plaintext only. */
export type Nameless = { readonly workload: Workload; readonly port: WorkloadPort }

/** Which rules ask for an identity where nobody proves one. */
function namelessAt(
  { rules }: Lowered,
  targets: readonly GuardTarget[],
  isAllow: boolean,
  nameless: readonly Nameless[],
): readonly string[] {
  if (nameless.length === 0) return []
  const so = isAllow ? 'it allows nobody there' : 'it denies everybody there'
  const places = nameless.filter(({ workload, port }) => targets.some(target => isTarget(target, workload, port, false)))
  const told = rules.flatMap((rule, at) => {
    if (!rule.from.some(all => all.some(({ on }) => on === 'identity'))) return []
    const here = places.filter(
      ({ port }) =>
        rule.to.length === 0 ||
        rule.to.some(to => (to.ports.length === 0 || to.ports.includes(port.port)) && !to.notPorts.includes(port.port)),
    )
    return here.map(
      ({ workload, port }) =>
        `spec.rules[${rule.name.split('#')[1] ?? at}].from: port ${port.port} of ${workload.service}.${workload.namespace} takes plaintext only, by an AuthenticationPolicy, so that nobody proves an identity: ${so}`,
    )
  })
  return [...new Set(told)]
}

function judge(
  policy: AccessPolicy,
  ref: AccessTarget,
  path: string,
  services: Services,
  lowered: Lowered,
  nameless: readonly Nameless[],
): Judged {
  const namespace = namespaceOf(policy)
  const { kind, name, sectionName, labels } = ref
  const ancestorRef = {
    group: kind === 'Mesh' || kind === 'Workload' ? weftGroup : '',
    kind,
    ...(kind === 'Mesh' ? {} : { namespace }),
    name: name ?? (kind === 'Mesh' ? 'default' : kind === 'Namespace' ? namespace : 'labels'),
    ...(sectionName === undefined ? {} : { sectionName }),
  }
  const no = (reason: string, says: string): Judged => ({
    targets: [],
    ancestorRef,
    conditions: [state(policy, 'Accepted', false, reason, `${path}: ${says}`)],
  })
  const yes = (targets: readonly GuardTarget[], ports: readonly ServicePort[]): Judged => ({
    targets,
    ancestorRef,
    conditions: conditionsOf(policy, kind === 'Service', ports, lowered.problems, isAllow =>
      namelessAt(lowered, targets, isAllow, nameless),
    ),
  })
  if (kind === 'Mesh') {
    if (namespace !== rootNamespace)
      return no(
        'Invalid',
        `policies for the whole mesh are taken from the namespace ${rootNamespace} only: write it there, or name a narrower target`,
      )
    if (name !== undefined && name !== 'default') return no('TargetNotFound', 'the Mesh is named default')
    return yes([{}], services.ports)
  }
  const inside = services.ports.filter(port => port.namespace === namespace)
  if (kind === 'Namespace') {
    if (name !== undefined && name !== namespace)
      return no('Invalid', `a policy holds in its own namespace, ${namespace}: write it in ${name}`)
    return yes([{ namespace }], inside)
  }
  if (kind === 'Workload') return yes([{ namespace, selector: labels ?? {} }], [])
  const ports = services.by.get(`${namespace}/${name}`)
  if (ports === undefined) return no('TargetNotFound', `Service ${namespace}/${name} does not exist`)
  const named = sectionName === undefined ? ports : ports.filter(port => port.name === sectionName)
  if (named.length === 0) return no('TargetNotFound', `Service ${namespace}/${name} has no port named ${sectionName}`)
  const nobody = whyNobody(named[0])
  if (nobody !== undefined) return no('Invalid', nobody)
  return yes(
    named.map(({ selector, target, protocol }) => ({ namespace, selector, port: { target, isUdp: protocol === 'udp' } })),
    named,
  )
}

/** What cannot be carried out is said with its field, and counts so that nobody gets in by it. */
function conditionsOf(
  policy: AccessPolicy,
  isOne: boolean,
  ports: readonly ServicePort[],
  problems: readonly string[],
  namelessOf: (isAllow: boolean) => readonly string[],
): readonly Stated[] {
  const isAllow = (policy.spec?.action === 'Audit' ? policy.spec.audits : policy.spec?.action) === 'Allow'
  const so = isAllow ? 'it allows nothing there' : 'its rule denies everything there'
  const others = ports.filter(port => !isHttp(port.protocol)).sort(byName)
  const wrong = (policy.spec?.rules ?? []).flatMap((rule, at) =>
    (rule.to ?? []).flatMap((operation, nth) =>
      others
        .filter(port => mayBeAt(operation, port))
        .flatMap(port =>
          httpFieldsOf(operation).map(
            field =>
              `spec.rules[${at}].to[${nth}].${field}: port ${port.port} of Service ${port.namespace}/${port.service} speaks ${port.protocol}, where no HTTP is seen: ${so}`,
          ),
        ),
    ),
  )
  const all = [
    ...problems.map(problem => `${problem}: ${isAllow ? 'it allows nothing' : 'its rule denies without it'}`),
    ...wrong,
    ...[...namelessOf(isAllow)].sort(),
  ]
  const [first] = all
  if (first === undefined) return [state(policy, 'Accepted', true, 'Accepted', 'The policy holds')]
  const text = all.slice(0, 20).join('; ')
  if (isOne && wrong.length > 0 && others.length === ports.length) return [state(policy, 'Accepted', false, 'Invalid', text)]
  return [
    state(policy, 'Accepted', true, 'Accepted', 'The policy holds'),
    state(policy, 'PartiallyInvalid', true, 'UnsupportedValue', text),
  ]
}

/** The order of documents says nothing. */
const byName = (one: ServicePort, other: ServicePort): number => (nameOfPort(one) < nameOfPort(other) ? -1 : 1)
const nameOfPort = ({ namespace, service, port, protocol }: ServicePort): string =>
  `${namespace}/${service}:${String(port).padStart(5, '0')}/${protocol}`

const httpFields = ['methods', 'paths', 'hosts', 'headers', 'grpc', 'notMethods', 'notPaths', 'notHosts'] as const
const httpFieldsOf = (operation: AccessOperation) => httpFields.filter(field => operation[field] !== undefined)
const mayBeAt = ({ ports, notPorts }: AccessOperation, { target }: ServicePort): boolean =>
  typeof target !== 'number' || ((ports?.includes(target) ?? true) && !(notPorts?.includes(target) ?? false))

type Lowered = { readonly rules: readonly GuardRule[]; readonly problems: readonly string[] }

function lowerRules(policy: AccessPolicy, trustDomain: string): Lowered {
  const { action = 'Allow', audits = 'Deny', rules = [] } = policy.spec ?? {}
  const isAllow = (action === 'Audit' ? audits : action) === 'Allow'
  const problems: string[] = []
  /** What cannot be compared is left out of a denial, which then denies more; what allows by it does not allow. */
  const kept = (conditions: readonly (AccessCondition | string)[]): readonly AccessCondition[] | undefined => {
    const bad = conditions.filter(each => typeof each === 'string')
    problems.push(...bad)
    return bad.length > 0 && isAllow ? undefined : conditions.filter(each => typeof each !== 'string')
  }
  const lowered = rules.flatMap((rule, at): readonly GuardRule[] => {
    const path = `spec.rules[${at}]`
    const from = (rule.from ?? []).flatMap((source, nth) => {
      const all = kept(lowerSource(source, policy, trustDomain, isAllow, `${path}.from[${nth}]`))
      return all === undefined ? [] : [all]
    })
    const to = (rule.to ?? []).flatMap((operation, nth): readonly GuardOperation[] => {
      const http = kept(lowerOperation(operation, `${path}.to[${nth}]`))
      return http === undefined ? [] : [{ ports: operation.ports ?? [], notPorts: operation.notPorts ?? [], http }]
    })
    if ((rule.from !== undefined && from.length === 0) || (rule.to !== undefined && to.length === 0)) return []
    const when = rule.when?.map(lowerWindow)
    return [{ name: `${nameOf(policy)}#${at}`, from, to, ...(when === undefined ? {} : { when }) }]
  })
  return { rules: lowered, problems }
}

const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

function lowerWindow({ notBefore, notAfter, days, from = '00:00', to = '24:00', timeZone }: AccessWindow): TimeWindow {
  const minutes = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3))
  const on = weekdays.flatMap((day, at) => (days === undefined || (days as readonly string[]).includes(day) ? [at] : []))
  return {
    ...(notBefore === undefined ? {} : { notBefore: Date.parse(notBefore) }),
    ...(notAfter === undefined ? {} : { notAfter: Date.parse(notAfter) }),
    ...(timeZone === undefined ? {} : { weekly: { days: on, from: minutes(from), to: minutes(to), timeZone } }),
  }
}

/** Texts are what is wrong. */
function lowerSource(
  source: AccessSource,
  policy: AccessPolicy,
  own: string,
  isAllow: boolean,
  path: string,
): readonly (AccessCondition | string)[] {
  const { trustDomains } = source
  const domains = trustDomains ?? [own]
  const namespaced = (names: readonly string[], of: readonly string[]): readonly TextMatch[] =>
    of.flatMap(domain => names.map(name => ({ type: 'prefix', value: `spiffe://${domain}/ns/${name}/` }) as const))
  const accounts = (names: readonly string[], of: readonly string[]): readonly TextMatch[] =>
    of.flatMap(domain =>
      names.map(name => {
        const [namespace, account] = name.includes('/') ? name.split('/') : [namespaceOf(policy), name]
        return { type: 'exact', value: `spiffe://${domain}/ns/${namespace}/sa/${account}` } as const
      }),
    )
  const inDomains = (of: readonly string[]): readonly TextMatch[] => of.map(domain => ({ type: 'prefix', value: `spiffe://${domain}/` }))
  const who = (any: readonly TextMatch[]): AccessCondition => ({ on: 'identity', any })
  const not = (any: readonly TextMatch[]): AccessCondition => ({ on: 'identity', any, not: true })
  const { identities, namespaces, serviceAccounts, ipBlocks, claims = [], issuers } = source
  const { notIdentities, notNamespaces, notServiceAccounts, notTrustDomains, notIpBlocks } = source
  const negative = [
    ...(notIdentities === undefined ? [] : [not(notIdentities.map(patternOf))]),
    ...(notNamespaces === undefined ? [] : [not(namespaced(notNamespaces, domains))]),
    ...(notServiceAccounts === undefined ? [] : [not(accounts(notServiceAccounts, domains))]),
    ...(notTrustDomains === undefined ? [] : [not(inDomains(notTrustDomains))]),
  ]
  const networks = (list: readonly string[] | undefined, field: string, isNot: boolean): readonly (AccessCondition | string)[] => {
    if (list === undefined) return []
    const bad = list.find(each => networkOf(each) === undefined)
    if (bad !== undefined) return [`${path}.${field}: "${bad}" is no address and no network`]
    return [{ on: 'address', networks: list.map(withLength), ...(isNot ? { not: true as const } : {}) }]
  }
  return [
    ...(identities === undefined ? [] : [who(identities.map(patternOf))]),
    ...(namespaces === undefined ? [] : [who(namespaced(namespaces, domains))]),
    ...(serviceAccounts === undefined ? [] : [who(accounts(serviceAccounts, domains))]),
    ...(trustDomains === undefined ? [] : [who(inDomains(trustDomains))]),
    // Who proves nothing is none of anybody, and is not let in by that.
    ...(negative.length > 0 && isAllow ? [who([anyIdentity])] : []),
    ...negative,
    ...networks(ipBlocks, 'ipBlocks', false),
    ...networks(notIpBlocks, 'notIpBlocks', true),
    ...(issuers === undefined
      ? []
      : [{ on: 'claim', path: ['iss'], any: issuers.map(value => ({ type: 'exact', value }) as const) } as const]),
    ...claims.map(({ name, values }) => ({ on: 'claim', path: claimPath(name), any: values.map(valueMatch) }) as const),
  ]
}

const withLength = (network: string): string => (network.includes('/') ? network : `${network}/${networkOf(network)!.bits}`)

const anyIdentity: TextMatch = { type: 'prefix', value: 'spiffe://' }

/** `*` at one end: anything; elsewhere: a part between slashes. */
export function patternOf(pattern: string): TextMatch {
  if (pattern === '*') return anyIdentity
  const stars = pattern.split('*').length - 1
  if (stars === 0) return { type: 'exact', value: pattern }
  if (stars === 1 && pattern.endsWith('*')) return { type: 'prefix', value: pattern.slice(0, -1) }
  if (stars === 1 && pattern.startsWith('*')) return { type: 'suffix', value: pattern.slice(1) }
  const parts = pattern.split('*').map(escaped)
  const start = pattern.startsWith('*') ? '.*' : parts[0]!
  const end = pattern.endsWith('*') ? '.*' : `[^/]*${parts.at(-1)!}`
  return {
    type: 'regex',
    value: `${start}${parts
      .slice(1, -1)
      .map(part => `[^/]*${part}`)
      .join('')}${end}`,
  }
}

const escaped = (text: string): string =>
  text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, char => (char === '/' || char === '-' ? char : `\\${char}`))

/** Texts are what is wrong. */
export function lowerOperation(
  operation: Omit<AccessOperation, 'ports' | 'notPorts'>,
  path: string,
): readonly (AccessCondition | string)[] {
  const { methods, paths, hosts, headers, grpc, notMethods, notPaths, notHosts } = operation
  const exact = (values: readonly string[]): readonly TextMatch[] => values.map(value => ({ type: 'exact', value }))
  const on = (kind: 'method' | 'host', any: readonly TextMatch[], isNot = false): AccessCondition => ({
    on: kind,
    any,
    ...(isNot ? { not: true as const } : {}),
  })
  const pathsOf = (list: readonly AccessPath[] | undefined, field: string, isNot: boolean): readonly (AccessCondition | string)[] => {
    if (list === undefined) return []
    const bad = list.findIndex(each => !isNormal(each))
    if (bad >= 0) return [`${path}.${field}[${bad}].value: "${list[bad]!.value}" is not in normal form: no request is compared as such`]
    return [{ on: 'path', any: list.flatMap(lowerPath), ...(isNot ? { not: true as const } : {}) }]
  }
  const calls = (grpc ?? []).map(
    ({ service, method }): TextMatch =>
      method === undefined ? { type: 'prefix', value: `/${service}/` } : { type: 'exact', value: `/${service}/${method}` },
  )
  return [
    ...(methods === undefined ? [] : [on('method', exact(methods))]),
    ...(notMethods === undefined ? [] : [on('method', exact(notMethods), true)]),
    ...pathsOf(paths, 'paths', false),
    ...pathsOf(notPaths, 'notPaths', true),
    ...(calls.length === 0 ? [] : [{ on: 'path' as const, any: calls }, on('method', exact(['POST']))]),
    ...(hosts === undefined ? [] : [on('host', hosts.map(hostMatch))]),
    ...(notHosts === undefined ? [] : [on('host', notHosts.map(hostMatch), true)]),
    ...(headers ?? []).flatMap(({ name, values, notValues }): readonly AccessCondition[] => {
      const header = { on: 'header', name: name.toLowerCase() } as const
      return [
        ...(values === undefined && notValues !== undefined ? [] : [{ ...header, any: (values ?? []).map(valueMatch) }]),
        ...(notValues === undefined ? [] : [{ ...header, any: notValues.map(valueMatch), not: true as const }]),
      ]
    }),
  ]
}

const isNormal = ({ type, value }: AccessPath): boolean => {
  const whole = type === 'Suffix' ? `/x${value}` : value
  const read = readPath(whole)
  return read !== undefined && read.path === whole && read.other === undefined
}

/** Whole segments. */
function lowerPath({ type, value }: AccessPath): readonly TextMatch[] {
  if (type === 'Exact') return [{ type: 'exact', value }]
  if (type === 'Suffix') return [{ type: 'suffix', value }]
  const bare = value.replace(/\/$/, '')
  return bare === ''
    ? [{ type: 'prefix', value: '/' }]
    : [
        { type: 'exact', value: bare },
        { type: 'prefix', value: `${bare}/` },
      ]
}

const hostMatch = (host: string): TextMatch =>
  host.startsWith('*.') ? { type: 'suffix', value: host.slice(1) } : { type: 'exact', value: host }

const valueMatch = (value: string): TextMatch =>
  value.length > 1 && value.endsWith('*')
    ? { type: 'prefix', value: value.slice(0, -1) }
    : value.length > 1 && value.startsWith('*')
      ? { type: 'suffix', value: value.slice(1) }
      : { type: 'exact', value }

/** The policies that judge who calls a port of a Service, at any of the workloads behind it. */
export const guardsAt = (policies: readonly AccessPolicy[], port: ServicePort, workloads: readonly Workload[]): readonly AccessPolicy[] =>
  policies.filter(policy =>
    (policy.spec?.targetRefs ?? []).some(({ kind, name, sectionName, labels }) => {
      const namespace = namespaceOf(policy)
      if (kind === 'Mesh') return namespace === rootNamespace
      if (namespace !== port.namespace) return false
      if (kind === 'Namespace') return true
      if (kind === 'Workload') return workloads.some(each => selects(labels ?? {}, each))
      return name === port.service && (sectionName === undefined || sectionName === port.name)
    }),
  )
