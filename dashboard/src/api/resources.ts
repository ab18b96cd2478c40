/** Resources by Kubernetes API conventions: which kinds there are, lists, single objects, and changes with or without effect. */

import { queryOptions } from '@tanstack/react-query'
import type { Table } from '../../../src/api/client.ts'
import type { ObjectMeta } from '../../../src/resources/kind.ts'
import { placesToRead } from './login.ts'
import { ApiError, control } from './queries.ts'
import type { Kind, Resource } from './shapes.ts'

export type * from './shapes.ts'

/** Without Secrets: private keys are not for a page that anybody may leave open. */
export const kindsQuery = queryOptions({
  queryKey: ['kinds'],
  queryFn: async () => (await control.kinds()).filter(kind => kind.group !== '' || kind.plural !== 'secrets'),
  staleTime: 60_000,
})

export const apiVersionOf = (kind: Pick<Kind, 'group' | 'version'>): string =>
  kind.group === '' ? kind.version : `${kind.group}/${kind.version}`

/** The page of a kind and of an object, for links. */
export const pathOfKind = (kind: Pick<Kind, 'group' | 'version' | 'plural'>): string =>
  `/resources/${kind.group || 'core'}/${kind.version}/${kind.plural}`
export const pathOfObject = (kind: Kind, object: { readonly metadata: ObjectMeta }): string =>
  `${pathOfKind(kind)}/${(kind.namespaced && object.metadata.namespace) || '_'}/${object.metadata.name}`

/** Columns and cells as `kubectl get` shows them, and the whole objects of the rows. */
export type Listed = {
  readonly kind: Kind
  readonly columns: Table['columnDefinitions']
  readonly rows: readonly Table['rows'][number]['cells'][]
  readonly items: readonly Resource[]
}

export const listQuery = (kind: Kind | undefined) =>
  queryOptions({
    queryKey: ['list', kind?.group, kind?.version, kind?.plural],
    queryFn: () => list(kind!),
    enabled: kind !== undefined,
    refetchInterval: 4_000,
  })

async function list(kind: Kind): Promise<Listed> {
  const places = await placesToRead(kind)
  const tables = await Promise.all(places.map(namespace => control.table(kind, namespace === undefined ? { all: true } : { namespace })))
  const rows = tables.flatMap(table => table.rows)
  return { kind, columns: tables[0]!.columnDefinitions, rows: rows.map(row => row.cells), items: rows.map(row => row.object as Resource) }
}

export const objectQuery = (kind: Kind | undefined, namespace: string | undefined, name: string) =>
  queryOptions({
    queryKey: ['object', kind?.group, kind?.version, kind?.plural, namespace, name],
    queryFn: () => readObject(kind!, namespace, name),
    enabled: kind !== undefined,
    refetchInterval: 3_000,
  })

export const readObject = async (kind: Kind, namespace: string | undefined, name: string): Promise<Resource> =>
  (await control.get(kind, name, { namespace })) as Resource

const fieldManager = 'dashboard'

/** Replaces an object; with `metadata.resourceVersion` a change by somebody else in between is a 409. */
export const replaceObject = async (kind: Kind, object: Resource, { dry = false } = {}): Promise<Resource> =>
  (await control.replace(kind, object, { dryRun: dry, fieldManager })) as Resource

export const createObject = async (kind: Kind, object: Resource, { dry = false } = {}): Promise<Resource> =>
  (await control.create(kind, object, { dryRun: dry, fieldManager })) as Resource

export const deleteObject = (kind: Kind, namespace: string | undefined, name: string): Promise<void> =>
  control.delete(kind, name, { namespace })

export const isConflict = (thrown: unknown): boolean =>
  thrown instanceof ApiError && thrown.code === 409 && thrown.reason !== 'AlreadyExists'

/** The store revision that a write made: the number that proxies are asked to have. */
export const revisionOf = (object: Resource): number | undefined => {
  const revision = Number(object.metadata.resourceVersion)
  return Number.isFinite(revision) ? revision : undefined
}
