/** The kinds that are served, by the names under which a request asks for them. */

import type { Kind } from '#resources/kind'

/** A kind in one of the versions under which it is read and written. */
export type Served = { readonly kind: Kind; readonly version: string }
export type GroupVersions = {
  readonly group: string
  readonly versions: readonly { readonly version: string; readonly served: readonly Served[] }[]
}

export type Catalog = {
  readonly kinds: readonly Kind[]
  /** Groups in the order of their first kind; versions best first. */
  readonly groups: readonly GroupVersions[]
  find(group: string, version: string, plural: string): Served | undefined
  namespaceKind: Kind | undefined
}

export const groupVersion = (group: string, version: string): string => (group === '' ? version : `${group}/${version}`)

export function catalogOf(kinds: readonly Kind[]): Catalog {
  const all = kinds.flatMap(kind => [kind.version, ...(kind.alsoVersions ?? [])].map((version): Served => ({ kind, version })))
  const groups = [...new Set(kinds.map(kind => kind.group))].map((group): GroupVersions => {
    const mine = all.filter(served => served.kind.group === group)
    const versions = [...new Set(mine.map(served => served.version))].sort(byMaturity)
    return { group, versions: versions.map(version => ({ version, served: mine.filter(served => served.version === version) })) }
  })
  const byPath = new Map(all.map(served => [`${served.kind.group}/${served.version}/${served.kind.plural}`, served]))
  return {
    kinds,
    groups,
    find: (group, version, plural) => byPath.get(`${group}/${version}/${plural}`),
    namespaceKind: kinds.find(kind => kind.group === '' && kind.kind === 'Namespace'),
  }
}

/** v2 before v1, v1 before v1beta2, v1beta1 before v1alpha9: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning */
function byMaturity(a: string, b: string): number {
  const rank = (version: string): readonly number[] => {
    const [, major = '0', stage = '', minor = '0'] = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version) ?? []
    return [stage === '' ? 2 : stage === 'beta' ? 1 : 0, Number(major), Number(minor)]
  }
  const [left, right] = [rank(a), rank(b)]
  for (const at of [0, 1, 2]) if (left[at] !== right[at]) return right[at]! - left[at]!
  return a.localeCompare(b)
}
