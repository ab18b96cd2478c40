/** POST and PUT, and the last step of every write: whose fields they are, the namespace, the store. */

import type { HttpReply } from '#io/http-server'
import type { Resource } from '#resources/kind'
import type { Operation } from '../store.ts'
import { authorOf } from './author.ts'
import { isDryRun, replyObject, type Call } from './call.ts'
import { alignWithPath, judge, readBody, type Judged } from './document.ts'
import { refuseGuess } from './guesses.ts'
import { afterUpdate } from './apply/managed.ts'
import { conflict, methodNotAllowed, modified, notFound } from './refusal.ts'

export async function create(call: Call): Promise<HttpReply> {
  if (call.target.name !== undefined) throw methodNotAllowed()
  const { resource, warnings } = judge(call, alignWithPath(call, await readBody(call)), undefined)
  return replyObject(call, keep(call, undefined, withOwners(call, undefined, resource)), 201, warnings)
}

/** PUT of something that is not there is a 404: it is made by POST. */
export async function replace(call: Call): Promise<HttpReply> {
  if (call.target.name === undefined) throw methodNotAllowed()
  const document = alignWithPath(call, await readBody(call))
  const old = oldOf(call)
  if (!old) throw notFound(call.target.served.kind, call.target.name)
  refuseGuess(call, old, document)
  const { resource, warnings } = change(call, old, document)
  return replyObject(call, resource, 200, warnings)
}

export const oldOf = ({ context, target }: Call): Resource | undefined =>
  context.store.get({ ...target.served.kind, namespace: target.namespace ?? '', name: target.name ?? '' })

/** An update by PUT or PATCH: the whole document as it should be. A resourceVersion in it must be the present one. */
export function change(call: Call, old: Resource, document: Resource): Judged {
  const { kind } = call.target.served
  const seen = document.metadata.resourceVersion
  if (seen !== undefined && seen !== '' && seen !== old.metadata.resourceVersion) throw conflict(kind, old.metadata.name, modified)
  const { resource, warnings } = judge(call, mixed(call, old, document), old)
  return { resource: keep(call, old, withOwners(call, old, resource)), warnings }
}

/** Through the status subresource only `status` changes, through the other path all but it. */
export function mixed({ target }: Call, old: Resource, document: Resource): Resource {
  const [asked, status] =
    target.subresource === 'status' ? [{ ...old, apiVersion: document.apiVersion }, document.status] : [document, old.status]
  if (!target.served.kind.hasStatus) return document
  const { status: _, ...rest } = asked
  const managedFields = document.metadata['managedFields'] ?? old.metadata['managedFields']
  const metadata = target.subresource === 'status' && managedFields !== undefined ? { ...old.metadata, managedFields } : rest.metadata
  return { ...rest, metadata, ...(status === undefined ? {} : { status }) }
}

function withOwners(call: Call, old: Resource | undefined, resource: Resource): Resource {
  const { context, target } = call
  const managedFields = afterUpdate({
    old,
    next: resource,
    schema: context.schemaOf(target.served.kind),
    manager: managerOf(call),
    subresource: target.subresource,
    now: context.now(),
  })
  return { ...resource, metadata: { ...resource.metadata, managedFields } }
}

/** Who writes: what it calls itself, else the program's name. */
export function managerOf({ request }: Call): string {
  return request.query.get('fieldManager') || (request.headers['user-agent'] ?? '').split('/')[0] || 'unknown'
}

/** Stores it. A new object needs its namespace; a new namespace is Active. */
export function keep(
  { context, target, request }: Call,
  old: Resource | undefined,
  resource: Resource,
  dryRun = isDryRun(request.query.getAll('dryRun')),
): Resource {
  const { kind } = target.served
  if (old) {
    const type = target.subresource === 'status' ? 'update-status' : 'update'
    const [kept] = context.store.transact([{ type, resource, ifVersion: old.metadata.resourceVersion }], {
      dryRun,
      by: authorOf(request),
    })
    return dryRun ? unnumbered(kept!, old) : kept!
  }
  const { namespaceKind } = context.catalog
  const { namespace } = resource.metadata
  if (namespaceKind && kind.namespaced && !context.store.get({ ...namespaceKind, namespace: '', name: namespace ?? '' }))
    throw notFound(namespaceKind, namespace ?? '')
  const operations: Operation[] = kind === namespaceKind ? newNamespace(resource) : [{ type: 'create', resource }]
  const kept = context.store.transact(operations, { dryRun, by: authorOf(request) }).at(-1)!
  return dryRun ? unnumbered(kept, undefined) : kept
}

/** The label by which selectors of namespaces find it by name: kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/#automatic-labelling */
export function newNamespace(namespace: Resource): Operation[] {
  const labels = { ...namespace.metadata.labels, 'kubernetes.io/metadata.name': namespace.metadata.name }
  const resource = { ...namespace, metadata: { ...namespace.metadata, labels } }
  return [
    { type: 'create', resource },
    { type: 'update-status', resource: { ...resource, status: { phase: 'Active' } } },
  ]
}

/** A dry run takes no revision, so what it shows has none of its own. */
function unnumbered(resource: Resource, old: Resource | undefined): Resource {
  const { resourceVersion: _, ...metadata } = resource.metadata
  return { ...resource, metadata: old ? { ...metadata, resourceVersion: old.metadata.resourceVersion } : metadata }
}
