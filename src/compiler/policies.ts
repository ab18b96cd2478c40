/** What holds for the calls to a service port: the Mesh's defaults, then the Service's BackendPolicy, then that of its port. */

import { durationMs } from '#resources/duration'
import type { BackendPolicy, BackendPolicySpec, MeshResource } from '#resources/weft'
import { type Choosing, choosingOf } from './balance.ts'
import type { Note } from './gather.ts'
import { nameOf, namespaceOf } from './gather.ts'
import { type Resilience, resilienceOf } from './resilience.ts'
import type { ServicePort, Services } from './services.ts'
import type { ResourceStatus, Stated } from './status.ts'
import { controllerName, state, statusFor } from './status.ts'

export type Calling = { readonly connectTimeoutMs: number } & Choosing & Resilience
export type Policies = {
  readonly mtls: 'strict' | 'permissive'
  readonly callingOf: (port: ServicePort) => Calling
  readonly statuses: readonly ResourceStatus[]
  readonly notes: readonly Note[]
}

const builtIn: Calling = { balance: 'least-request', hash: [], near: undefined, connectTimeoutMs: 5000 }

/** meshes: the one that counts is named `default`. policies: oldest first, so that of two for one target the older holds. */
export function findPolicies(
  meshes: readonly MeshResource[],
  policies: readonly BackendPolicy[],
  services: Services,
  trustDomain: string,
): Policies {
  const notes: Note[] = []
  const mesh = meshes.find(each => each.metadata.name === 'default')
  const statuses: ResourceStatus[] = meshes.map(each => {
    const other = each.spec?.trustDomain
    const fits = other === undefined || other === trustDomain
    const says = fits ? 'The settings hold' : `spec.trustDomain cannot be changed: it is ${trustDomain}; the other settings hold`
    return statusFor(each, { conditions: [state(each, 'Accepted', fits, fits ? 'Accepted' : 'UnsupportedValue', says)] })
  })
  const byTarget = new Map<string, BackendPolicy>() // `NAMESPACE/SERVICE` or `NAMESPACE/SERVICE#PORTNAME`
  for (const policy of policies) {
    const namespace = namespaceOf(policy)
    const ancestors = (policy.spec?.targetRefs ?? []).map((ref, at) => {
      const service = `${namespace}/${ref.name}`
      const target = ref.sectionName === undefined ? service : `${service}#${ref.sectionName}`
      const ports = services.by.get(service)
      const before = byTarget.get(target)
      const path = `spec.targetRefs[${at}]`
      let condition: Stated
      if (ports === undefined) condition = state(policy, 'Accepted', false, 'TargetNotFound', `${path}: Service ${service} does not exist`)
      else if (ref.sectionName !== undefined && !ports.some(port => port.name === ref.sectionName))
        condition = state(policy, 'Accepted', false, 'TargetNotFound', `${path}: Service ${service} has no port named ${ref.sectionName}`)
      else if (before !== undefined && before !== policy)
        condition = state(
          policy,
          'Accepted',
          false,
          'Conflicted',
          `${path}: BackendPolicy ${nameOf(before)} is older and holds for the same target`,
        )
      else {
        byTarget.set(target, policy)
        condition = state(policy, 'Accepted', true, 'Accepted', 'The policy holds')
      }
      const ancestorRef = {
        group: '',
        kind: 'Service',
        namespace,
        name: ref.name,
        ...(ref.sectionName === undefined ? {} : { sectionName: ref.sectionName }),
      }
      return { ancestorRef, controllerName, conditions: [condition] }
    })
    statuses.push(statusFor(policy, { ancestors }))
  }
  const base = settings(builtIn, mesh?.spec?.defaults)
  return {
    mtls: mesh?.spec?.mtls?.mode ?? 'strict',
    statuses,
    notes,
    callingOf: port => {
      const service = `${port.namespace}/${port.service}`
      const whole = settings(base, byTarget.get(service)?.spec)
      return port.name === undefined ? whole : settings(whole, byTarget.get(`${service}#${port.name}`)?.spec)
    },
  }
}

function settings(wider: Calling, own: Partial<Omit<BackendPolicySpec, 'targetRefs'>> | undefined): Calling {
  return {
    ...choosingOf(wider, own),
    connectTimeoutMs: own?.connectTimeout === undefined ? wider.connectTimeoutMs : durationMs(own.connectTimeout),
    ...resilienceOf(wider, own),
  }
}
