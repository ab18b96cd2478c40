/** What a route may name as its parent besides Services, and what a parent says of a route. */

import type { Gateway, GatewayClass, ParentRef } from '#resources/gateway-api'
import { gatewayGroup } from '#resources/gateway-api'
import { gatewayControllerName } from '../status.ts'

/** reason: undefined where the parent takes the route. */
export type Verdict = {
  readonly parentRef: ParentRef
  readonly reason?: string
  readonly says: string
  /** With another rule that matches the same. */
  readonly conflict?: { readonly reason: 'Overruled' | 'Overrules'; readonly says: string }
  /** Who says so, where it is not the mesh. */
  readonly controllerName?: string
}

/** The class that is there without a document. */
const ownClass = 'weft'

/** Where traffic from outside enters. */
export const isEdgeParent = ({ group, kind }: ParentRef): boolean =>
  group === gatewayGroup && (kind === 'Gateway' || kind === 'ListenerSet')

const classOf = ({ spec }: Gateway, classes: readonly GatewayClass[]): GatewayClass | undefined =>
  classes.find(each => each.metadata.name === spec?.gatewayClassName)

/** Whether Weft carries it out. */
export const isOurs = (gateway: Gateway, classes: readonly GatewayClass[]): boolean => {
  const found = classOf(gateway, classes)
  return found === undefined ? gateway.spec?.gatewayClassName === ownClass : isOurClass(found) && whyNotClass(found) === undefined
}

export const isOurClass = ({ spec }: GatewayClass): boolean => spec?.controllerName === gatewayControllerName

/** What a class of ours asks for and is not carried out. */
export const whyNotClass = ({ spec }: GatewayClass): string | undefined =>
  spec?.parametersRef === undefined ? undefined : 'spec.parametersRef: nothing can be set by parameters: remove it'

/** Why nobody carries a Gateway out that is not ours; undefined: others may. */
export function whyNobodys(gateway: Gateway, classes: readonly GatewayClass[]): string | undefined {
  const name = gateway.spec?.gatewayClassName ?? ''
  const found = classOf(gateway, classes)
  if (found === undefined)
    return `spec.gatewayClassName: GatewayClass ${name} does not exist: write ${ownClass}, which needs none, or apply it`
  return isOurClass(found) ? `spec.gatewayClassName: GatewayClass ${name} is not accepted: its status says why` : undefined
}
