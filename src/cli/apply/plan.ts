/** What is about to be applied: each document with its kind, tried on the server before anything is changed. */

import type { Client, Outcome, ServedKind } from '#api/client'
import type { Problem } from '#base/note'
import type { Resource } from '#resources/kind'
import { refuseAll, type Documents } from '../documents.ts'
import { kindOfDocument } from '../kinds.ts'
import { mapLimited } from '../limit.ts'
import type { Scope, Session } from '../session.ts'

export const fieldManager = 'weft'

export type Planned = { readonly resource: Resource; readonly kind: ServedKind; readonly namespace: string }

/** Throws Stopped when the control plane does not serve a kind: it may be of another version than this command. */
export function matchKinds(session: Session, { kinds, namespace, address }: Scope, documents: Documents): readonly Planned[] {
  const problems: Problem[] = []
  const planned = documents.resources.flatMap((resource): Planned[] => {
    const kind = kindOfDocument(kinds, resource.apiVersion, resource.kind)
    if (kind) return [{ resource, kind, namespace: resource.metadata.namespace ?? namespace }]
    problems.push({
      place: documents.placeOf(resource),
      about: resource.kind,
      says: `the control plane at ${address.url} does not serve ${resource.apiVersion} ${resource.kind}; weft version shows whether it is older`,
    })
    return []
  })
  if (problems.length > 0) throw refuseAll(session, problems)
  return planned
}

/** Namespaces first: the rest may live in them. Else as written. */
export const inOrder = (planned: readonly Planned[]): readonly Planned[] => [
  ...planned.filter(isNamespace),
  ...planned.filter(each => !isNamespace(each)),
]

const isNamespace = ({ kind }: Planned): boolean => kind.group === '' && kind.kind === 'Namespace'

/** Applies everything as a dry run. Throws Stopped with all refusals at their places. Outcomes in the order of `planned`. */
export async function rehearse(
  session: Session,
  client: Client,
  planned: readonly Planned[],
  documents: Documents,
  { force }: { readonly force: boolean },
): Promise<readonly Outcome[]> {
  const fresh = new Set(planned.filter(isNamespace).map(({ resource }) => resource.metadata.name))
  const problems: Problem[] = []
  const outcomes = await mapLimited(planned, async (each): Promise<Outcome> => {
    const { kind, resource, namespace } = each
    try {
      return await client.apply(kind, resource, { namespace, fieldManager, force, dryRun: true })
    } catch (thrown) {
      if (!isRefusal(thrown)) throw thrown
      // Its namespace comes with it, and a dry run does not keep that.
      const isHomeless = thrown.code === 404 && kind.namespaced && fresh.has(namespace)
      if (!isHomeless) problems.push(...problemsOf(thrown, each, documents))
      return { resource, outcome: 'created' }
    }
  })
  if (problems.length > 0) throw refuseAll(session, problems)
  return outcomes
}

type Refusal = Error & {
  readonly code: number
  readonly reason: string
  readonly causes: readonly { readonly field?: string; readonly message: string }[]
}
export const isRefusal = (thrown: unknown): thrown is Refusal => thrown instanceof Error && thrown.name === 'ApiError'

export function tellRefusal(session: Session, thrown: unknown, each: Planned, documents: Documents): unknown {
  if (!isRefusal(thrown)) return thrown
  return refuseAll(session, problemsOf(thrown, each, documents), 'the rest was not applied')
}

/** Causes name fields, whose places are known. */
function problemsOf(refusal: Refusal, { resource, kind, namespace }: Planned, { placeOf }: Documents): readonly Problem[] {
  const about = `${resource.kind} ${kind.namespaced ? `${namespace}/` : ''}${resource.metadata.name}`
  if (refusal.reason === 'Conflict' && refusal.causes.length > 0)
    return [
      {
        place: placeOf(resource),
        about,
        says: `others manage ${refusal.causes.map(({ field, message }) => `${field ?? 'a field'} (${message})`).join(', ')}; take them over with --force-conflicts`,
      },
    ]
  if (refusal.causes.length === 0) return [{ place: placeOf(resource), about, says: refusal.message }]
  return refusal.causes.map(({ field, message }) => ({ place: placeOf(resource, pathOf(field ?? '')), about, path: field, says: message }))
}

/** `spec.rules[0].backendRefs[1].name` as steps. */
const pathOf = (field: string): (string | number)[] =>
  [...field.matchAll(/\[(\d+)\]|\["([^"]*)"\]|([^.[\]]+)/g)].map(([, index, quoted, name]) =>
    index === undefined ? (quoted ?? name ?? '') : Number(index),
  )
