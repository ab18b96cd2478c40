/** Which workloads' proxies have to keep the policies about who may call, as their documents name them. */

import type { Workload } from '#model/workload'
import type { Resource } from '#resources/kind'
import { rootNamespace } from '#resources/weft'
import { namespaceOf } from '../gather.ts'
import { type Services, selects } from '../services/services.ts'

/** workloads: `NAME.NAMESPACE`, in order. isBare: nothing stands before its ports. generation: of the policy. */
export type Enforced = {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly generation: number
  readonly workloads: readonly { readonly id: string; readonly isBare: boolean }[]
}

type Ref = {
  readonly kind: string
  readonly name?: string | undefined
  readonly sectionName?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
}
type Policy = Resource<{ readonly targetRefs?: readonly Ref[] }>
type Route = Resource<{
  readonly parentRefs?: readonly { readonly kind?: string; readonly name: string; readonly namespace?: string | undefined }[] | undefined
}>

/** routes: those that a policy may name; it is kept by the proxies of their Gateways. */
export function findEnforced(
  policies: readonly Policy[],
  routes: readonly Route[],
  services: Services,
  workloads: readonly Workload[],
): readonly Enforced[] {
  const all = workloads.filter(({ ports, gateway }) => ports.length > 0 || gateway !== undefined)
  return policies.map(policy => {
    const targets = (policy.spec?.targetRefs ?? []).map(ref => meantBy(ref, namespaceOf(policy), routes, services))
    const own = all.filter(workload => targets.some(isMeant => isMeant(workload)))
    return {
      kind: policy.kind,
      namespace: namespaceOf(policy),
      name: policy.metadata.name,
      generation: policy.metadata.generation ?? 0,
      workloads: own
        .map(({ name, namespace, ports, gateway }) => ({
          id: `${name}.${namespace}`,
          isBare: gateway === undefined && ports.some(({ bind }) => bind === undefined),
        }))
        .sort((one, other) => (one.id < other.id ? -1 : 1)),
    }
  })
}

function meantBy(
  { kind, name, sectionName, labels = {} }: Ref,
  namespace: string,
  routes: readonly Route[],
  services: Services,
): (workload: Workload) => boolean {
  switch (kind) {
    case 'Mesh':
      return ({ gateway }) => namespace === rootNamespace && gateway === undefined
    case 'Namespace':
      return workload => workload.namespace === namespace && workload.gateway === undefined && (name ?? namespace) === namespace
    case 'Workload':
      return workload => workload.namespace === namespace && selects(labels, workload)
    case 'Service': {
      const ports = (services.by.get(`${namespace}/${name}`) ?? []).filter(port => sectionName === undefined || port.name === sectionName)
      return workload => workload.namespace === namespace && ports.some(({ selector }) => selects(selector, workload))
    }
    case 'Gateway':
      return workload => workload.namespace === namespace && workload.gateway?.name === name
    default: {
      const gateways = new Set(
        routes
          .filter(route => route.kind === kind && route.metadata.name === name && namespaceOf(route) === namespace)
          .flatMap(route => route.spec?.parentRefs ?? [])
          .filter(parent => (parent.kind ?? 'Gateway') === 'Gateway')
          .map(parent => `${parent.namespace ?? namespace}/${parent.name}`),
      )
      return workload => workload.gateway !== undefined && gateways.has(`${workload.namespace}/${workload.gateway.name}`)
    }
  }
}
