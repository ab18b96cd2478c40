/** Text that somebody edits, checked as they type: first as YAML, then by the control plane without effect. */

import { useQuery } from '@tanstack/react-query'
import { useDebouncedValue } from '@mantine/hooks'
import { useMemo } from 'react'
import { ApiError, isGone } from '../api/queries.ts'
import type { Cause, Kind, Resource } from '../api/resources.ts'
import { apiVersionOf, createObject, isConflict, replaceObject } from '../api/resources.ts'
import type { Mark } from './document.ts'
import { placeCauses, read, serverFields } from './document.ts'

/** `checking` until the newest text was judged. */
export type Draft = {
  readonly resource: Resource | undefined
  readonly marks: readonly Mark[]
  readonly verdict: 'checking' | 'valid' | 'invalid' | 'unknown'
  readonly says: string | undefined
}

/** live: the object being edited, or undefined for a new one. */
export function useDraft(kind: Kind, text: string, live: Resource | undefined): Draft {
  const [settled] = useDebouncedValue(text, 400)
  const parsed = useMemo(() => read(text), [text])
  const isOwn = useMemo(() => checkName(kind, parsed.resource, live), [kind, parsed, live])
  const check = useQuery({
    queryKey: ['dry-run', kind.plural, settled, live?.metadata.resourceVersion],
    queryFn: () => judge(kind, read(settled).resource!, live),
    enabled: parsed.resource !== undefined && isOwn === undefined && settled === text && text !== '',
    staleTime: Infinity,
    gcTime: 30_000,
  })
  const causes = check.data?.causes
  const marks = useMemo(
    () => (causes && settled === text ? placeCauses(parsed.document, text, causes) : []),
    [causes, parsed, settled, text],
  )
  if (!parsed.resource) return { resource: undefined, marks: parsed.marks, verdict: 'invalid', says: parsed.marks[0]?.says }
  if (isOwn) return { resource: parsed.resource, marks: [], verdict: 'invalid', says: isOwn }
  if (settled !== text || !check.data)
    return { resource: parsed.resource, marks: [], verdict: check.error ? 'unknown' : 'checking', says: check.error?.message }
  return { resource: parsed.resource, marks, verdict: check.data.says === undefined ? 'valid' : 'invalid', says: check.data.says }
}

function checkName(kind: Kind, resource: Resource | undefined, live: Resource | undefined): string | undefined {
  if (!resource) return undefined
  if (resource.kind !== kind.kind || resource.apiVersion.split('/')[0] !== apiVersionOf(kind).split('/')[0])
    return `This page edits ${kind.kind} of ${apiVersionOf(kind)}; the text is ${resource.kind} of ${resource.apiVersion}`
  if (
    live &&
    (resource.metadata.name !== live.metadata.name || (resource.metadata.namespace ?? 'default') !== (live.metadata.namespace ?? 'default'))
  ) {
    return 'The name and namespace of an existing resource cannot be changed. Make a new one instead.'
  }
  return undefined
}

type Judgement = { readonly says: string | undefined; readonly causes: readonly Cause[] }

/** A refusal is a judgement; only silence is an error. A conflict says nothing about the text. */
async function judge(kind: Kind, resource: Resource, live: Resource | undefined): Promise<Judgement> {
  try {
    await write(kind, resource, live, true)
    return { says: undefined, causes: [] }
  } catch (thrown) {
    if (!(thrown instanceof ApiError) || isGone(thrown)) throw thrown
    if (isConflict(thrown)) return { says: undefined, causes: [] }
    return { says: thrown.message, causes: thrown.causes.length > 0 ? thrown.causes : fromMessage(thrown.message) }
  }
}

/** Some servers name the field in the message only: `unknown field "spec.ruless"`. */
const fromMessage = (message: string): Judgement['causes'] =>
  [...message.matchAll(/field "([^"]+)"/g)].map(match => ({ field: match[1]!, message }))

/** What the editor hides goes back in as it was, the version too: a change by somebody else in between is then a conflict and not overwritten. */
export function write(kind: Kind, resource: Resource, live: Resource | undefined, dry: boolean): Promise<Resource> {
  if (!live) return createObject(kind, resource, { dry })
  const hidden = Object.fromEntries(
    serverFields.filter(field => live.metadata[field] !== undefined).map(field => [field, live.metadata[field]]),
  )
  return replaceObject(
    kind,
    { ...resource, metadata: { ...hidden, ...resource.metadata }, ...(live.status === undefined ? {} : { status: live.status }) },
    { dry },
  )
}
