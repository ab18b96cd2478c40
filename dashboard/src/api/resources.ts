/** Resources by Kubernetes API conventions: which kinds there are, lists, single objects, and changes with or without effect. */

import { queryOptions } from '@tanstack/react-query'
import type { Condition, ObjectMeta } from '../../../src/resources/kind.ts'
import { ApiError, call } from './call.ts'

export type { Condition }
/** `status.parents` is where Gateway API routes keep their conditions. */
export type Resource = {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta & { readonly managedFields?: unknown }
  readonly spec?: unknown
  readonly status?: {
    readonly conditions?: readonly Condition[]
    readonly parents?: readonly {
      readonly parentRef?: { readonly name?: string; readonly kind?: string }
      readonly conditions?: readonly Condition[]
    }[]
  }
  readonly [other: string]: unknown
}

/** group: '' for core. */
export type Kind = {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly namespaced: boolean
  readonly verbs: readonly string[]
}

type ApiResourceList = {
  readonly resources: readonly {
    readonly name: string
    readonly kind: string
    readonly namespaced: boolean
    readonly verbs: readonly string[]
  }[]
}
type ApiGroupList = {
  readonly groups: readonly {
    readonly name: string
    readonly preferredVersion: { readonly groupVersion: string; readonly version: string }
  }[]
}

/** Discovery: every kind that can be listed, its preferred version. */
export const kindsQuery = queryOptions({
  queryKey: ['kinds'],
  queryFn: async ({ signal }): Promise<readonly Kind[]> => {
    const groups = await call<ApiGroupList>('apis', { signal })
    const all = await Promise.all([
      discover('', 'v1', signal),
      ...groups.groups.map(({ name, preferredVersion }) => discover(name, preferredVersion.version, signal)),
    ])
    return all.flat()
  },
  staleTime: 60_000,
})

async function discover(group: string, version: string, signal: AbortSignal): Promise<readonly Kind[]> {
  const found = await call<ApiResourceList>(group === '' ? `api/${version}` : `apis/${group}/${version}`, { signal })
  return found.resources
    .filter(resource => !resource.name.includes('/') && resource.verbs.includes('list'))
    .map(({ name, kind, namespaced, verbs }) => ({ group, version, kind, plural: name, namespaced, verbs }))
}

export const apiVersionOf = (kind: Pick<Kind, 'group' | 'version'>): string =>
  kind.group === '' ? kind.version : `${kind.group}/${kind.version}`

const collection = (kind: Kind, namespace?: string): string =>
  `${kind.group === '' ? `api/${kind.version}` : `apis/${kind.group}/${kind.version}`}/${namespace === undefined ? '' : `namespaces/${encodeURIComponent(namespace)}/`}${kind.plural}`

const objectPath = (kind: Kind, namespace: string | undefined, name: string): string =>
  `${collection(kind, kind.namespaced ? (namespace ?? 'default') : undefined)}/${encodeURIComponent(name)}`

/** The page of an object and of a kind, for links. */
export const pathOfKind = (kind: Pick<Kind, 'group' | 'version' | 'plural'>): string =>
  `/resources/${kind.group || 'core'}/${kind.version}/${kind.plural}`
export const pathOfObject = (kind: Kind, object: { readonly metadata: ObjectMeta }): string =>
  `${pathOfKind(kind)}/${(kind.namespaced && object.metadata.namespace) || '_'}/${object.metadata.name}`

/** meta.k8s.io/v1 Table, with whole objects in its rows: columns as `kubectl get` shows them. A server that sends a plain list is understood too. */
export type Listed = {
  readonly kind: Kind
  readonly columns: readonly { readonly name: string; readonly type: string; readonly priority: number }[]
  readonly rows: readonly (readonly unknown[])[]
  readonly items: readonly Resource[]
}
type TableReply = {
  readonly kind: string
  readonly columnDefinitions?: readonly { readonly name: string; readonly type: string; readonly priority?: number }[]
  readonly rows?: readonly { readonly cells: readonly unknown[]; readonly object: Resource }[]
  readonly items?: readonly Resource[]
}

export const listQuery = (kind: Kind | undefined) =>
  queryOptions({
    queryKey: ['list', kind?.group, kind?.version, kind?.plural],
    queryFn: ({ signal }) => list(kind!, signal),
    enabled: kind !== undefined,
    refetchInterval: 4_000,
  })

async function list(kind: Kind, signal: AbortSignal): Promise<Listed> {
  const reply = await call<TableReply>(`${collection(kind)}?includeObject=Object`, {
    signal,
    accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
  })
  const named = (object: Resource): Resource => ({ ...object, apiVersion: object.apiVersion ?? apiVersionOf(kind), kind: kind.kind })
  if (reply.columnDefinitions && reply.rows) {
    const columns = reply.columnDefinitions.map(({ name, type, priority = 0 }) => ({ name, type, priority }))
    return { kind, columns, rows: reply.rows.map(row => row.cells), items: reply.rows.map(row => named(row.object)) }
  }
  const items = (reply.items ?? []).map(named)
  return { kind, columns: [{ name: 'Name', type: 'string', priority: 0 }], rows: items.map(item => [item.metadata.name]), items }
}

export const objectQuery = (kind: Kind | undefined, namespace: string | undefined, name: string) =>
  queryOptions({
    queryKey: ['object', kind?.group, kind?.version, kind?.plural, namespace, name],
    queryFn: ({ signal }) => call<Resource>(objectPath(kind!, namespace, name), { signal }),
    enabled: kind !== undefined,
    refetchInterval: 3_000,
  })

/** Strict: an unknown field is an error and not silently dropped. */
const write = (dry: boolean): string => `?fieldManager=dashboard&fieldValidation=Strict${dry ? '&dryRun=All' : ''}`

/** Replaces an object; with `metadata.resourceVersion` a change by somebody else in between is a 409. */
export const replaceObject = (kind: Kind, object: Resource, { dry = false } = {}): Promise<Resource> =>
  call<Resource>(`${objectPath(kind, object.metadata.namespace, object.metadata.name)}${write(dry)}`, { method: 'PUT', body: object })

export const createObject = (kind: Kind, object: Resource, { dry = false } = {}): Promise<Resource> => {
  const namespace = kind.namespaced ? (object.metadata.namespace ?? 'default') : undefined
  return call<Resource>(`${collection(kind, namespace)}${write(dry)}`, { method: 'POST', body: object })
}

export const deleteObject = (kind: Kind, namespace: string | undefined, name: string): Promise<unknown> =>
  call(objectPath(kind, namespace, name), { method: 'DELETE' })

export const readObject = (kind: Kind, namespace: string | undefined, name: string): Promise<Resource> =>
  call<Resource>(objectPath(kind, namespace, name))

export const isConflict = (thrown: unknown): boolean =>
  thrown instanceof ApiError && thrown.status === 409 && thrown.reason !== 'AlreadyExists'

/** The store revision that a write made: the number that proxies are asked to have. */
export const revisionOf = (object: Resource): number | undefined => {
  const revision = Number(object.metadata.resourceVersion)
  return Number.isFinite(revision) ? revision : undefined
}
