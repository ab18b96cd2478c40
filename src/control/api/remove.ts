/** DELETE of one object and of a collection. */

import type { HttpReply } from '#io/http-server'
import type { Resource } from '#resources/kind'
import { nameOf, type Operation } from '../store.ts'
import { authorOf } from './author.ts'
import { isDryRun, json, replyObject, selectionOf, shownTo, type Call } from './call.ts'
import { groupVersion } from './catalog.ts'
import { isObject, readBody, type Json } from './document.ts'
import { badRequest, forbidden, notFound } from './refusal.ts'
import { oldOf } from './write.ts'

/** propagationPolicy is read and changes nothing: no kind of the mesh owns another. */
const policies = ['Background', 'Foreground', 'Orphan']

export async function remove(call: Call): Promise<HttpReply> {
  const options = await readBody(call)
  const wish = wishOf(call, isObject(options) ? options : {})
  return call.target.name === undefined ? removeCollection(call, wish) : removeOne(call, wish)
}

type Wish = { readonly dryRun: boolean; readonly uid: string | undefined; readonly ifVersion: string | undefined }

/** meta.k8s.io DeleteOptions, in the body or, the older way, in the query. */
function wishOf({ request }: Call, options: Json): Wish {
  const policy = options['propagationPolicy'] ?? request.query.get('propagationPolicy') ?? 'Background'
  if (!policies.includes(String(policy)))
    throw badRequest(`propagationPolicy: "${String(policy)}" is not supported: use ${policies.join(', ')}`)
  const inBody = Array.isArray(options['dryRun']) ? options['dryRun'].map(String) : []
  const conditions = isObject(options['preconditions']) ? options['preconditions'] : {}
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
  return {
    dryRun: isDryRun([...inBody, ...request.query.getAll('dryRun')]),
    uid: text(conditions['uid']),
    ifVersion: text(conditions['resourceVersion']),
  }
}

function removeOne(call: Call, { dryRun, uid, ifVersion }: Wish): HttpReply {
  const { context, target } = call
  const { kind } = target.served
  const old = oldOf(call)
  if (!old) throw notFound(kind, target.name!)
  const operations = deletionsOf(call, old).map(
    (operation): Operation =>
      operation.type === 'delete' && operation.name.name === target.name && operation.name.kind === kind.kind
        ? { ...operation, uid, ifVersion }
        : operation,
  )
  const left = context.store.transact(operations, { dryRun, by: authorOf(call.request) }).at(-1)!
  if (left.metadata.deletionTimestamp !== undefined) return replyObject(call, left)
  const details = { name: old.metadata.name, ...(kind.group === '' ? {} : { group: kind.group }), kind: kind.plural, uid: old.metadata.uid }
  return json(200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details })
}

/** Everything that matches, or nothing. */
function removeCollection(call: Call, { dryRun }: Wish): HttpReply {
  const { context, target } = call
  const { kind, version } = target.served
  const { items } = context.store.list(selectionOf(call))
  context.store.transact(
    items.flatMap(item => deletionsOf(call, item)),
    { dryRun, by: authorOf(call.request) },
  )
  const metadata = { resourceVersion: String(context.store.revision) }
  return json(200, {
    kind: `${kind.kind}List`,
    apiVersion: groupVersion(kind.group, version),
    metadata,
    items: items.map(item => shownTo(call, item)),
  })
}

/** A namespace goes with all that is in it, in one transaction. */
function deletionsOf({ context, target }: Call, resource: Resource): Operation[] {
  const { kind } = target.served
  const { name } = resource.metadata
  const own: Operation = { type: 'delete', name: nameOf(resource) }
  if (kind !== context.catalog.namespaceKind) return [own]
  if (name === 'default') throw forbidden(kind, name, 'this namespace may not be deleted')
  const inside = context.catalog.kinds
    .filter(each => each.namespaced)
    .flatMap(each => context.store.list({ kind: each, namespace: name }).items)
  const held = inside.find(item => Array.isArray(item.metadata['finalizers']) && item.metadata['finalizers'].length > 0)
  if (held) throw forbidden(kind, name, `${held.kind} ${held.metadata.name} in it has finalizers: delete that first`)
  return [...inside.map((item): Operation => ({ type: 'delete', name: nameOf(item) })), own]
}
