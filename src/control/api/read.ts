/** GET of one object and of a collection. */

import type { HttpReply } from '#io/http-server'
import { flag, json, replyObject, selectionOf, shownTo, wholeNumber, type Call } from './call.ts'
import { groupVersion } from './catalog.ts'
import { shapeOf } from './negotiate.ts'
import { badRequest, notFound, Refusal } from './refusal.ts'
import { partial, tableOf } from './table.ts'
import { watch } from './watch.ts'

export function read(call: Call): HttpReply {
  const { target, request, context } = call
  const { kind } = target.served
  if (target.name === undefined || flag(request.query, 'watch')) return flag(request.query, 'watch') ? watch(call) : list(call)
  const found = context.store.get({ ...kind, namespace: target.namespace ?? '', name: target.name })
  if (!found) throw notFound(kind, target.name)
  return replyObject(call, found)
}

function list(call: Call): HttpReply {
  const { target, request, context } = call
  const { kind, version } = target.served
  const page = context.store.list({
    ...selectionOf(call),
    ...momentOf(call),
    limit: wholeNumber(request.query, 'limit'),
    continue: request.query.get('continue') ?? undefined,
  })
  const metadata = {
    resourceVersion: String(page.revision),
    ...(page.continue === undefined ? {} : { continue: page.continue, remainingItemCount: page.remaining }),
  }
  const items = page.items.map(item => shownTo(call, item))
  const shape = shapeOf(request.headers['accept'])
  if (shape.as === 'Table')
    return json(
      200,
      tableOf(kind, items, metadata, {
        version: shape.version,
        includeObject: request.query.get('includeObject') ?? 'Metadata',
        now: context.now(),
      }),
    )
  const partialVersion = `meta.k8s.io/${shape.version}`
  if (shape.as !== 'object')
    return json(200, {
      kind: 'PartialObjectMetadataList',
      apiVersion: partialVersion,
      metadata,
      items: items.map(item => partial(item, partialVersion)),
    })
  return json(200, { kind: `${kind.kind}List`, apiVersion: groupVersion(kind.group, version), metadata, items })
}

/** Reads are always of the newest state, so only `Exact` and a revision of the future need care. */
function momentOf({ request, context }: Call): { at?: number } {
  const { query } = request
  const match = query.get('resourceVersionMatch')
  const asked = wholeNumber(query, 'resourceVersion')
  if (match !== null && asked === undefined) throw badRequest('resourceVersionMatch: is forbidden unless resourceVersion is given')
  if (asked === undefined) return {}
  if (asked > context.store.revision)
    throw new Refusal(504, 'Timeout', `Too large resource version: ${asked}, current: ${context.store.revision}`, {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    })
  return match === 'Exact' ? { at: asked } : {}
}
