/** What kinds a control plane serves, asked of itself: apidiscovery.k8s.io/v2 (KEP-3352), everything in two replies. */

import type { Requester } from './request.ts'

/** version: the preferred one. What cannot be listed, such as access reviews, is left out. */
export type ServedKind = {
  readonly group: string // '' for core
  readonly version: string
  readonly versions: readonly string[]
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly namespaced: boolean
}

type Group = {
  readonly metadata?: { readonly name?: string }
  readonly versions: readonly { readonly version: string; readonly resources?: readonly Told[] }[]
}
type Told = {
  readonly resource: string
  readonly responseKind?: { readonly kind: string }
  readonly scope: 'Namespaced' | 'Cluster'
  readonly singularResource?: string
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
  readonly verbs: readonly string[]
}

export async function servedKinds(request: Requester): Promise<readonly ServedKind[]> {
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
  const replies = await Promise.all(['/api', '/apis'].map(path => request.json<{ items?: readonly Group[] }>(path, { accept })))
  return replies.flatMap(({ items = [] }) => items.flatMap(kindsOf))
}

/** Versions come best first. */
function kindsOf({ metadata, versions }: Group): readonly ServedKind[] {
  const found = new Map<string, ServedKind>()
  for (const { version, resources = [] } of versions)
    for (const told of resources.filter(each => each.verbs.includes('list'))) {
      const known = found.get(told.resource)
      found.set(told.resource, known ? { ...known, versions: [...known.versions, version] } : served(metadata?.name ?? '', version, told))
    }
  return [...found.values()]
}

function served(group: string, version: string, told: Told): ServedKind {
  const { resource: plural, scope, singularResource, shortNames = [], categories = [] } = told
  const kind = told.responseKind?.kind ?? plural
  const singular = singularResource || kind.toLowerCase()
  return { group, version, versions: [version], kind, plural, singular, shortNames, categories, namespaced: scope === 'Namespaced' }
}
