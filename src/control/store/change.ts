/** What one operation makes of one object: the rules of uid, generation, deletion and optimistic concurrency. Pure. */

import type { ObjectMeta, Resource } from '#resources/kind'
import { nameOf, StoreError, type Operation, type ResourceName } from './contract.ts'

export type Moment = { readonly now: number; readonly uid: () => string }

/** The object after the operation, without its new resourceVersion; undefined: it is gone; the very same value: nothing changed. Throws StoreError. */
export function change(operation: Operation, old: Resource | undefined, moment: Moment): Resource | undefined {
  const name = operation.type === 'delete' ? operation.name : nameOf(operation.resource)
  if (operation.type === 'create') {
    if (old) throw new StoreError('already-exists', `${tellName(name)} already exists`, name)
    return created(operation.resource, moment)
  }
  if (!old) throw new StoreError('not-found', `${tellName(name)} not found`, name)
  checkVersion(name, old, operation.ifVersion)
  switch (operation.type) {
    case 'update':
      return updated(operation.resource, old, name)
    case 'update-status':
      return statusUpdated(operation.resource, old)
    case 'delete':
      if (operation.uid !== undefined && operation.uid !== old.metadata.uid)
        throw new StoreError(
          'conflict',
          `${tellName(name)}: precondition failed: its uid is ${old.metadata.uid}, not ${operation.uid}`,
          name,
        )
      return deleted(old, moment)
  }
}

export function tellName({ kind, namespace, name }: ResourceName): string {
  return `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`
}

function checkVersion(name: ResourceName, old: Resource, ifVersion: string | undefined): void {
  if (ifVersion === undefined || ifVersion === '' || ifVersion === old.metadata.resourceVersion) return
  throw new StoreError(
    'conflict',
    `${tellName(name)} has been modified: you saw version ${ifVersion}, it is now ${old.metadata.resourceVersion}: read it again and repeat your change`,
    name,
  )
}

function created(resource: Resource, { now, uid }: Moment): Resource {
  const { resourceVersion: _, deletionTimestamp: __, ...asked } = resource.metadata
  const { status: ___, ...rest } = resource
  return { ...rest, metadata: { ...asked, uid: uid(), generation: 1, creationTimestamp: seconds(now) } }
}

/** What the system writes into metadata stays, whatever the writer sent. `status` is written by `update-status` only. */
function updated(resource: Resource, old: Resource, name: ResourceName): Resource | undefined {
  if (resource.metadata.uid !== undefined && resource.metadata.uid !== old.metadata.uid)
    throw new StoreError(
      'conflict',
      `${tellName(name)}: its uid is ${old.metadata.uid}, not ${resource.metadata.uid}: it was deleted and made again since you read it`,
      name,
    )
  const { status: _, ...rest } = resource
  const withStatus = old.status === undefined ? rest : { ...rest, status: old.status }
  const next: Resource = { ...withStatus, metadata: { ...resource.metadata, ...ofSystem(old.metadata) } }
  if (old.metadata.deletionTimestamp !== undefined && finalizers(next).length === 0) return undefined
  if (same(next, old)) return old
  const asks = (of: Resource): unknown => ({ ...of, metadata: undefined, status: undefined, apiVersion: undefined })
  return same(asks(next), asks(old)) ? next : { ...next, metadata: { ...next.metadata, generation: (old.metadata.generation ?? 0) + 1 } }
}

function statusUpdated(resource: Resource, old: Resource): Resource {
  const managed = resource.metadata['managedFields']
  const metadata = managed === undefined ? old.metadata : { ...old.metadata, managedFields: managed }
  const { status: _, ...rest } = old
  const next: Resource = resource.status === undefined ? { ...rest, metadata } : { ...rest, metadata, status: resource.status }
  return same(next, old) ? old : next
}

function deleted(old: Resource, { now }: Moment): Resource | undefined {
  if (finalizers(old).length === 0) return undefined
  if (old.metadata.deletionTimestamp !== undefined) return old
  return {
    ...old,
    metadata: {
      ...old.metadata,
      deletionTimestamp: seconds(now),
      deletionGracePeriodSeconds: 0,
      generation: (old.metadata.generation ?? 0) + 1,
    },
  }
}

function ofSystem({
  uid,
  generation,
  creationTimestamp,
  deletionTimestamp,
  resourceVersion,
  deletionGracePeriodSeconds,
}: ObjectMeta): Partial<ObjectMeta> {
  return { uid, generation, creationTimestamp, deletionTimestamp, resourceVersion, deletionGracePeriodSeconds }
}

function finalizers(resource: Resource): readonly unknown[] {
  const { finalizers: found } = resource.metadata
  return Array.isArray(found) ? found : []
}

const seconds = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

/** Deep equality of JSON values; a key that holds undefined is no key. Times in managedFields do not count: a change of them alone is no change. */
export function same(a: unknown, b: unknown, at = ''): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b))
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => same(item, b[i], at))
  const left = a as Record<string, unknown>
  const right = b as Record<string, unknown>
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    if (at === 'managedFields' && key === 'time') continue
    if (!same(left[key], right[key], key)) return false
  }
  return true
}
