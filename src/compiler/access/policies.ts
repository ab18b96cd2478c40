/** AccessPolicies: what is said of each, and the guards that they set. */

import type { IdTemplates } from '#base/id-template'
import type { Guard, GuardTarget, Mesh } from '#model/mesh'
import type { Workload, WorkloadPort } from '#model/workload'
import type { AccessOperation, AccessPolicy, AccessSource, AccessTarget, MeshResource } from '#resources/weft'
import { rootNamespace, weftGroup } from '#resources/weft'
import { isTarget } from './at.ts'
import { type Lowered, lowerRules, patternOf } from './rules.ts'
import { namespaceOf } from '../gather.ts'
import { isHttp } from '../services/protocol.ts'
import { type ServicePort, type Services, selects, whyNobody } from '../services/services.ts'
import type { ResourceStatus, Stated } from '../status.ts'
import { controllerName, state, statusFor } from '../status.ts'

export type Guarding = Pick<Mesh, 'guards' | 'access' | 'accessIn' | 'tellsWhy'> & { readonly statuses: readonly ResourceStatus[] }

/** policies: oldest first. */
export function findGuards(
  policies: readonly AccessPolicy[],
  meshes: readonly MeshResource[],
  services: Services,
  trustDomain: string,
  nameless: readonly Nameless[],
  workloads: readonly Workload[],
  idTemplates: IdTemplates,
): Guarding {
  const guards: Guard[] = []
  const statuses = policies.map(policy => {
    const lowered = lowerRules(policy, trustDomain, idTemplates)
    const judged = (policy.spec?.targetRefs ?? []).map((ref, at) =>
      judge(policy, ref, `spec.targetRefs[${at}]`, services, lowered, nameless, workloads),
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
  const own = (said?.namespaces ?? []).map(each => [each.name, each.default === 'Deny' ? 'deny' : 'allow'] as const)
  return {
    guards,
    access: said?.default === 'Deny' ? 'deny' : 'allow',
    accessIn: Object.fromEntries(own),
    tellsWhy: (said?.tellWhy ?? []).map(patternOf),
    statuses,
  }
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
  workloads: readonly Workload[],
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
  const yes = (targets: readonly GuardTarget[], ports: readonly Place[]): Judged => ({
    targets,
    ancestorRef,
    conditions: conditionsOf(policy, kind === 'Service' || kind === 'Workload', ports, lowered.problems, isAllow =>
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
    return yes([{}], services.ports.map(placeOfService))
  }
  const inside = services.ports.filter(port => port.namespace === namespace)
  if (kind === 'Namespace') {
    if (name !== undefined && name !== namespace)
      return no('Invalid', `a policy holds in its own namespace, ${namespace}: write it in ${name}`)
    return yes([{ namespace }], inside.map(placeOfService))
  }
  if (kind === 'Workload') {
    const own = workloads.filter(each => each.namespace === namespace && selects(labels ?? {}, each))
    return yes([{ namespace, selector: labels ?? {} }], own.flatMap(placesOfWorkload))
  }
  const ports = services.by.get(`${namespace}/${name}`)
  if (ports === undefined) return no('TargetNotFound', `Service ${namespace}/${name} does not exist`)
  const named = sectionName === undefined ? ports : ports.filter(port => port.name === sectionName)
  if (named.length === 0) return no('TargetNotFound', `Service ${namespace}/${name} has no port named ${sectionName}`)
  const nobody = whyNobody(named[0])
  if (nobody !== undefined) return no('Invalid', nobody)
  return yes(
    named.map(({ selector, target, protocol }) => ({ namespace, selector, port: { target, isUdp: protocol === 'udp' } })),
    named.map(placeOfService),
  )
}

/** What cannot be carried out is said with its field, and counts so that nobody gets in by it. */
function conditionsOf(
  policy: AccessPolicy,
  isOne: boolean,
  ports: readonly Place[],
  problems: readonly string[],
  namelessOf: (isAllow: boolean) => readonly string[],
): readonly Stated[] {
  const isAllow = (policy.spec?.action === 'Audit' ? policy.spec.audits : policy.spec?.action) === 'Allow'
  const so = isAllow ? 'it allows nothing there' : 'its rule denies everything there'
  const others = ports.filter(port => !isHttp(port.protocol)).sort(byName)
  const unseen = (field: string, { port, of, protocol }: Place): string =>
    `${field}: port ${port} of ${of} speaks ${protocol}, where no HTTP is seen: ${so}`
  const wrong = (policy.spec?.rules ?? []).flatMap((rule, at) => [
    ...(rule.from ?? []).flatMap((source, nth) =>
      others
        .filter(port => rule.to === undefined || rule.to.some(operation => mayBeAt(operation, port)))
        .flatMap(port => tokenFieldsOf(source).map(field => unseen(`spec.rules[${at}].from[${nth}].${field}`, port))),
    ),
    ...(rule.to ?? []).flatMap((operation, nth) =>
      others
        .filter(port => mayBeAt(operation, port))
        .flatMap(port => httpFieldsOf(operation).map(field => unseen(`spec.rules[${at}].to[${nth}].${field}`, port))),
    ),
  ])
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
const byName = (one: Place, other: Place): number => (nameOfPort(one) < nameOfPort(other) ? -1 : 1)
const nameOfPort = ({ of, port, protocol }: Place): string => `${of}:${String(port).padStart(5, '0')}/${protocol}`

/** A port that a policy is for. of: whose it is, for people. target: of the workload. */
type Place = Pick<ServicePort, 'port' | 'protocol' | 'target'> & { readonly of: string }
const placeOfService = ({ namespace, service, port, protocol, target }: ServicePort): Place => ({
  of: `Service ${namespace}/${service}`,
  port,
  protocol,
  target,
})
const placesOfWorkload = ({ name, namespace, ports }: Workload): readonly Place[] =>
  ports.map(({ port, protocol }) => ({ of: `workload ${name}.${namespace}`, port, protocol, target: port }))

const tokenFieldsOf = (source: AccessSource) => (['claims', 'issuers'] as const).filter(field => source[field] !== undefined)

const httpFields = ['methods', 'paths', 'hosts', 'headers', 'grpc', 'notMethods', 'notPaths', 'notHosts'] as const
const httpFieldsOf = (operation: AccessOperation) => httpFields.filter(field => operation[field] !== undefined)
const mayBeAt = ({ ports, notPorts }: AccessOperation, { target }: Place): boolean =>
  typeof target !== 'number' || ((ports?.includes(target) ?? true) && !(notPorts?.includes(target) ?? false))

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
