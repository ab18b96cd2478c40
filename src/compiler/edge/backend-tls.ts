/**
 * BackendTLSPolicies: how a Gateway speaks TLS to the workloads of a Service, inside the mutual TLS between the proxies. They hold for requests at Gateways; programs in the mesh
 * speak TLS to such a Service themselves.
 */

import type { Origination } from '#model/backend'
import type { Mesh, Outbound } from '#model/mesh'
import { inTls } from '#model/port'
import type { Route } from '#model/route'
import type { BackendTLSPolicy } from '#resources/gateway-api'
import { gatewayGroup } from '#resources/gateway-api'
import type { Certificate, JudgeCertificate } from './certificates.ts'
import { rootsOf } from '../outside/external-tls.ts'
import type { Gathered } from '../gather.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import type { ServicePort, Services } from '../services/services.ts'
import { profileIn } from './tls-options.ts'
import type { AncestorStatus, ResourceStatus } from '../status.ts'
import { controllerName, gatewayControllerName, state, statusFor } from '../status.ts'

/** fault: why it cannot be carried out; calls then go nowhere. */
type Judged = {
  readonly policy: BackendTLSPolicy
  readonly tls?: Origination
  readonly fault?: { readonly reason: string; readonly says: string; readonly refs?: string }
}
/** By key of the port. */
export type BackendTls = ReadonlyMap<string, Judged>

/** targets: ports for which each is meant. lost: why an older one holds instead. */
export type FoundBackendTls = {
  readonly holding: BackendTls
  readonly targets: ReadonlyMap<BackendTLSPolicy, readonly ServicePort[]>
  readonly lost: ReadonlyMap<BackendTLSPolicy, string>
}

/** A policy for a port before one for all, and of both the oldest (GEP-1897). */
export function findBackendTls(
  gathered: Pick<Gathered, 'backendTLSPolicies' | 'configMaps'>,
  services: Services,
  judgeCertificate: JudgeCertificate,
): FoundBackendTls {
  const claimed = new Map<string, BackendTLSPolicy>()
  const targets = new Map<BackendTLSPolicy, ServicePort[]>()
  const lost = new Map<BackendTLSPolicy, string>()
  const holding = new Map<string, Judged>()
  const forPort = new Set<string>()
  for (const policy of gathered.backendTLSPolicies) {
    const judged = judge(policy, gathered, judgeCertificate)
    for (const { group, kind, name, sectionName } of policy.spec?.targetRefs ?? []) {
      if (group !== '' || kind !== 'Service') continue
      const service = `${namespaceOf(policy)}/${name}`
      const ports = (services.by.get(service) ?? []).filter(port => sectionName === undefined || port.name === sectionName)
      targets.set(policy, [...(targets.get(policy) ?? []), ...ports])
      const place = `${service} ${sectionName ?? ''}`
      const holder = claimed.get(place)
      if (holder !== undefined) {
        lost.set(
          policy,
          `BackendTLSPolicy ${nameOf(holder)}, an older one, holds for ${service}${sectionName === undefined ? '' : ` port ${sectionName}`}`,
        )
        continue
      }
      claimed.set(place, policy)
      for (const { key } of ports) {
        if (sectionName === undefined && forPort.has(key)) continue
        if (sectionName !== undefined) forPort.add(key)
        holding.set(key, judged)
      }
    }
  }
  return { holding, targets, lost }
}

function judge(policy: BackendTLSPolicy, gathered: Pick<Gathered, 'configMaps'>, judgeCertificate: JudgeCertificate): Judged {
  const { validation, options } = policy.spec ?? {}
  const profile = profileIn(options, 'spec.options')
  if (validation === undefined) return { policy, fault: { reason: 'Invalid', says: 'spec.validation is absent' } }
  if (typeof profile === 'object') return { policy, fault: { reason: 'Invalid', says: profile.wrong } }
  const { hostname, caCertificateRefs = [], wellKnownCACertificates, subjectAltNames = [] } = validation
  if (wellKnownCACertificates !== undefined && wellKnownCACertificates !== 'System')
    return {
      policy,
      fault: {
        reason: 'Invalid',
        says: `spec.validation.wellKnownCACertificates: "${wellKnownCACertificates}" is not carried out, only System`,
      },
    }
  const wrong: { readonly reason: string; readonly says: string }[] = []
  const roots = caCertificateRefs.flatMap(({ group, kind, name }, index): readonly string[] => {
    const at = `spec.validation.caCertificateRefs[${index}]`
    if (group !== '' || kind !== 'ConfigMap') {
      wrong.push({ reason: 'InvalidKind', says: `${at}: the kind ${kind} of group "${group}" is not carried out: refer to a ConfigMap` })
      return []
    }
    const found = rootsOf(`${namespaceOf(policy)}/${name}`, gathered, judgeCertificate)
    if (typeof found !== 'string') return found
    wrong.push({ reason: 'InvalidCACertificateRef', says: `${at}: ${found}` })
    return []
  })
  if (wellKnownCACertificates === undefined && roots.length === 0) {
    const [first] = wrong
    const says = wrong.map(each => each.says).join('; ')
    return { policy, fault: { reason: 'NoValidCACertificate', says, refs: first?.reason ?? 'InvalidCACertificateRef' } }
  }
  const names = subjectAltNames.flatMap(each => each.hostname ?? each.uri ?? [])
  return {
    policy,
    tls: {
      ...(profile === undefined || profile === 'compatible' ? {} : { profile }),
      serverName: hostname,
      ...(names.length === 0 ? {} : { names }),
      ...(wellKnownCACertificates === undefined ? { roots } : {}),
    },
  }
}

