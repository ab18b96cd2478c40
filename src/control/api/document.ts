/** From the bytes of a request to a resource that may be stored: read, held against the path, checked by its kind. */

import type { Resource } from '#resources/kind'
import type { Call, Found } from './call.ts'
import { groupVersion } from './catalog.ts'
import { protobufType, readProtobuf } from './protobuf.ts'
import { badRequest, invalid, Refusal, unsupportedMedia } from './refusal.ts'

export type Json = Readonly<Record<string, unknown>>
export const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The largest that asks no more than whether something is allowed, in bytes. */
const maxReview = 64 * 1024

/** JSON only, and little of it: everybody who is logged in may send one. Throws a 400, or a 413. */
export async function readReview(parts: Pick<Call, 'context' | 'request'>): Promise<unknown> {
  const type = mediaType(parts.request.headers['content-type'])
  if (type.endsWith('yaml')) throw unsupportedMedia('a review is sent as application/json')
  const { length } = await parts.request.body()
  if (length > maxReview)
    throw new Refusal(413, 'RequestEntityTooLarge', `a review of ${length} bytes is larger than the ${maxReview} that one may have`)
  return readBody(parts)
}

/** JSON, or YAML where the content type says so. Throws a 400 with the place of the mistake. */
export async function readBody({ context, request }: Pick<Call, 'context' | 'request'>): Promise<unknown> {
  const bytes = await request.body()
  const type = mediaType(request.headers['content-type'])
  if (type === protobufType) return bounded(readProtobuf(bytes))
  const text = new TextDecoder().decode(bytes)
  return text.trim() === '' ? undefined : bounded(parse(text, type, context))
}

