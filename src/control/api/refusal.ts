/** A refusal of the operator API: always a Kubernetes Status object, whose causes name fields. Thrown by handlers, made a reply in one place. */

import { BadInput, type Problem } from '#base/note'
import { DatabaseError } from '#io/sqlite'
import type { HttpReply } from '#io/http-server'
import type { Kind } from '#resources/kind'
import { StoreError } from '../store.ts'

/** meta.k8s.io/v1 StatusCause. */
export type Cause = { readonly reason: string; readonly message: string; readonly field?: string | undefined }
export type Details = {
  readonly name?: string
  readonly group?: string
  readonly kind?: string
  readonly causes?: readonly Cause[]
  readonly retryAfterSeconds?: number
}
export type Status = {
  readonly kind: 'Status'
  readonly apiVersion: 'v1'
  readonly metadata: object
  readonly status: 'Failure'
  readonly message: string
  readonly reason: string
  readonly details?: Details
  readonly code: number
}

export class Refusal extends Error {
  readonly code: number
  readonly reason: string
  readonly details: Details | undefined
  constructor(code: number, reason: string, message: string, details?: Details) {
    super(message)
    this.name = 'Refusal'
    this.code = code
    this.reason = reason
    this.details = details
  }
  get status(): Status {
    const { code, reason, message, details } = this
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, ...(details ? { details } : {}), code }
  }
}

export function refusalReply(refusal: Refusal): HttpReply {
  const { code, details, status } = refusal
  const headers = {
    'content-type': 'application/json',
    // RFC 9110 §11.6.1: a 401 says how to prove who one is; §10.2.3: when to come again.
    ...(code === 401 ? { 'www-authenticate': 'Bearer realm="weft"' } : {}),
    ...(details?.retryAfterSeconds === undefined ? {} : { 'retry-after': String(details.retryAfterSeconds) }),
  }
  return { status: code, headers, body: JSON.stringify(status) }
}

/** `httproutes.gateway.networking.k8s.io "split"`: how Kubernetes names an object in messages. */
export const tellObject = (kind: Kind, name: string): string => `${resourceOf(kind)} "${name}"`
export const resourceOf = ({ plural, group }: Kind): string => (group === '' ? plural : `${plural}.${group}`)
const detailsOf = (kind: Kind, name: string): Details => ({ name, ...(kind.group === '' ? {} : { group: kind.group }), kind: kind.plural })

export const badRequest = (message: string, causes?: readonly Cause[]): Refusal =>
  new Refusal(400, 'BadRequest', message, causes && { causes })
export const notFound = (kind: Kind, name: string): Refusal =>
  new Refusal(404, 'NotFound', `${tellObject(kind, name)} not found`, detailsOf(kind, name))
export const noSuchPath = (): Refusal => new Refusal(404, 'NotFound', 'the server could not find the requested resource')
export const methodNotAllowed = (): Refusal =>
  new Refusal(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource')
export const forbidden = (kind: Kind, name: string, why: string): Refusal =>
  new Refusal(403, 'Forbidden', `${tellObject(kind, name)} is forbidden: ${why}`, detailsOf(kind, name))
export const conflict = (kind: Kind, name: string, why: string): Refusal =>
  new Refusal(409, 'Conflict', `Operation cannot be fulfilled on ${tellObject(kind, name)}: ${why}`, detailsOf(kind, name))
export const unsupportedMedia = (message: string): Refusal => new Refusal(415, 'UnsupportedMediaType', message)
export const modified = 'the object has been modified; please apply your changes to the latest version and try again'

/** What a document breaks, as causes; 422 as Kubernetes answers what it can read and will not take. */
export function invalid(kind: Kind, name: string, problems: readonly Problem[]): Refusal {
  const causes = problems.map(({ path, says }): Cause => ({ reason: 'FieldValueInvalid', message: says, field: path ?? '' }))
  const told = problems.map(({ path, says }) => (path ? `${path}: ${says}` : says))
  const about = kind.group === '' ? kind.kind : `${kind.kind}.${kind.group}`
  const message = `${about} "${name}" is invalid: ${told.length === 1 ? told[0] : `[${told.join(', ')}]`}`
  return new Refusal(422, 'Invalid', message, { ...detailsOf(kind, name), kind: kind.kind, causes })
}

/** Any thrown value as a refusal; undefined for a bug, which the caller logs. kind: what the request was about. */
export function refusalOf(thrown: unknown, kind: Kind | undefined): Refusal | undefined {
  if (thrown instanceof Refusal) return thrown
  if (thrown instanceof StoreError) return ofStore(thrown, kind)
  if (thrown instanceof BadInput)
    return badRequest(
      thrown.message,
      thrown.problems.map(({ path, says }) => ({ reason: 'FieldValueInvalid', message: says, field: path ?? '' })),
    )
  // 507 Insufficient Storage, RFC 4918 §11.5: what was asked is fine, and works again when there is room.
  if (thrown instanceof DatabaseError) return new Refusal(thrown.fault === 'full' ? 507 : 500, 'InternalError', thrown.message)
  return undefined
}

function ofStore({ fault, message, about }: StoreError, kind: Kind | undefined): Refusal {
  const name = about?.name ?? ''
  const isAbout = kind !== undefined && about !== undefined && kind.kind === about.kind && kind.group === about.group
  switch (fault) {
    case 'not-found':
      return isAbout ? notFound(kind, name) : new Refusal(404, 'NotFound', message)
    case 'already-exists':
      return new Refusal(
        409,
        'AlreadyExists',
        isAbout ? `${tellObject(kind, name)} already exists` : message,
        isAbout ? detailsOf(kind, name) : undefined,
      )
    case 'conflict':
      return isAbout && message.includes('has been modified')
        ? conflict(kind, name, modified)
        : new Refusal(409, 'Conflict', message, isAbout ? detailsOf(kind, name) : undefined)
    case 'gone':
      return new Refusal(410, 'Expired', message)
    case 'invalid':
      return badRequest(message)
  }
}
