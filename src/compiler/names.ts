/** The names that the mesh's DNS answers: every way in which Kubernetes lets a Service be called. */

import type { Mesh } from '#model/mesh'
import type { DnsName } from '#model/view'
import type { ServicePort } from './services.ts'

const isIPv4 = (address: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(address)
export const byName = (one: DnsName, other: DnsName): number => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0)

/** In which whole names a Service is known to the mesh. */
export const wholeNames = ({ service, namespace }: Pick<ServicePort, 'service' | 'namespace'>): readonly string[] =>
  ['', '.svc', '.svc.cluster.local'].map(end => `${service}.${namespace}${end}`)

/** Of a Service: SERVICE (to clients of its namespace), SERVICE.NAMESPACE, SERVICE.NAMESPACE.svc and SERVICE.NAMESPACE.svc.cluster.local; of an ExternalService its hosts. */
export function findNames(ports: readonly ServicePort[]): Mesh['dns'] {
  const qualified = new Map<string, DnsName>()
  const short = new Map<string, Map<string, DnsName>>()
  for (const { host, service, namespace, external } of ports) {
    if (host === undefined || !isIPv4(host)) continue
    const addresses = [host]
    if (external !== undefined) {
      qualified.set(external.host, { name: external.host, addresses })
      continue
    }
    for (const name of wholeNames({ service, namespace })) qualified.set(name, { name, addresses })
    const own = short.get(namespace) ?? new Map<string, DnsName>()
    short.set(namespace, own.set(service, { name: service, addresses }))
  }
  const inOrder = (names: ReadonlyMap<string, DnsName>): readonly DnsName[] => [...names.values()].sort(byName)
  return {
    qualified: inOrder(qualified),
    short: Object.fromEntries(
      [...short.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([namespace, names]) => [namespace, inOrder(names)]),
    ),
  }
}
