/**
 * Server-side apply: the document names what its manager wants, and owns exactly that. KEP-555.
 *
 *   live + applied ──merge──▶ merged ──without what this manager named before and no longer does──▶ next
 *   a field that differs and is another's is a conflict, unless forced; then it changes hands
 */

import type { Resource } from '#resources/kind'
import { same } from '../../store/change.ts'
import { compare, fieldsOf, tellPath, withNamed, type PathSet } from './fields.ts'
import { isSameOwner, minus, readOwners, rfc3339, writeOwners, type Owner } from './managed.ts'
import { merge, remove, withoutNulls } from './merge.ts'
import type { JsonSchema } from './shape.ts'

export type Apply = {
  readonly live: Resource | undefined
  readonly applied: Resource
  readonly schema: JsonSchema
  readonly manager: string
  readonly subresource: 'status' | undefined
  readonly force: boolean
  readonly now: number
}

export type Conflict = { readonly field: string; readonly owner: Owner }
export type Applied = { readonly next: Resource } | { readonly conflicts: readonly Conflict[] }

/** `next` has its managedFields written. applied.metadata.managedFields must be absent. */
export function applyServerSide({ live, applied: sent, schema, manager, subresource, force, now }: Apply): Applied {
  const applied = withoutNulls(sent) as Resource
  const wanted = new Set(fieldsOf(applied, schema, subresource).keys())
  const me = { manager, operation: 'Apply' as const, apiVersion: applied.apiVersion, subresource: subresource ?? '' }
  const owners = readOwners(live)
  const mine = owners.find(owner => isSameOwner(owner, me))
  const others = owners.filter(owner => owner !== mine)

  const merged = merge(live, onlyOwned(applied, subresource), schema) as Resource
  const held = new Set([...wanted, ...others.flatMap(owner => [...owner.paths])])
  const next = mine ? prune(merged, { last: mine.paths, held, schema, subresource }) : merged
  const { changed, removed } = compare(fieldsOf(live, schema, subresource, 'all'), fieldsOf(next, schema, subresource, 'all'), same)
  const conflicts = others.flatMap(owner =>
    [...owner.paths].filter(path => changed.has(path)).map(path => ({ field: tellPath(path), owner })),
  )
  if (conflicts.length > 0 && !force) return { conflicts }

  const isSame = mine !== undefined && equalSets(mine.paths, wanted) && changed.size === 0 && removed.size === 0
  const entry: Owner = { ...me, time: isSame ? mine.time : rfc3339(now), paths: wanted }
  const left = others.map(owner => ({ ...owner, paths: minus(minus(owner.paths, changed), removed) }))
  return { next: { ...next, metadata: { ...next.metadata, managedFields: writeOwners([...left, entry]) } } }
}

type Pruning = { readonly last: PathSet; readonly held: PathSet; readonly schema: JsonSchema; readonly subresource: 'status' | undefined }

/**
 * Without what the manager applied last time and nobody holds now. A named field goes whole when nobody holds anything in it, with what defaults had put there;
 * what was never applied stays elsewhere. sigs.k8s.io/structured-merge-diff merge/update.go prune, addBackOwnedItems, addBackDanglingItems; but an object that
 * is applied empty is there at once, where those leave null and give it only when the same is applied again.
 */
function prune(merged: Resource, { last, held, schema, subresource }: Pruning): Resource {
  const named = (document: unknown): PathSet => new Set(fieldsOf(document, schema, subresource, 'named').keys())
  const [all, lastNamed] = [named(merged), withNamed(last, schema)]
  const untouched = named(remove(merged, schema, lastNamed))
  const owned = remove(merged, schema, minus(minus(all, untouched), withNamed(held, schema)), held)
  const gone = [...minus(all, named(owned))].filter(path => lastNamed.has(path))
  return remove(merged, schema, new Set(gone), held) as Resource
}

/** Through the main path `status` is not applied, through the status path nothing else is. */
function onlyOwned(applied: Resource, subresource: 'status' | undefined): Resource {
  const { status, ...rest } = applied
  if (subresource === undefined) return rest
  const { apiVersion, kind, metadata } = applied
  return { apiVersion, kind, metadata: { name: metadata.name, namespace: metadata.namespace }, ...(status === undefined ? {} : { status }) }
}

const equalSets = (a: PathSet, b: PathSet): boolean => a.size === b.size && [...a].every(path => b.has(path))
