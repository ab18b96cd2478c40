/** A proxy's new view made of the objects of its old one wherever both say the same. */

import type { Mesh } from '#model/mesh'
import type { View } from '#model/view'

/** The commonest change by far: an endpoint came, went, or is in other health. */
export function onlyEndpointsDiffer(before: Mesh, now: Mesh): boolean {
  return (Object.keys(now) as (keyof Mesh)[]).every(key => key === 'endpoints' || before[key] === now[key])
}

export function keepView(before: View, now: View): View {
  const view: View = {
    listeners: keepRecord(before.listeners, now.listeners),
    routes: keepRecord(before.routes, now.routes),
    backends: keepRecord(before.backends, now.backends),
    endpoints: before.endpoints === now.endpoints ? before.endpoints : now.endpoints,
    dns: sameList(before.dns, now.dns) ? before.dns : now.dns,
    trust: before.trust === now.trust ? before.trust : now.trust,
  }
  return (Object.keys(view) as (keyof View)[]).every(key => view[key] === before[key]) ? before : view
}

function keepRecord<Part>(before: Readonly<Record<string, Part>>, now: Readonly<Record<string, Part>>): Readonly<Record<string, Part>> {
  let isSame = Object.keys(before).length === Object.keys(now).length
  const kept: Record<string, Part> = {}
  for (const [name, part] of Object.entries(now)) {
    const old = before[name]
    kept[name] = old !== undefined && same(old, part) ? old : part
    if (kept[name] !== old) isSame = false
  }
  return isSame ? before : kept
}

const sameList = (one: readonly unknown[], other: readonly unknown[]): boolean =>
  one.length === other.length && one.every((each, at) => each === other[at])

/** Parts of the mesh are kept by the compiler already; what is made for one proxy is small enough to be compared by its text. */
const same = (one: unknown, other: unknown): boolean => one === other || JSON.stringify(one) === JSON.stringify(other)
