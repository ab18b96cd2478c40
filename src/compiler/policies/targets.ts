/** For what policies hold: each target's documents in the order in which they count, and what is said of each in its status. */

import type { ClientMatch } from '#model/mesh'
import { type Gateway, gatewayGroup } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import type { ClientSpec, PolicyTarget } from '#resources/weft'
import { rootNamespace, weftGroup } from '#resources/weft'
import { clientsOf, isWithin } from '../clients.ts'
import { aboutField, aboutFields, type Says, saysOf } from './fields.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import { isHttp, isOpaque } from '../services/protocol.ts'
import type { ServicePort, Services } from '../services/services.ts'
import type { AncestorStatus, ResourceStatus, Stated } from '../status.ts'
import { controllerName, state, statusFor } from '../status.ts'

export type AnyPolicy = Resource<{ readonly targetRefs: readonly PolicyTarget[]; readonly from?: readonly ClientSpec[] | undefined }>
type AnyRoute = Resource<{ readonly rules?: readonly { readonly name?: string | undefined }[] | undefined }>

/** The widest first: what is narrower counts more. */
export const levels = ['Mesh', 'Namespace', 'Workload', 'Service', 'port', 'subset', 'Gateway', 'section', 'Route', 'rule'] as const
export type Level = (typeof levels)[number]

/** What a document says of one target, and for whom. says: only what can be carried out there and no equal says before it. */
export type Placed<P> = { readonly policy: P; readonly level: Level; readonly from?: readonly ClientMatch[]; readonly says: Says }

/** What passes somewhere; a port of which nothing says what it speaks may carry two of these. */
export type Carrier = 'requests' | 'connections' | 'datagrams'

/** Why a policy does not hold for a target although that is there. */
export type Objection = { readonly reason: 'Invalid' | 'Expired'; readonly says: string }

/** isHeld: whether some parent takes the route. */
export type Ground = {
  readonly services: Services
  readonly routes: readonly AnyRoute[]
  readonly isHeld: (route: Resource) => boolean
  /** Those of our classes. */
  readonly gateways?: readonly Gateway[]
}

/** One of the places that a target comes to. told: for people. port: absent for a route. edge: of a Gateway; isNamed: the target is this listener alone. */
export type Place = {
  readonly told: string
  readonly carriers: readonly Carrier[]
  readonly port?: ServicePort
  readonly edge?: { readonly isPlain: boolean; readonly isNamed: boolean }
}

/** unable: why a field of it cannot be carried out there. objection: what is wrong with it at a target; path: of the targetRef. */
export type Judging<P> = {
  readonly unable: (policy: P, field: string, place: Place) => string | undefined
  readonly objection?: (policy: P, ref: PolicyTarget, path: string, route: AnyRoute | undefined) => Objection | undefined
}

export type Targets<P> = {
  /** No policy holds for anything. */
  readonly isEmpty: boolean
  /** For one route of a port, the one that counts most first; routeName: of the model, `KIND/NAMESPACE/NAME/RULE[.MATCH]`. port: absent at Gateways, where what holds for the mesh and for the namespace of the route does. */
  readonly of: (port: ServicePort | undefined, routeName: string) => readonly Placed<P>[]
  /** Those for a listener of a Gateway, and then those for all of it. gateway: `NAMESPACE/NAME`. */
  readonly ofGateway: (gateway: string, section: string | undefined) => readonly Placed<P>[]
  /** Those for the port and what is wider. */
  readonly ofPort: (port: ServicePort) => readonly Placed<P>[]
  /** Those for the whole mesh, a namespace, or workloads of it by labels. */
  readonly ofPlace: (namespace: string) => readonly (Placed<P> & { readonly labels?: Readonly<Record<string, string>> })[]
  readonly statuses: readonly ResourceStatus[]
}

type Entry<P> = Placed<P> & { readonly target: string; readonly variant: string; readonly labels?: Readonly<Record<string, string>> }
/** why: it does not hold there at all. remarks: fields that cannot be carried out there, or not everywhere. */
type Judged<P> = {
  readonly ref: PolicyTarget
  readonly path: string
  readonly why?: { readonly reason: string; readonly says: string }
  readonly entry?: Entry<P>
  readonly remarks: readonly string[]
}

export const carriersOf = ({ protocol }: Pick<ServicePort, 'protocol'>): readonly Carrier[] =>
  protocol === 'udp'
    ? ['datagrams']
    : [...(isHttp(protocol) ? ['requests' as const] : []), ...(isOpaque(protocol) ? ['connections' as const] : [])]

