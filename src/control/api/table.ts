/** Objects as the table that `kubectl get` prints: meta.k8s.io Table. */

import type { Column, Kind, Resource } from '#resources/kind'
import { ageOf } from '#resources/age'

export type TableOptions = { readonly version: string; readonly includeObject: string; readonly now: number }

/** metadata: of the list. */
export function tableOf(
  kind: Kind,
  resources: readonly Resource[],
  metadata: object,
  { version, includeObject, now }: TableOptions,
): object {
  const columns = columnsOf(kind)
  const apiVersion = `meta.k8s.io/${version}`
  return {
    kind: 'Table',
    apiVersion,
    metadata,
    columnDefinitions: columns.map(({ name, type, description, priority = 0 }) => ({
      name,
      type,
      format: name === 'Name' ? 'name' : '',
      description,
      priority,
    })),
    rows: resources.map(resource => ({
      cells: columns.map(column => cell(column, resource, now)),
      ...(includeObject === 'None' ? {} : { object: includeObject === 'Object' ? resource : partial(resource, apiVersion) }),
    })),
  }
}

export const partial = ({ metadata }: Resource, apiVersion: string): object => ({ kind: 'PartialObjectMetadata', apiVersion, metadata })

const nameColumn: Column = {
  name: 'Name',
  type: 'string',
  description: 'Name, unique in its namespace',
  value: ({ metadata }) => metadata.name,
}
const ageColumn: Column = {
  name: 'Age',
  type: 'date',
  description: 'Time since creation',
  value: ({ metadata }) => metadata.creationTimestamp,
}

/** Name first and Age present, whatever the kind declares. */
export function columnsOf({ columns }: Kind): readonly Column[] {
  const has = (name: string): boolean => columns.some(column => column.name.toLowerCase() === name)
  return [...(has('name') ? [] : [nameColumn]), ...columns, ...(has('age') ? [] : [ageColumn])]
}

function cell(column: Column, resource: Resource, now: number): string | number | boolean {
  const value = column.value(resource, now)
  if (column.type === 'date') return ageOf(typeof value === 'string' ? value : undefined, now)
  return value ?? ''
}
