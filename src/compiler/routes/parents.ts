/** What a route may name as its parent besides Services, and what a parent says of a route. */

import type { Gateway, GatewayClass, ParentRef } from '#resources/gateway-api'
import { gatewayGroup } from '#resources/gateway-api'
import { gatewayControllerName } from '../status.ts'

/** reason: undefined where the parent takes the route. */
export type Verdict = {
  readonly parentRef: ParentRef
  readonly reason?: string
  readonly says: string
  /** Who says so, where it is not the mesh. */
  readonly controllerName?: string
}

/** The class that is there without a document. */
const ownClass = 'weft'

/** Where traffic from outside enters. */
export const isEdgeParent = ({ group, kind }: ParentRef): boolean =>
  group === gatewayGroup && (kind === 'Gateway' || kind === 'ListenerSet')

/** Whether Weft carries it out. */
export const isOurs = (gateway: Gateway, classes: readonly GatewayClass[]): boolean => {
  const { gatewayClassName = '' } = gateway.spec ?? {}
  const found = classes.find(each => each.metadata.name === gatewayClassName)
  return found === undefined ? gatewayClassName === ownClass : found.spec?.controllerName === gatewayControllerName
}