/** What the proxies of a Gateway are told: requests that lead to such ports go to backends of their own. certificate: what the Gateway shows. */
export function withBackendTls(
  edge: Outbound,
  holding: BackendTls,
  certificate: Certificate | undefined,
): { readonly edge: Outbound; readonly inside: Mesh['inside'][string] } {
  const used = new Set<string>()
  const renamed = (name: string | undefined): string | undefined => {
    if (name === undefined || !holding.has(name)) return name
    used.add(name)
    return inTls(name)
  }
  const routed = (route: Route): Route => {
    const { action, mirrors } = route
    const isLed = action.type === 'forward' && action.backends.some(each => each.backend !== undefined && holding.has(each.backend))
    const isCopied = mirrors?.some(each => holding.has(each.backend)) === true
    if (!isLed && !isCopied) return route
    return {
      ...route,
      ...(action.type === 'forward'
        ? { action: { ...action, backends: action.backends.map(each => ({ ...each, backend: renamed(each.backend) })) } }
        : {}),
      ...(mirrors === undefined ? {} : { mirrors: mirrors.map(each => ({ ...each, backend: renamed(each.backend)! })) }),
    }
  }
  const routes = Object.fromEntries(
    Object.entries(edge.routes).map(([name, table]) => [
      name,
      { ...table, hosts: table.hosts.map(host => ({ ...host, routes: host.routes.map(routed) })) },
    ]),
  )
  const inside = Object.fromEntries(
    [...used].sort().map(key => {
      const { tls } = holding.get(key)!
      return [
        key,
        tls === undefined ? ('refused' as const) : { ...tls, ...(certificate === undefined ? {} : { certificate: { ...certificate } }) },
      ]
    }),
  )
  return used.size === 0 ? { edge, inside } : { edge: { ...edge, routes }, inside }
}

/** inside: by Gateway. */
export function reportBackendTls(
  { backendTLSPolicies }: Pick<Gathered, 'backendTLSPolicies'>,
  { holding, targets, lost }: FoundBackendTls,
  inside: Mesh['inside'],
): readonly ResourceStatus[] {
  const judgements = new Map([...holding.values()].map(each => [each.policy, each]))
  return backendTLSPolicies.map(policy => {
    const keys = new Set((targets.get(policy) ?? []).map(port => port.key))
    const gateways = Object.entries(inside).flatMap(([name, backends]) => (Object.keys(backends).some(key => keys.has(key)) ? [name] : []))
    const { fault } = judgements.get(policy) ?? {}
    const conflict = lost.get(policy)
    const says =
      gateways.length > 0 ? 'The Gateway speaks TLS to it' : 'No Gateway leads there; programs in the mesh speak TLS to it themselves'
    const conditions = [
      conflict !== undefined
        ? state(policy, 'Accepted', false, 'Conflicted', conflict)
        : state(
            policy,
            'Accepted',
            fault === undefined,
            fault?.reason ?? 'Accepted',
            fault === undefined ? says : `${fault.says}; requests that lead there are answered 503`,
          ),
      state(
        policy,
        'ResolvedRefs',
        fault?.refs === undefined,
        fault?.refs ?? 'ResolvedRefs',
        fault?.refs === undefined ? 'All references lead somewhere' : fault.says,
      ),
    ]
    const ancestors = gateways.map((gateway): AncestorStatus => {
      const [namespace = '', name = ''] = gateway.split('/')
      return { ancestorRef: { group: gatewayGroup, kind: 'Gateway', namespace, name }, controllerName: gatewayControllerName, conditions }
    })
    if (ancestors.length > 0) return statusFor(policy, { ancestors: ancestors.slice(0, 16) })
    const own = (policy.spec?.targetRefs ?? []).map(
      ({ group, kind, name, sectionName }): AncestorStatus => ({
        ancestorRef: { group, kind, namespace: namespaceOf(policy), name, ...(sectionName === undefined ? {} : { sectionName }) },
        controllerName,
        conditions,
      }),
    )
    return statusFor(policy, { ancestors: own })
  })
}