const carriersOfListener: Readonly<Record<string, readonly Carrier[]>> = { HTTP: ['requests'], HTTPS: ['requests'], UDP: ['datagrams'] }

const carriersOfRoute: Readonly<Record<string, readonly Carrier[]>> = { TCPRoute: ['connections'], UDPRoute: ['datagrams'] }

/** policies: oldest first. */
export function findTargets<P extends AnyPolicy>(policies: readonly P[], ground: Ground, judging: Judging<P>): Targets<P> {
  const byName = new Map(ground.routes.map(route => [`${route.kind} ${nameOf(route)}`, route]))
  const byTarget = new Map<string, Entry<P>[]>() // `Service NAMESPACE/NAME[#PORTNAME]`, `HTTPRoute NAMESPACE/NAME[#RULENAME]`, `Namespace NAME`, `Mesh`
  const overrules = new Map<Judged<P>, string[]>() // what each of two is told
  const overruled = new Map<Judged<P>, readonly string[]>()
  const holders = new Map<Entry<P>, Judged<P>>()

  const judged = policies.map(policy => {
    const says = saysOf(policy)
    const list = (policy.spec?.targetRefs ?? []).map((ref, at) =>
      judge(policy, ref, `spec.targetRefs[${at}]`, says, byName, ground, judging),
    )
    return { policy, list: list.map(each => (each.entry === undefined ? each : placed(each, each.entry))) }
  })

  /** Of equals the older holds, and both are told. */
  function placed(one: Judged<P>, entry: Entry<P>): Judged<P> {
    const equals = (byTarget.get(entry.target) ?? []).filter(other => other.variant === entry.variant)
    const name = `${entry.policy.kind} ${nameOf(entry.policy)}`
    const lost = new Map<string, Entry<P>>()
    for (const field of Object.keys(entry.says).sort()) {
      const other = equals.find(each => field in each.says)
      if (other !== undefined) lost.set(field, other)
    }
    const winners = [...new Set(lost.values())]
    const told = winners.map(other => {
      const fields = aboutFields(
        entry.policy.kind,
        [...lost].flatMap(([field, by]) => (by === other ? [field] : [])),
      )
      const winner = holders.get(other)!
      overrules.set(winner, [
        ...(overrules.get(winner) ?? []),
        `${fields}${name} says it too for the same target, is younger and is overruled`,
      ])
      return `${fields}${other.policy.kind} ${nameOf(other.policy)} is older and holds for the same target`
    })
    const left = Object.fromEntries(Object.entries(entry.says).filter(([field]) => !lost.has(field)))
    // For others than the clients that both name it still holds, so nothing is taken from it.
    for (const other of byTarget.get(entry.target) ?? []) {
      if (other.variant === entry.variant || !shareClients(other, entry)) continue
      const both = Object.keys(left)
        .filter(field => field in other.says)
        .sort()
      if (both.length === 0) continue
      const fields = aboutFields(entry.policy.kind, both)
      const winner = holders.get(other)!
      overrules.set(winner, [
        ...(overrules.get(winner) ?? []),
        `${fields}${name} says it too for clients that both name in from, is younger and is overruled for these`,
      ])
      told.push(`${fields}${other.policy.kind} ${nameOf(other.policy)} is older and holds for the clients that both name in from`)
    }
    if (winners.length > 0 && Object.keys(left).length === 0)
      return { ...one, remarks: [], why: { reason: 'Conflicted', says: `${one.path}: ${told.join('; ')}` } }
    const kept: Entry<P> = { ...entry, says: left }
    const made: Judged<P> = { ...one, entry: kept }
    holders.set(kept, made)
    if (told.length > 0) overruled.set(made, told)
    byTarget.set(
      entry.target,
      [...(byTarget.get(entry.target) ?? []), kept].sort((a, b) => Number(a.from === undefined) - Number(b.from === undefined)),
    )
    return made
  }

  const statuses = judged.map(({ policy, list }) => {
    const ancestors = list.map((each): AncestorStatus => {
      const { path, why, remarks } = each
      const lost = overruled.get(each) ?? []
      const told = [...lost, ...(overrules.get(each) ?? [])]
      const so = lost.length > 0 ? 'Overruled' : 'Overrules'
      const conditions: readonly Stated[] =
        why !== undefined
          ? [state(policy, 'Accepted', false, why.reason, why.says)]
          : [
              state(policy, 'Accepted', true, 'Accepted', 'The policy holds'),
              ...(remarks.length === 0
                ? []
                : [state(policy, 'PartiallyInvalid', true, 'UnsupportedValue', `${path}: ${remarks.join('; ')}`)]),
              ...(told.length === 0 ? [] : [state(policy, 'Conflicted', true, so, `${path}: ${told.join('; ')}`)]),
            ]
      return { ancestorRef: ancestorOf(policy, each.ref), controllerName, conditions }
    })
    return statusFor(policy, { ancestors })
  })

  const at = (target: string): readonly Entry<P>[] => byTarget.get(target) ?? []
  const wide = (namespace: string): readonly Entry<P>[] => [...at(`Namespace ${namespace}`), ...at('Mesh')]
  const ofPort = (port: ServicePort): readonly Entry<P>[] => {
    if (byTarget.size === 0) return []
    if (port.workload !== undefined) return wide(port.namespace)
    const service = `${port.external === undefined ? 'Service' : 'ExternalService'} ${port.namespace}/${port.service}`
    const subset = port.subset === undefined ? [] : at(`ServiceSubset ${port.namespace}/${port.subset}`)
    return [...subset, ...(port.name === undefined ? [] : at(`${service}#${port.name}`)), ...at(service), ...wide(port.namespace)]
  }
  return {
    isEmpty: byTarget.size === 0,
    statuses,
    ofPort,
    ofGateway: (gateway, section) => [...(section === undefined ? [] : at(`Gateway ${gateway}#${section}`)), ...at(`Gateway ${gateway}`)],
    ofPlace: namespace => [...at(`Workload ${namespace}`), ...wide(namespace)],
    of: (port, routeName) => {
      if (byTarget.size === 0) return []
      // A route that others hand on to counts more than those that hand on to it.
      const own = routeName.split('/via/').flatMap(each => {
        const [kind, namespace, name, place] = each.split('/')
        if (kind === 'Service' || kind === 'ExternalService' || kind === 'Workload') return []
        const whole = `${kind} ${namespace}/${name}`
        const rule = byName.get(whole)?.spec?.rules?.[Number.parseInt(place ?? '', 10)]?.name
        return [...(rule === undefined ? [] : at(`${whole}#${rule}`)), ...at(whole)]
      })
      const namespace = routeName.split('/')[1] ?? ''
      return [...own, ...(port === undefined ? wide(namespace) : ofPort(port))]
    },
  }
}

