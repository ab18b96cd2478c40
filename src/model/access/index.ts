/** Many rules, of which most name paths: found by the path of a request, and not looked through. */

import type { AccessCondition } from '../view.ts'

/** Fewer are looked through faster. */
const worthIt = 6

/** Whose place in the order is kept. at: of the rule; alternative: of its `to`. */
export type Place = { readonly at: number; readonly alternative: number }

/** By a whole path, by what stands before and with one of its slashes, and those that name neither, each in order. */
export type ByPath = {
  readonly exact: ReadonlyMap<string, readonly Place[]>
  readonly prefix: ReadonlyMap<string, readonly Place[]>
  readonly others: readonly Place[]
}

/** tos: the alternatives of each rule; undefined: it always holds. Undefined where there are few. */
export function indexOf(tos: readonly (readonly (readonly AccessCondition[])[] | undefined)[]): ByPath | undefined {
  if (tos.length < worthIt) return undefined
  const exact = new Map<string, Place[]>()
  const prefix = new Map<string, Place[]>()
  const others: Place[] = []
  const add = (map: Map<string, Place[]>, key: string, place: Place): void => {
    const list = map.get(key)
    if (list === undefined) map.set(key, [place])
    else list.push(place)
  }
  for (const [at, to] of tos.entries()) {
    if (to === undefined) others.push({ at, alternative: 0 })
    for (const [alternative, all] of (to ?? []).entries()) {
      const place = { at, alternative }
      const path = all.find(condition => condition.on === 'path' && condition.not !== true)
      const any = path?.on === 'path' ? path.any : []
      const isKeyed = any.length > 0 && any.every(({ type, value }) => type === 'exact' || (type === 'prefix' && value.endsWith('/')))
      if (!isKeyed) others.push(place)
      else for (const { type, value } of any) add(type === 'exact' ? exact : prefix, value, place)
    }
  }
  return { exact, prefix, others }
}

/** The first place, in the order of the rules, for which `holds`. */
export function firstAt({ exact, prefix, others }: ByPath, path: string, holds: (place: Place) => boolean): number | undefined {
  let first: number | undefined
  const look = (places: readonly Place[] | undefined): void => {
    if (places === undefined) return
    for (const place of places) {
      if (first !== undefined && place.at >= first) return
      if (holds(place)) first = place.at
    }
  }
  look(exact.get(path))
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) look(prefix.get(path.slice(0, slash + 1)))
  look(others)
  return first
}