function parse(text: string, type: string, context: Call['context']): unknown {
  try {
    if (type.endsWith('yaml')) return text.trimStart().startsWith('{') ? JSON.parse(text) : context.parseYaml(text)
    if (type === '' || type.endsWith('json')) return JSON.parse(text)
  } catch (thrown) {
    throw badRequest(`the body cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
  }
  throw unsupportedMedia(
    `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml`,
  )
}

/** Far beyond any document, and far below what would exhaust the stack of those who walk it, or keep the control plane from everybody else. */
const maxDepth = 100
const maxEntries = 10_000
const maxValues = 100_000

/** Throws a 400 for what is nested too deep, a 413 for too much of it. */
function bounded<T>(value: T): T {
  const tooLarge = (says: string): Refusal => new Refusal(413, 'RequestEntityTooLarge', `the body is too large: ${says}`)
  let level: unknown[] = [value]
  let values = 0
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maxDepth) throw badRequest(`the body is nested deeper than ${maxDepth} levels`)
    const below: unknown[] = []
    for (const each of level) {
      if (typeof each !== 'object' || each === null) continue
      const inside = Object.values(each)
      if (inside.length > maxEntries)
        throw tooLarge(`one list or mapping has ${inside.length} entries, and at most ${maxEntries} are taken`)
      values += inside.length
      if (values > maxValues) throw tooLarge(`it has more than ${maxValues} values`)
      for (const one of inside) below.push(one)
    }
    level = below
  }
  return value
}

export const mediaType = (header: string | undefined): string => (header ?? '').split(';')[0]!.trim().toLowerCase()

/** The document with what the path says filled in. Throws a 400 where they disagree. */
export function alignWithPath({ target }: Call, body: unknown): Resource {
  if (!isObject(body)) throw badRequest('the body must be one object with apiVersion, kind and metadata')
  const { kind, version } = target.served
  const apiVersion = groupVersion(kind.group, version)
  if (body['apiVersion'] !== undefined && body['apiVersion'] !== apiVersion)
    throw badRequest(`the apiVersion of the object (${said(body['apiVersion'])}) does not match the path, which is of ${apiVersion}`)
  if (body['kind'] !== undefined && body['kind'] !== kind.kind)
    throw badRequest(`the kind of the object (${said(body['kind'])}) does not match the path, which is of ${kind.kind}`)
  const metadata = isObject(body['metadata']) ? body['metadata'] : {}
  const name = nameFor(metadata, target.name)
  if (!kind.namespaced) return { ...body, apiVersion, kind: kind.kind, metadata: { ...metadata, name } }
  const { namespace = target.namespace } = metadata
  if (namespace !== target.namespace)
    throw badRequest(
      `the namespace of the object (${said(namespace)}) does not match the namespace on the URL (${target.namespace ?? 'none'})`,
    )
  return { ...body, apiVersion, kind: kind.kind, metadata: { ...metadata, name, namespace: target.namespace } }
}

/** As it was sent: a value of another kind has no text of its own, and may have a `toString` that is none. */
const said = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

function nameFor(metadata: Json, wanted: string | undefined): string {
  const { name, generateName } = metadata
  if (name !== undefined && (typeof name !== 'string' || name === '')) throw badRequest(`metadata.name: must be a text, not ${said(name)}`)
  if (wanted === undefined && name === undefined && typeof generateName === 'string') return generateName + randomSuffix()
  if (wanted !== undefined && name !== undefined && name !== wanted)
    throw badRequest(`the name of the object (${said(name)}) does not match the name on the URL (${wanted})`)
  if (name !== undefined) return name
  if (wanted !== undefined) return wanted
  throw badRequest('metadata.name: is needed: a name, unique for its kind in its namespace')
}

/** Letters that form no words, as Kubernetes takes them. */
const suffixLetters = 'bcdfghjklmnpqrstvwxz2456789'
const randomSuffix = (): string =>
  [...crypto.getRandomValues(new Uint8Array(5))].map(byte => suffixLetters[byte % suffixLetters.length]).join('')

export type Judged = { readonly resource: Resource; readonly warnings: readonly string[] }

/**
 * What may be stored: defaults filled in, in the version of storage.
 * Unknown fields (KEP-2885): `Strict` refuses them with 400, `Warn` drops them and says so, `Ignore` drops them. All else that is wrong is a 422.
 */
export function judge({ context, target, request }: Call, document: Resource, old: Resource | undefined): Judged {
  const { kind } = target.served
  const level = request.query.get('fieldValidation') || 'Warn'
  if (!['Strict', 'Warn', 'Ignore'].includes(level))
    throw badRequest(`fieldValidation: "${level}" is not supported: use Strict, Warn or Ignore`)
  const first = context.check(document)
  const unknown = first.found.filter(isUnknownField)
  if (unknown.length > 0 && level === 'Strict') throw strictRefusal(kind.kind, target.served.version, unknown)
  const { found, admitted } = unknown.length > 0 ? context.check(without(document, unknown)) : first
  const { name } = document.metadata
  if (!admitted)
    throw invalid(
      kind,
      name,
      found.map(({ path, says }) => ({ path: tellPath(path), says })),
    )
  const resource = context.complete(admitted, old)
  const problems = context.admit(resource, old, request.by)
  if (problems.length > 0) throw invalid(kind, name, problems)
  return { resource, warnings: level === 'Warn' ? unknown.map(tellUnknown) : [] }
}

const isUnknownField = ({ onKey, says }: Found): boolean => onKey && says.startsWith('unknown field')
const tellUnknown = ({ path }: Found): string => `unknown field "${tellPath(path)}"`

function strictRefusal(kind: string, version: string, unknown: readonly Found[]): Error {
  const message = `${kind} in version "${version}" cannot be handled as a ${kind}: strict decoding error: ${unknown.map(found => `${tellUnknown(found)}${found.says.slice('unknown field'.length)}`).join(', ')}`
  return badRequest(
    message,
    unknown.map(({ path, says }) => ({ reason: 'FieldValueInvalid', message: says, field: tellPath(path) })),
  )
}

/** `spec.rules[0].name`. */
export const tellPath = (path: readonly (string | number)[]): string =>
  path.map((step, at) => (typeof step === 'number' ? `[${step}]` : at === 0 ? step : `.${step}`)).join('')

function without(document: Resource, unknown: readonly Found[]): Resource {
  const copy = structuredClone(document) as unknown
  for (const { path } of unknown) {
    const holder = path.slice(0, -1).reduce<unknown>((at, step) => (at as Record<string | number, unknown> | undefined)?.[step], copy)
    if (typeof holder === 'object' && holder !== null) delete (holder as Record<string | number, unknown>)[path.at(-1)!]
  }
  return copy as Resource
}
