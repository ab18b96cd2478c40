/** PATCH in its four content types. */

import type { HttpReply } from '#io/http-server'
import type { Resource } from '#resources/kind'
import { authorOf } from './author.ts'
import { flag, inVersion, replyObject, type Call } from './call.ts'
import { applyServerSide, type Conflict } from './apply/server-side.ts'
import { alignWithPath, isObject, judge, mediaType, readBody } from './document.ts'
import { jsonPatch } from './patches/json-patch.ts'
import { mergePatch } from './patches/merge-patch.ts'
import { strategicMerge } from './patches/strategic-merge.ts'
import { refuseGuess } from './guesses.ts'
import { isSecret, maySee } from './redact.ts'
import { badRequest, conflict, forbidden, methodNotAllowed, modified, notFound, Refusal, unsupportedMedia } from './refusal.ts'
import { change, keep, mixed, oldOf } from './write.ts'

type Patch = (document: unknown, patch: unknown) => unknown
const patches: Readonly<Record<string, Patch>> = {
  'application/json-patch+json': jsonPatch,
  'application/merge-patch+json': mergePatch,
  'application/strategic-merge-patch+json': strategicMerge,
}
const applyTypes = ['application/apply-patch+yaml', 'application/apply-patch']

export async function patch(call: Call): Promise<HttpReply> {
  if (call.target.name === undefined) throw methodNotAllowed()
  const type = mediaType(call.request.headers['content-type'])
  if (applyTypes.includes(type))
    return apply(
      call,
      await readBody({ ...call, request: { ...call.request, headers: { ...call.request.headers, 'content-type': 'application/yaml' } } }),
    )
  const run = patches[type]
  if (!run)
    throw unsupportedMedia(
      `the body of the request was in an unknown format - accepted media types include: ${[...Object.keys(patches), applyTypes[0]].join(', ')}`,
    )
  // As the Kubernetes API for custom resources: there the types that name merge keys are not known.
  if (run === strategicMerge && call.target.served.kind.group !== '')
    throw unsupportedMedia('strategic merge patch is for core kinds only: use application/merge-patch+json or application/apply-patch+yaml')
  return update(call, run, await readBody(call))
}

function update(call: Call, run: Patch, body: unknown): HttpReply {
  const old = oldOf(call)
  if (!old) throw notFound(call.target.served.kind, call.target.name!)
  // These put a value where it can be seen, or tell whether a guess is right.
  if (run === jsonPatch && isSecret(old) && !maySee(call.request.by, old) && usesValues(body))
    throw forbidden(
      call.target.served.kind,
      old.metadata.name,
      'copy, move and test of a JSON patch need the role admin for what a Secret holds',
    )
  refuseGuess(call, old, body)
  const patched = run(inVersion(old, call.target), body)
  if (!isObject(patched)) throw badRequest('the patch leaves no object')
  const { resource, warnings } = change(call, old, alignWithPath(call, patched))
  return replyObject(call, resource, 200, warnings)
}

const usesValues = (body: unknown): boolean =>
  !Array.isArray(body) || body.some(each => !isObject(each) || !['add', 'replace', 'remove'].includes(String(each['op'])))

function apply(call: Call, body: unknown): HttpReply {
  const { context, target, request } = call
  const { kind } = target.served
  const manager = request.query.get('fieldManager')
  if (!manager) throw badRequest('fieldManager: is required for apply patch')
  const applied = alignWithPath(call, body)
  if (applied.metadata['managedFields'] !== undefined) throw badRequest('metadata.managedFields must be nil')
  const live = oldOf(call)
  refuseGuess(call, live, body)
  if (!live && target.subresource === 'status') throw notFound(kind, target.name!)
  if (applied.metadata.resourceVersion && applied.metadata.resourceVersion !== live?.metadata.resourceVersion)
    throw conflict(kind, target.name!, modified)
  const result = applyServerSide({
    live: live && inVersion(live, target),
    applied,
    schema: context.schemaOf(kind),
    manager,
    subresource: target.subresource,
    force: flag(request.query, 'force'),
    now: context.now(),
  })
  if ('conflicts' in result) {
    // It tells that a value is another one than was sent: who asks so again and again is seen.
    if (live && !maySee(request.by, live))
      context.store.note('refused apply', { ...kind, namespace: target.namespace ?? '', name: target.name! }, authorOf(request))
    throw conflictRefusal(call, result.conflicts)
  }
  return applyNext(call, live, result.next)
}

function applyNext(call: Call, live: Resource | undefined, next: Resource): HttpReply {
  const { resource, warnings } = judge(call, live ? mixed(call, live, next) : next, live)
  return replyObject(call, keep(call, live, resource), live ? 200 : 201, warnings)
}

function conflictRefusal({ target }: Call, conflicts: readonly Conflict[]): Refusal {
  const { kind } = target.served
  const owners = [...new Set(conflicts.map(({ owner }) => tellOwner(owner)))]
  const told = owners.map(
    owner => `conflict with ${owner}: ${conflicts.flatMap(each => (tellOwner(each.owner) === owner ? [each.field] : [])).join(', ')}`,
  )
  const count = conflicts.length === 1 ? '1 conflict' : `${conflicts.length} conflicts`
  const causes = conflicts.map(({ field, owner }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${tellOwner(owner)}`,
    field,
  }))
  return new Refusal(409, 'Conflict', `Apply failed with ${count}: ${told.join('; ')}`, {
    name: target.name!,
    kind: kind.plural,
    ...(kind.group === '' ? {} : { group: kind.group }),
    causes,
  })
}

const tellOwner = ({ manager, operation, apiVersion, subresource, time }: Conflict['owner']): string =>
  `"${manager}"${subresource === '' ? '' : ` with subresource "${subresource}"`}${operation === 'Update' ? ` using ${apiVersion}${time === '' ? '' : ` at ${time}`}` : ''}`
