/** The operations that the API offers on a kind, as far as kubectl looks them up in OpenAPI. */

import type { Kind } from '../kind.ts'

export type Gvk = { readonly group: string; readonly kind: string; readonly version: string }
export type Parameter = { readonly name: string; readonly description: string; readonly type: 'string' | 'boolean' | 'integer' }
export type Operation = { readonly action: string; readonly gvk: Gvk; readonly parameters: readonly Parameter[] }
export type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>

const query = (name: string, description: string, type: Parameter['type'] = 'string'): Parameter => ({ name, description, type })
const selectors = [
  query('labelSelector', 'Labels that the objects must have.'),
  query('fieldSelector', 'Fields that the objects must have.'),
  query('limit', 'How many objects at most.', 'integer'),
  query('continue', 'Where the last list ended.'),
  query('resourceVersion', 'The version to start from.'),
  query('watch', 'Whether to send changes as they happen.', 'boolean'),
  query('timeoutSeconds', 'How long to watch.', 'integer'),
]
const writing = [
  query('dryRun', 'All: check and answer, but store nothing.'),
  query('fieldManager', 'Who writes.'),
  query('fieldValidation', 'Strict, Warn or Ignore: what to do with unknown fields.'),
]

export function pathsOf(kind: Kind, version: string): Paths {
  const gvk = { group: kind.group, kind: kind.kind, version }
  const root = `${kind.group === '' ? '/api' : `/apis/${kind.group}`}/${version}`
  const scope = kind.namespaced ? `${root}/namespaces/{namespace}` : root
  const operation = (action: string, parameters: readonly Parameter[] = []): Operation => ({ action, gvk, parameters })
  const list = operation('list', selectors)
  const one = {
    get: operation('get'),
    put: operation('put', writing),
    patch: operation('patch', [...writing, query('force', 'Whether an apply takes fields over from others.', 'boolean')]),
    delete: operation('delete', [query('dryRun', 'All: check and answer, but remove nothing.')]),
  }
  return {
    ...(kind.namespaced ? { [`${root}/${kind.plural}`]: { get: list } } : {}),
    [`${scope}/${kind.plural}`]: { get: list, post: operation('post', writing) },
    [`${scope}/${kind.plural}/{name}`]: one,
    ...(kind.hasStatus ? { [`${scope}/${kind.plural}/{name}/status`]: { get: one.get, put: one.put, patch: one.patch } } : {}),
  }
}
