/** Whether a proxy may speak for the workload that it names: the namespace and the service account of its certificate must be those. */

import { isSpiffeId, spiffeParts } from '#identity/spiffe'
import type { ProxyNode } from '#model/workload'

/** Undefined: it may. The service account of a workload is the name of its service. */
export function refusalOf(node: ProxyNode, peer: string | undefined): string | undefined {
  if (peer === undefined) return 'this stream needs a client certificate'
  const name = isSpiffeId(peer) ? spiffeParts(peer).workload : undefined
  if (name === undefined) return `${peer} is not the identity of a workload`
  if (name.namespace !== node.namespace) return `${peer} may not speak for a workload in namespace "${node.namespace}"`
  if (name.serviceAccount !== node.service)
    return `${peer} may not speak for service "${node.service}": get a token for that service account`
  return undefined
}
