/** Keeps who may not see what a Secret holds from trying guesses of it: a write that leaves nothing behind, and whose answer depends on whether the guess is right. */

import type { Resource } from '#resources/kind'
import { isDryRun, type Call } from './call.ts'
import { isObject } from './document.ts'
import { isSecret, lastApplied, maySee } from './redact.ts'
import { forbidden } from './refusal.ts'

/** What these write is compared with what is there. */
const parts = ['data', 'stringData']

/** body: of a PUT, an apply or a patch, as it was sent. Throws a 403. */
export function refuseGuess(call: Call, old: Resource | undefined, body: unknown): void {
  if (old === undefined || !isSecret(old) || maySee(call.request.by, old)) return
  if (!isDryRun(call.request.query.getAll('dryRun')) || !writesValues(body)) return
  throw forbidden(
    call.target.served.kind,
    old.metadata.name,
    'a dry run that writes what a Secret holds needs the role admin: it would tell whether a guess is right',
  )
}

function writesValues(body: unknown): boolean {
  if (Array.isArray(body)) return body.some(writesAt)
  if (!isObject(body)) return false
  const { metadata } = body
  const annotations = isObject(metadata) ? metadata['annotations'] : undefined
  return parts.some(part => part in body) || (isObject(annotations) && lastApplied in annotations)
}

/** One step of a JSON patch; what changes more than a label may hold values. */
function writesAt(step: unknown): boolean {
  const path = isObject(step) ? step['path'] : undefined
  if (typeof path !== 'string') return true
  const [, first, second, third] = path.split('/').map(each => each.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (first !== 'metadata') return first === undefined || parts.includes(first)
  return second === undefined || (second === 'annotations' && (third === undefined || third === lastApplied))
}
