/** metadata.managedFields: who wrote which field, kept up over every kind of write. KEP-555. */

import type { Resource } from '#resources/kind'
import { compare, fieldsOf, readFields, writeFields, type PathSet } from './fields.ts'
import { isObject, type JsonSchema } from './shape.ts'
import { same } from '../../store/change.ts'

/** One entry. Two with the same manager, operation, apiVersion and subresource are one. */
export type Owner = {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly apiVersion: string
  readonly subresource: string
  readonly time: string
  readonly paths: PathSet
}

export function readOwners(resource: Resource | undefined): readonly Owner[] {
  const entries = resource?.metadata['managedFields']
  if (!Array.isArray(entries)) return []
  return entries.filter(isObject).flatMap((entry): Owner[] => {
    const { manager, operation, apiVersion, subresource = '', time = '', fieldsV1 } = entry
    const paths = readFields(fieldsV1)
    if (typeof manager !== 'string' || (operation !== 'Apply' && operation !== 'Update') || paths.size === 0) return []
    return [{ manager, operation, apiVersion: String(apiVersion), subresource: String(subresource), time: String(time), paths }]
  })
}

/** Applied ones first, then by time, as the Kubernetes API lists them. */
export function writeOwners(owners: readonly Owner[]): readonly object[] {
  return owners
    .filter(({ paths }) => paths.size > 0)
    .toSorted((a, b) => a.operation.localeCompare(b.operation) || a.time.localeCompare(b.time) || a.manager.localeCompare(b.manager))
    .map(({ manager, operation, apiVersion, subresource, time, paths }) => ({
      manager,
      operation,
      apiVersion,
      time,
      fieldsType: 'FieldsV1',
      fieldsV1: writeFields(paths),
      ...(subresource === '' ? {} : { subresource }),
    }))
}

export const isSameOwner = (a: Owner, b: Pick<Owner, 'manager' | 'operation' | 'subresource'>): boolean =>
  a.manager === b.manager && a.operation === b.operation && a.subresource === b.subresource
export const minus = (paths: PathSet, taken: PathSet): PathSet => new Set([...paths].filter(path => !taken.has(path)))
export const rfc3339 = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

type Update = {
  readonly old: Resource | undefined
  readonly next: Resource
  readonly schema: JsonSchema
  readonly manager: string
  readonly subresource: 'status' | undefined
  readonly now: number
}

/** After a create, replace or patch: what it changed is the writer's, and no longer another's; what it removed is nobody's. */
export function afterUpdate({ old, next, schema, manager, subresource, now }: Update): readonly object[] {
  const { changed, removed } = compare(fieldsOf(old, schema, subresource, 'all'), fieldsOf(next, schema, subresource, 'all'), same)
  // A writer may drop entries by sending fewer: `managedFields: [{}]` forgets them all.
  const given = next.metadata['managedFields'] === undefined ? old : next
  const me = { manager, operation: 'Update' as const, apiVersion: next.apiVersion, subresource: subresource ?? '' }
  const owners = readOwners(given).map(owner => {
    if (isSameOwner(owner, me)) return { ...owner, paths: minus(owner.paths, removed) }
    return { ...owner, paths: minus(minus(owner.paths, removed), changed) }
  })
  if (changed.size === 0) return writeOwners(owners)
  const mine = owners.find(owner => isSameOwner(owner, me))
  const entry: Owner = { ...me, time: rfc3339(now), paths: new Set([...(mine?.paths ?? []), ...changed]) }
  return writeOwners([...owners.filter(owner => owner !== mine), entry])
}
