/**
 * Server-side apply: the document names what its manager wants, and owns exactly that. KEP-555.
 *
 *   live + applied ──merge──▶ merged ──without what this manager named before and no longer does──▶ next
 *   a field that differs and is another's is a conflict, unless forced; then it changes hands
 */

import type { Resource } from '#resources/kind'
import { same } from '../../store/change.ts'
import { compare, fieldsOf, tellPath, type PathSet } from './fields.ts'
import { isSameOwner, minus, readOwners, rfc3339, writeOwners, type Owner } from './managed.ts'
import { merge, prune, withoutNulls } from './merge.ts'
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
  const before = fieldsOf(live, schema, subresource)
  const { changed } = compare(before, fieldsOf(merged, schema, subresource), same)
  const conflicts = others.flatMap(owner =>
    [...owner.paths]
      .filter(path => changed.has(path) && wanted.has(path) && before.has(path))
      .map(path => ({ field: tellPath(path), owner })),
  )
  if (conflicts.length > 0 && !force) return { conflicts }

  const lost = mine ? minus(mine.paths, wanted) : new Set<string>()
  const held = new Set([...wanted, ...others.flatMap(owner => [...owner.paths])])
  const removed = minus(lost, held)
  const next = (prune(merged, schema, removed, held) ?? merged) as Resource
  const entry: Owner = {
    ...me,
    time: mine && equalSets(mine.paths, wanted) && changed.size === 0 ? mine.time : rfc3339(now),
    paths: wanted,
  }
  const left = others.map(owner => ({
    ...owner,
    paths: minus(minus(owner.paths, removed), new Set([...changed].filter(path => wanted.has(path)))),
  }))
  return { next: { ...next, metadata: { ...next.metadata, managedFields: writeOwners([...left, entry]) } } }
}

/** Through the main path `status` is not applied, through the status path nothing else is. */
function onlyOwned(applied: Resource, subresource: 'status' | undefined): Resource {
  const { status, ...rest } = applied
  if (subresource === undefined) return rest
  const { apiVersion, kind, metadata } = applied
  return { apiVersion, kind, metadata: { name: metadata.name, namespace: metadata.namespace }, ...(status === undefined ? {} : { status }) }
}

const equalSets = (a: PathSet, b: PathSet): boolean => a.size === b.size && [...a].every(path => b.has(path))
