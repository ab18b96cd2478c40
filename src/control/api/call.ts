/** What every handler is given: the store and the rules of the kinds, and one request about one target. */

import type { Problem } from '#base/note'
import type { HttpReply } from '#io/http-server'
import { type Kind, type Resource } from '#resources/kind'
import type { Asked, Principal } from '../operators/principal.ts'
import type { Selection, Store } from '../store.ts'
import { groupVersion, type Catalog } from './catalog.ts'
import type { JsonSchema } from './apply/shape.ts'
import { shapeOf } from './negotiate.ts'
import { maySee, redacted } from './redact.ts'
import { badRequest } from './refusal.ts'
import { partial, tableOf } from './table.ts'
import type { Target } from './target.ts'

/** One thing that is wrong with a document; path from its top. */
export type Found = { readonly path: readonly (string | number)[]; readonly onKey: boolean; readonly says: string }

export type Context = {
  readonly store: Store
  readonly catalog: Catalog
  /** What is wrong with a document, or, when nothing is, the document with defaults filled in, in the version of storage. */
  readonly check: (document: unknown) => { readonly found: readonly Found[]; readonly admitted?: Resource }
  /** Rules beyond one document; old is absent on creation. */
  readonly admit: (resource: Resource, old: Resource | undefined, by: Principal) => readonly Problem[]
  /** The document with what the server decides filled in. */
  readonly complete: (resource: Resource, old: Resource | undefined) => Resource
  /** Schema of a whole document. */
  readonly schemaOf: (kind: Kind) => JsonSchema
  /** The first document of a YAML text; throws with the place when it is none. */
  readonly parseYaml: (text: string) => unknown
  readonly now: () => number
}

export type Call = { readonly context: Context; readonly target: Target; readonly request: Asked }

export const json = (status: number, value: unknown, headers: HttpReply['headers'] = {}): HttpReply => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(value),
})

/** The same object in the version that was asked for. */
export const inVersion = (resource: Resource, { served }: Target): Resource => {
  const apiVersion = groupVersion(served.kind.group, served.version)
  return resource.apiVersion === apiVersion ? resource : { ...resource, apiVersion }
}

/** The same for this caller's eyes. */
export const shownTo = ({ target, request }: Call, resource: Resource): Resource => {
  const versioned = inVersion(resource, target)
  return maySee(request.by, resource) ? versioned : redacted(versioned)
}

/** One object, in the shape that the client asked for. */
export function replyObject(call: Call, resource: Resource, status = 200, warnings: readonly string[] = []): HttpReply {
  const { context, target, request } = call
  const shape = shapeOf(request.headers['accept'])
  const shown = shownTo(call, resource)
  const headers = warnings.length > 0 ? { warning: warnings.map(says => `299 - ${JSON.stringify(says)}`) } : {}
  if (shape.as === 'object') return json(status, shown, headers)
  if (shape.as !== 'Table') return json(status, partial(shown, `meta.k8s.io/${shape.version}`), headers)
  const options = { version: shape.version, includeObject: request.query.get('includeObject') ?? 'Metadata', now: context.now() }
  return json(status, tableOf(target.served.kind, [shown], { resourceVersion: resource.metadata.resourceVersion }, options), headers)
}

/** dryRun=All: everything is checked and nothing kept. */
export function isDryRun(values: readonly string[]): boolean {
  for (const value of values) if (value !== 'All' && value !== '') throw badRequest(`dryRun: "${value}" is not supported: use All`)
  return values.includes('All')
}

export const flag = (query: URLSearchParams, name: string): boolean =>
  query.has(name) && query.get(name) !== 'false' && query.get(name) !== '0'

export function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null || text === '') return undefined
  if (!/^\d+$/.test(text)) throw badRequest(`${name}: "${text}" is not a whole number`)
  return Number(text)
}

/** Which objects of the collection the request is about. */
export function selectionOf({ target, request }: Call): Selection {
  const { query } = request
  const fields = [query.get('fieldSelector') ?? '', target.name === undefined ? '' : `metadata.name=${target.name}`].filter(
    text => text !== '',
  )
  return {
    kind: target.served.kind,
    namespace: target.namespace,
    labelSelector: query.get('labelSelector') ?? undefined,
    fieldSelector: fields.join(','),
  }
}