/** Of one target: whether some client is meant by both, among those that they name; one that names nobody counts less. */
const shareClients = <P>(one: Entry<P>, other: Entry<P>): boolean =>
  one.from !== undefined &&
  other.from !== undefined &&
  JSON.stringify(one.labels) === JSON.stringify(other.labels) &&
  one.from.some(each => other.from!.some(another => isWithin(each, another) || isWithin(another, each)))

function judge<P extends AnyPolicy>(
  policy: P,
  ref: PolicyTarget,
  path: string,
  says: Says,
  byName: ReadonlyMap<string, AnyRoute>,
  { services, isHeld, gateways = [] }: Ground,
  { unable, objection }: Judging<P>,
): Judged<P> {
  const namespace = namespaceOf(policy)
  const { kind, name, sectionName, labels } = ref
  const no = (reason: string, told: string): Judged<P> => ({ ref, path, remarks: [], why: { reason, says: `${path}: ${told}` } })
  const from = policy.spec?.from === undefined ? {} : { from: clientsOf(policy.spec.from, namespace) }
  const variant = JSON.stringify([from.from, Object.entries(labels ?? {}).sort()])

  /** every: where it is; the field must be of use at one of these at least. */
  const yes = (target: string, level: Level, every: readonly Place[]): Judged<P> => {
    const wrong = objection?.(policy, ref, path, byName.get(`${kind} ${namespace}/${name}`))
    if (wrong !== undefined) return { ref, path, remarks: [], why: wrong }
    const left: Record<string, unknown> = {}
    const remarks: string[] = []
    for (const [field, value] of Object.entries(says)) {
      const reasons = every.map(place => {
        const why = unable(policy, field, place)
        return why === undefined ? undefined : `${aboutField(policy.kind, field)}${place.told}: ${why}`
      })
      const not = reasons.filter(each => each !== undefined)
      if (every.length === 0 || not.length < every.length) left[field] = value
      // What holds for many ports is a default for those that can carry it out.
      if (not.length === every.length) remarks.push(...not)
    }
    if (Object.keys(says).length > 0 && Object.keys(left).length === 0) return no('Invalid', remarks.slice(0, 8).join('; '))
    const entry: Entry<P> = { policy, level, target, variant, says: left, ...from, ...(labels === undefined ? {} : { labels }) }
    return { ref, path, remarks: remarks.slice(0, 8), entry }
  }
  const spoken = (ports: readonly ServicePort[]): readonly Place[] =>
    ports.map(port => ({
      told: `port ${port.port} of ${port.external === undefined ? 'Service' : 'ExternalService'} ${port.namespace}/${port.service} speaks ${port.protocol}`,
      carriers: carriersOf(port),
      port,
    }))

  if (kind === 'Mesh') {
    if (namespace !== rootNamespace)
      return no(
        'Invalid',
        `policies for the whole mesh are taken from the namespace ${rootNamespace} only: write it there, or name a narrower target`,
      )
    if (name !== undefined && name !== 'default') return no('TargetNotFound', 'the Mesh is named default')
    return yes('Mesh', 'Mesh', spoken(services.ports))
  }
  if (kind === 'Namespace') {
    if (name !== undefined && name !== namespace)
      return no('Invalid', `a policy holds in its own namespace, ${namespace}: write it in ${name}`)
    return yes(`Namespace ${namespace}`, 'Namespace', spoken(services.ports.filter(port => port.namespace === namespace)))
  }
  if (kind === 'Workload') return yes(`Workload ${namespace}`, 'Workload', [])
  const whole = `${kind} ${namespace}/${name}`
  const target = sectionName === undefined ? whole : `${whole}#${sectionName}`
  if (kind === 'Service' || kind === 'ExternalService') {
    const ports = services.by.get(kind === 'Service' ? `${namespace}/${name}` : whole)
    if (ports === undefined) return no('TargetNotFound', `${whole} does not exist`)
    const named = sectionName === undefined ? ports : ports.filter(port => port.name === sectionName)
    if (named.length === 0 && sectionName !== undefined) return no('TargetNotFound', `${whole} has no port named ${sectionName}`)
    return yes(target, sectionName === undefined ? 'Service' : 'port', spoken(named))
  }
  if (kind === 'ServiceSubset') {
    const subset = services.subsets.get(`${namespace}/${name}`)
    if (subset?.ports === undefined) return no('TargetNotFound', `${whole} does not exist, or its Service does not`)
    return yes(whole, 'subset', spoken(subset.ports))
  }
  if (kind === 'Gateway') {
    const gateway = gateways.find(each => nameOf(each) === `${namespace}/${name}`)
    if (gateway === undefined) return no('TargetNotFound', `${whole} does not exist, or its class is not one of Weft's`)
    const sections = (gateway.spec?.listeners ?? []).filter(each => sectionName === undefined || each.name === sectionName)
    if (sections.length === 0 && sectionName !== undefined) return no('TargetNotFound', `${whole} has no listener named ${sectionName}`)
    const places = sections.map(
      (each): Place => ({
        told: `listener ${each.name} of ${whole}`,
        carriers: carriersOfListener[each.protocol] ?? ['connections'],
        edge: { isPlain: each.protocol === 'HTTP', isNamed: sectionName !== undefined },
      }),
    )
    return yes(target, sectionName === undefined ? 'Gateway' : 'section', places)
  }
  const route = byName.get(whole)
  if (route === undefined) return no('TargetNotFound', `${whole} does not exist`)
  if (sectionName !== undefined && !(route.spec?.rules ?? []).some(rule => rule.name === sectionName))
    return no('TargetNotFound', `${whole} has no rule named ${sectionName}`)
  if (!isHeld(route)) return no('Invalid', `nothing goes by ${whole}: its own status says why no parent takes it`)
  return yes(target, sectionName === undefined ? 'Route' : 'rule', [{ told: `a ${kind}`, carriers: carriersOfRoute[kind] ?? ['requests'] }])
}

function ancestorOf(policy: AnyPolicy, { kind, name, sectionName }: PolicyTarget): AncestorStatus['ancestorRef'] {
  const namespace = namespaceOf(policy)
  return {
    group:
      kind === 'Service' || kind === 'Namespace'
        ? ''
        : kind === 'Mesh' || kind === 'Workload' || kind === 'ServiceSubset' || kind === 'ExternalService'
          ? weftGroup
          : gatewayGroup,
    kind,
    ...(kind === 'Mesh' ? {} : { namespace }),
    name: name ?? (kind === 'Mesh' ? 'default' : kind === 'Namespace' ? namespace : 'labels'),
    ...(sectionName === undefined ? {} : { sectionName }),
  }
}
