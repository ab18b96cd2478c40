/** Which clients something is meant for: `from` of a policy, or of a route, and whether a proxy serves one of them. */

import type { ClientMatch } from '#model/mesh'
import type { ProxyNode } from '#model/workload'
import type { ClientSpec } from '#resources/weft'
import { selects } from './services/services.ts'

/** namespace: of the document, for clients that name none. Two lists that say the same come out the same. */
export function clientsOf(from: readonly ClientSpec[], namespace: string): readonly ClientMatch[] {
  const all = from.map(
    (one): ClientMatch => ({
      namespace: one.namespace ?? namespace,
      ...(one.service === undefined ? {} : { service: one.service }),
      labels: Object.fromEntries(Object.entries(one.labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))),
    }),
  )
  return [...new Map(all.map(each => [JSON.stringify(each), each]))].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each)
}

/** Whether all clients that the one means are meant by the other. */
export const isWithin = (one: ClientMatch, other: ClientMatch): boolean =>
  one.namespace === other.namespace &&
  (other.service === undefined || other.service === one.service) &&
  Object.entries(other.labels).every(([label, value]) => one.labels[label] === value)

/** from: absent for everybody. */
export const isMeant = (from: readonly ClientMatch[] | undefined, node: Client): boolean =>
  from === undefined ||
  from.some(
    ({ namespace, service, labels }) =>
      namespace === node.namespace &&
      (service === undefined || service === node.service) &&
      (Object.keys(labels).length === 0 || selects(labels, node)),
  )

/** Who asks. */
export type Client = Pick<ProxyNode, 'namespace' | 'service' | 'labels'>
