/** The names that the mesh's DNS answers: every way in which Kubernetes lets a Service be called. */

import type { Mesh } from '#model/mesh'
import type { DnsName } from '#model/view'
import type { Headless, ServicePort } from './services.ts'

const isIPv4 = (address: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(address)
export const byName = (one: DnsName, other: DnsName): number => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0)

/** In which whole names a Service is known to the mesh. */
export const wholeNames = ({ service, namespace }: Pick<ServicePort, 'service' | 'namespace'>): readonly string[] =>
  ['', '.svc', '.svc.cluster.local'].map(end => `${service}.${namespace}${end}`)

/**
 * Of a Service: SERVICE (to clients of its namespace), SERVICE.NAMESPACE, SERVICE.NAMESPACE.svc and SERVICE.NAMESPACE.svc.cluster.local; of an ExternalService its
 * hosts; of a headless Service the same names for all who are behind it, and WORKLOAD.SERVICE… for each; of a workload with an address WORKLOAD.NAMESPACE.workload.
 */
export function findNames(ports: readonly ServicePort[], headless: readonly Headless[] = []): Mesh['dns'] {
  const qualified = new Map<string, DnsName>()
  const short = new Map<string, Map<string, DnsName>>()
  const ofService = (service: string, namespace: string, addresses: readonly string[]): void => {
    for (const name of wholeNames({ service, namespace })) qualified.set(name, { name, addresses })
    const own = short.get(namespace) ?? new Map<string, DnsName>()
    short.set(namespace, own.set(service, { name: service, addresses }))
  }
  for (const { host, service, namespace, external, workload } of ports) {
    if (host === undefined || !isIPv4(host)) continue
    const name = external?.host ?? (workload === undefined ? undefined : `${workload}.${namespace}.workload`)
    if (name === undefined) ofService(service, namespace, [host])
    else qualified.set(name, { name, addresses: [host] })
  }
  for (const each of headless) {
    const { service, namespace } = each
    const members = each.workloads.filter(({ meshAddress }) => meshAddress !== undefined)
    for (const { name, meshAddress } of members) ofService(`${name}.${service}`, namespace, [meshAddress!])
    const addresses = [...answered(each).flatMap(({ meshAddress }) => meshAddress ?? []), ...each.outside]
    if (addresses.length > 0) ofService(service, namespace, addresses)
  }
  const inOrder = (names: ReadonlyMap<string, DnsName>): readonly DnsName[] => [...names.values()].sort(byName)
  return {
    qualified: inOrder(qualified),
    short: Object.fromEntries(
      [...short.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([namespace, names]) => [namespace, inOrder(names)]),
    ),
  }
}

/** Those that serve; where none does, those of which it is not known. */
function answered({ workloads, takesAll }: Headless): Headless['workloads'] {
  if (takesAll) return workloads
  const healthy = workloads.filter(({ health }) => health === 'healthy')
  return healthy.length > 0 ? healthy : workloads.filter(({ health }) => health === 'degraded')
}
