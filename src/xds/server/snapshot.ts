/** What a proxy is to have, and how one such state differs from the next. */

import { encodeView, type Resources, type ResourceSet } from '../encode.ts'
import type { View } from '#model/view'
import type { EncodedResource } from '../types.ts'

/** revision: of the store that it was compiled from. */
export type Snapshot = { readonly revision: number; readonly resources: ResourceSet }

export const snapshotOf = (view: View, revision: number): Snapshot => ({ revision, resources: encodeView(view) })

/** changed: new ones and those of another version. */
export type Difference = { readonly changed: readonly EncodedResource[]; readonly removed: readonly string[] }

const none: Difference = { changed: [], removed: [] }
const known = new WeakMap<Resources, WeakMap<Resources, Difference>>()

/** Worked out once for any two maps, however many streams go from the one to the other. */
export function difference(from: Resources, to: Resources): Difference {
  if (from === to) return none
  let ways = known.get(from)
  if (ways === undefined) known.set(from, (ways = new WeakMap()))
  let found = ways.get(to)
  if (found === undefined) ways.set(to, (found = compare(from, to)))
  return found
}

function compare(from: Resources, to: Resources): Difference {
  const changed: EncodedResource[] = []
  const removed: string[] = []
  for (const [name, resource] of to) {
    const old = from.get(name)
    if (old !== resource && old?.version !== resource.version) changed.push(resource)
  }
  for (const name of from.keys()) if (!to.has(name)) removed.push(name)
  return { changed, removed }
}
