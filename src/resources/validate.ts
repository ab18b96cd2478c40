/** Whether a document is what its kind declares, and what it is with the defaults filled in. */

import type { Problem } from '#base/note'
import { BadInput } from '#base/note'
import type { Kind, Resource } from './kind.ts'
import { apiVersionOf } from './kind.ts'
import { documentOf } from './metadata.ts'
import { kindOf, kinds, versionsOf } from './registry.ts'
import { didYouMean } from '#base/near'
import type { Found } from './validate/says.ts'
import { foundIn, problem } from './validate/says.ts'

export type { FieldPath, Found } from './validate/says.ts'
export { pathText } from './validate/says.ts'

/** `Kind namespace/name`, as problems and notes name a resource; as much of it as is there. */
export function nameOf(document: unknown): string {
  const { kind, metadata } = (document ?? {}) as { kind?: unknown; metadata?: { name?: unknown; namespace?: unknown } }
  const name = typeof metadata?.name === 'string' ? metadata.name : undefined
  const namespace = typeof metadata?.namespace === 'string' ? `${metadata.namespace}/` : ''
  return [typeof kind === 'string' ? kind : '', name === undefined ? '' : namespace + name].filter(Boolean).join(' ')
}

/** Everything that is wrong with a document; empty when it may be stored. Documents without a place: those that came by the API. */
export function validate(document: unknown): readonly Problem[] {
  return check(document).found.map(found => problem(nameOf(document), found))
}

/** The document as it is stored: null and empty status taken out, defaults filled in, in the version of storage. Throws BadInput. */
export function admit(document: unknown): Resource {
  const { found, admitted } = check(document)
  if (!admitted) throw new BadInput(found.map(each => problem(nameOf(document), each)))
  return admitted
}

type Checked = { readonly found: readonly Found[]; readonly admitted?: Resource }
const wrong = (path: readonly (string | number)[], says: string, onKey = false): Checked => ({ found: [{ path, says, onKey }] })

/** Paths are from the top of the document, so that a reader can tell the place. */
export function check(document: unknown): Checked {
  if (document === null || typeof document !== 'object' || Array.isArray(document))
    return wrong([], 'must be a mapping with apiVersion, kind, metadata and spec')
  const { apiVersion, kind: kindName, metadata } = document as Partial<Resource>
  if (typeof apiVersion !== 'string' || apiVersion === '')
    return wrong(['apiVersion'], `is needed: such as ${apiVersionOf(kinds.find(each => each.kind === kindName) ?? kinds[0]!)}`)
  if (typeof kindName !== 'string' || kindName === '')
    return wrong(['kind'], `is needed: one of ${kinds.map(each => each.kind).join(', ')}`)
  const kind = kindOf(apiVersion, kindName)
  if (!kind) return unknownKind(apiVersion, kindName)
  const schema = documentOf(kind)
  const clean = withoutNulls(document) as Record<string, unknown>
  if (isEmpty(clean['status'])) delete clean['status']
  const parsed = schema.safeParse(clean)
  const found = [...(parsed.error?.issues.flatMap(issue => foundIn(issue, clean, schema)) ?? []), ...nameAndScope(kind, metadata)]
  if (found.length > 0 || !parsed.success) return { found }
  return { found, admitted: { ...parsed.data, apiVersion: apiVersionOf(kind) } as unknown as Resource }
}

function unknownKind(apiVersion: string, kindName: string): Checked {
  const same = kinds.filter(each => each.kind === kindName)
  if (same.length > 0) {
    const versions = same.flatMap(each => versionsOf(each).map(version => (each.group === '' ? version : `${each.group}/${version}`)))
    return wrong(
      ['apiVersion'],
      `"${apiVersion}" has no kind ${kindName}${didYouMean(apiVersion, versions)}; ${kindName} is read as ${versions.join(', ')}`,
    )
  }
  const names = kinds.map(each => each.kind)
  return wrong(
    ['kind'],
    `the mesh knows no kind ${kindName} of ${apiVersion}${didYouMean(kindName, names)}; known: ${kinds.map(each => `${each.kind} (${apiVersionOf(each)})`).join(', ')}`,
  )
}

function nameAndScope(kind: Kind, metadata: Resource['metadata'] | undefined): readonly Found[] {
  if (metadata === null || typeof metadata !== 'object') return []
  const found: Found[] = []
  if (!metadata.name && !metadata['generateName'])
    found.push({ path: ['metadata', 'name'], onKey: false, says: 'is needed: a name, unique for its kind in its namespace' })
  if (!kind.namespaced && metadata.namespace)
    found.push({ path: ['metadata', 'namespace'], onKey: false, says: `a ${kind.kind} has no namespace: remove the field` })
  if (kind.kind === 'Mesh' && metadata.name && metadata.name !== 'default')
    found.push({ path: ['metadata', 'name'], onKey: false, says: 'must be "default": there is one Mesh' })
  return found
}

const isEmpty = (value: unknown): boolean =>
  value !== null && typeof value === 'object' && !Array.isArray(value) && Object.values(value).every(isEmpty)

/** Kubernetes reads null as absent. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).flatMap(([key, each]) => (each === null ? [] : [[key, withoutNulls(each)]])))
}
