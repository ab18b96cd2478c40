/** What a policy says of its target, as the mesh keeps it to settle it for each client. */

import type { Layer } from '#model/mesh'
import { nameOf } from '../gather.ts'
import { type Client, isMeant } from '../clients.ts'
import type { AnyPolicy, Placed } from './targets.ts'

export function layerOf<P extends AnyPolicy>(placed: Placed<P>): Layer {
  const known = made.get(placed)
  if (known !== undefined) return known
  const { policy, from, says } = placed
  const layer: Layer = { policy: `${policy.kind} ${nameOf(policy)}`, ...(from === undefined ? {} : { from }), says }
  made.set(placed, layer)
  return layer
}

/** Made once for each, however many routes it holds for. */
const made = new WeakMap<object, Layer>()

/** client: undefined for those that nobody names. */
export const layersFor = (layers: readonly Layer[], client: Client | undefined): readonly Layer[] =>
  layers.filter(({ from }) => from === undefined || (client !== undefined && isMeant(from, client)))

/** Whether any of them is for some clients only. */
export const namesClients = (layers: readonly Layer[]): boolean => layers.some(({ from }) => from !== undefined)
