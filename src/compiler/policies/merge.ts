/** The one rule by which what several documents say becomes what holds: field by field, the first that says something of it. */

import type { Says } from './fields.ts'

type Saying = { readonly says: Says }

/** by: whose word holds. overruled: who says something of the field too, those that count more first. */
export type Settled<L> = { readonly value: unknown; readonly by: L; readonly overruled: readonly L[] }

/** layers: the one that counts most first, as `findTargets` has them. */
export function settle<L extends Saying>(layers: readonly L[]): ReadonlyMap<string, Settled<L>> {
  const found = new Map<string, Settled<L>>()
  for (const layer of layers)
    for (const [field, value] of Object.entries(layer.says)) {
      const before = found.get(field)
      found.set(field, before === undefined ? { value, by: layer, overruled: [] } : { ...before, overruled: [...before.overruled, layer] })
    }
  return found
}

/** Only what holds. */
export function merge(layers: readonly Saying[]): Says {
  const found: Record<string, unknown> = {}
  for (const { says } of layers) for (const [field, value] of Object.entries(says)) if (!(field in found)) found[field] = value
  return found
}
