/** Every kind that the mesh knows, and how one is found by its names. */

import { coreKinds } from './core.ts'
import { gatewayKinds } from './gateway-api.ts'
import { discoveryKinds } from './discovery.ts'
import type { Kind } from './kind.ts'
import { weftKinds } from './weft.ts'

export const kinds: readonly Kind[] = [...coreKinds, ...discoveryKinds, ...gatewayKinds, ...weftKinds]

/** The version under which it is stored, first; then the others under which it is read. */
export const versionsOf = (kind: Kind): readonly string[] => [kind.version, ...(kind.alsoVersions ?? [])]

/** apiVersion: `v1` or `group/version`, in any version that the kind is read in. */
export function kindOf(apiVersion: string, kind: string): Kind | undefined {
  const slash = apiVersion.indexOf('/')
  const group = slash < 0 ? '' : apiVersion.slice(0, slash)
  const version = apiVersion.slice(slash + 1)
  return kinds.find(each => each.kind === kind && each.group === group && versionsOf(each).includes(version))
}

/** By what a person types: plural, singular, short name or kind in any case, with `.group` behind it if they like. */
export function kindByName(typed: string): Kind | undefined {
  const lower = typed.toLowerCase()
  const dot = lower.indexOf('.')
  const name = dot < 0 ? lower : lower.slice(0, dot)
  const group = dot < 0 ? undefined : lower.slice(dot + 1)
  return kinds.find(
    each =>
      (group === undefined || each.group === group) &&
      [each.plural, each.singular, each.kind.toLowerCase(), ...each.shortNames].includes(name),
  )
}
