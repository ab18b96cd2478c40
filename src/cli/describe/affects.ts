/** What a resource touches: the proxies whose configuration comes from it, and the traffic it bends. */

import type { Client } from '#api/client'
import type { ProxyStatus, TopologyEdge } from '#api/mesh-api'
import type { View } from '#model/view'
import type { Resource } from '#resources/kind'
import { mapLimited } from '../limit.ts'

export type Affected = { readonly proxies: readonly ProxyStatus[]; readonly edges: readonly TopologyEdge[] }

/** Asking hundreds of proxies' configurations for one line would be rude. */
const mostProxies = 200

/** undefined: not told for such a kind, or in so large a mesh. */
export async function affectedBy(client: Client, resource: Resource): Promise<Affected | undefined> {
  const services = servicesOf(resource)
  const { kind, metadata } = resource
  if (services.length === 0) return undefined
  const [proxies, topology] = await Promise.all([client.proxies(), client.topology()])
  const edges = topology.edges.filter(({ source, destination }) => {
    const ends = kind === 'Workload' || kind === 'Service' ? [source, destination] : [destination]
    return ends.some(({ service, namespace }) => services.includes(`${service}.${namespace}`))
  })
  if (kind === 'Workload')
    return { proxies: proxies.filter(({ workload, namespace }) => workload === metadata.name && namespace === metadata.namespace), edges }
  if (proxies.length > mostProxies) return undefined
  const views = await mapLimited(proxies, ({ id }) =>
    client.proxyConfig(id).then(
      ({ view }) => view,
      () => undefined,
    ),
  )
  return { edges, proxies: proxies.filter((_, at) => views[at] !== undefined && isIn(views[at], resource, services)) }
}

/** `SERVICE.NAMESPACE` of those it is attached to, or is. */
function servicesOf({ kind, metadata, spec }: Resource): readonly string[] {
  const own = metadata.namespace ?? 'default'
  if (kind === 'Service') return [`${metadata.name}.${own}`]
  const {
    parentRefs = [],
    targetRefs = [],
    service,
  } = (spec ?? {}) as { parentRefs?: readonly Reference[]; targetRefs?: readonly Reference[]; service?: unknown }
  if (kind === 'Workload') return typeof service === 'string' ? [`${service}.${own}`] : []
  return [...parentRefs, ...targetRefs].flatMap(reference =>
    reference.kind === 'Service' ? [`${reference.name}.${reference.namespace ?? own}`] : [],
  )
}
type Reference = { readonly kind?: string; readonly name: string; readonly namespace?: string }

/** A route is in a view when a rule says that it comes from it; anything else by the service that it is about. */
function isIn(view: View, { kind, metadata }: Resource, services: readonly string[]): boolean {
  const origin = `${kind} ${metadata.namespace ?? 'default'}/${metadata.name}`
  if (kind.endsWith('Route'))
    return Object.values(view.routes).some(({ hosts }) =>
      hosts.some(({ routes }) => routes.some(route => route.origin === origin || route.origin.startsWith(`${origin} `))),
    )
  return (
    Object.values(view.listeners).some(({ service }) => services.includes(service)) ||
    Object.values(view.backends).some(({ service }) => services.includes(service))
  )
}
