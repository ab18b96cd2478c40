/** Whether a proxy may speak for the workload that it names: the namespace and the service account of its certificate must be those. */

import { isSpiffeId, spiffeParts } from '#identity/spiffe'
import { gatewayService, type ProxyNode } from '#model/workload'

/** Undefined: it may. The service account of a workload is the name of its service. */
export function refusalOf(node: ProxyNode, peer: string | undefined): string | undefined {
  if (peer === undefined) return 'this stream needs a client certificate'
  const name = isSpiffeId(peer) ? spiffeParts(peer).workload : undefined
  if (name === undefined) return `${peer} is not the identity of a workload`
  if (name.namespace !== node.namespace) return `${peer} may not speak for a workload in namespace "${node.namespace}"`
  if (name.serviceAccount !== node.service)
    return `${peer} may not speak for service "${node.service}": get a token for that service account`
  // Else a service that happens to be called like a Gateway could ask for its private keys.
  if (node.gateway !== undefined && node.service !== gatewayService(node.gateway.name))
    return `service "${node.service}" may not carry out Gateway "${node.gateway.name}": only "${gatewayService(node.gateway.name)}" may`
  return undefined
}
