/** The ports of ServiceSubsets as backends of their own, and what is reported of them. */

import type { ServiceSubset } from '#resources/weft'
import { nameOf } from '../gather.ts'
import type { ServicePort, Services } from './services.ts'
import { type ResourceStatus, state, statusFor } from '../status.ts'

/** In order of their keys. */
export const portsOfSubsets = ({ subsets }: Services): readonly ServicePort[] =>
  [...subsets.values()].flatMap(({ ports = [] }) => ports).sort((a, b) => (a.key < b.key ? -1 : 1))

export function reportSubsets(subsets: readonly ServiceSubset[], services: Services): readonly ResourceStatus[] {
  return subsets.map(subset => {
    const { service, ports, workloads } = services.subsets.get(nameOf(subset))!
    if (ports === undefined)
      return statusFor(subset, {
        conditions: [state(subset, 'Accepted', false, 'TargetNotFound', `spec.service: Service ${service} does not exist`)],
      })
    // Not how many: the status would change with each that comes.
    const ready =
      workloads > 0
        ? state(subset, 'Ready', true, 'Ready', `Workloads of Service ${service} have these labels`)
        : state(subset, 'Ready', false, 'NoEndpoints', `spec.labels: no workload of Service ${service} has them; its share is answered 503`)
    return statusFor(subset, { conditions: [state(subset, 'Accepted', true, 'Accepted', 'Routes can lead to it'), ready] })
  })
}
