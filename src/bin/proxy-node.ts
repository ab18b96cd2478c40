/** What a proxy of one workload says of that workload when it joins the mesh. */

import { hostname } from 'node:os'
import type { Locality } from '#model/backend'
import type { ProxyNode } from '#model/workload'

type Described = Pick<ProxyNode, 'workload' | 'namespace' | 'service' | 'labels' | 'probe'> & {
  readonly locality?: Locality | undefined
  readonly weight?: number | undefined
}

/** Where nobody says on which host it runs, it is this one. */
export const describeWorkload = ({ workload, namespace, service, labels, locality, weight, probe }: Described) => ({
  id: `${workload}.${namespace}`,
  workload,
  namespace,
  service,
  labels,
  ...(locality === undefined ? {} : { locality: { ...locality, host: locality.host ?? hostname() } }),
  ...(weight === undefined ? {} : { weight }),
  probe,
})
