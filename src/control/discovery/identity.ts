/** Whether a proxy may speak for the workload that it names: the namespace and the service account of its certificate must be those. */

import { workloadOf } from '#identity/spiffe'
import { gatewayService, type ProxyNode } from '#model/workload'
import { labelsPredicate } from '../store/selector.ts'

/** owner: whose workload it is, as registered; undefined: nobody's yet. What others say of it counts for nothing. Undefined: it may. */
export const strangerRefusal = (id: string, peer: string | undefined, owner: string | undefined): string | undefined =>
  owner === undefined || owner === peer ? undefined : `workload ${id} is registered by ${owner}, not by ${peer}`

/** boundTo: the labels that the join token of this certificate demands; absent: any. Undefined: it has them. */
export function unboundRefusal(node: ProxyNode, boundTo: string | undefined): string | undefined {
  if (boundTo === undefined || labelsPredicate(boundTo)(node.labels)) return undefined
  const labels = Object.entries(node.labels).map(([name, value]) => `${name}=${value}`)
  return `its join token is for workloads with the labels ${boundTo}, and this one has ${labels.join(', ') || 'none'}: start it with these labels (--label), or make a token for it`
}

/** idTemplate: of the ids of the mesh. Undefined: it may. The service account of a workload is the name of its service. */
export function refusalOf(node: ProxyNode, peer: string | undefined, idTemplate: string): string | undefined {
  if (peer === undefined) return 'this stream needs a client certificate'
  const name = workloadOf(peer, idTemplate)
  if (name === undefined) return `${peer} is not the identity of a workload`
  if (name.namespace !== node.namespace) return `${peer} may not speak for a workload in namespace "${node.namespace}"`
  if (name.serviceAccount !== node.service)
    return `${peer} may not speak for service "${node.service}": get a token for that service account`
  // Else a service that happens to be called like a Gateway could ask for its private keys.
  if (node.gateway !== undefined && node.service !== gatewayService(node.gateway.name))
    return `service "${node.service}" may not carry out Gateway "${node.gateway.name}": only "${gatewayService(node.gateway.name)}" may`
  return undefined
}
