/** The documents that -f names, read whole before anything is done: every mistake of every file is said together. */

import type { Problem, Place } from '#base/note'
import { tellProblem } from '#base/note'
import type { ReadResult } from '#resources/read'
import type { FieldPath } from '#resources/validate'
import type { Resource } from '#resources/kind'
import { badUsage, Stopped } from './exit.ts'
import { count } from './words.ts'
import type { Session } from './session.ts'
import { filesAt, type Source } from './documents/sources.ts'

export type Documents = {
  readonly resources: readonly Resource[]
  /** Where a field of one of them stands. */
  readonly placeOf: (resource: Resource, path?: FieldPath) => Place | undefined
}

export type FileFlags = { readonly file?: readonly string[]; readonly recursive?: boolean }

/** namespace: where resources without one go. Throws Stopped when anything is wrong, after saying it all. */
export async function readAll(session: Session, { file = [], recursive = false }: FileFlags, namespace: string): Promise<Documents> {
  if (file.length === 0) throw badUsage(['-f is missing: give a file, a folder, or - for standard input'])
  if (file.filter(path => path === '-').length > 1) throw badUsage(['-f - is given twice: standard input can be read once'])
  const [{ readDocuments }, sources] = await Promise.all([import('#resources/read'), filesAt(session.edge, file, recursive)])
  const problems: Problem[] = [...sources.problems]
  const results = sources.files.map((source: Source): ReadResult => readDocuments(source.text, source.name, namespace))
  for (const result of results) problems.push(...result.problems)
  problems.push(...duplicates(results, namespace))
  if (problems.length > 0) throw refuseAll(session, problems)
  const resources = results.flatMap(result => result.resources)
  if (resources.length === 0) throw new Stopped(`${sources.files.map(source => source.name).join(', ')}: there is no document in it`)
  return {
    resources,
    placeOf: (resource, path) => results.map(result => result.placeOf(resource, path)).find(place => place !== undefined),
  }
}

/** Says every problem; the error that follows is already told. */
export function refuseAll({ say }: Pick<Session, 'say'>, problems: readonly Problem[], nothing = 'nothing was applied'): Stopped {
  say.progress('')
  for (const problem of problems) say.err(tellProblem(problem))
  say.err(`weft: ${count(problems.length, 'problem')}; ${nothing}`)
  return new Stopped('')
}

/** One resource in two files; within one file `readDocuments` has found it. */
function* duplicates(results: readonly ReadResult[], namespace: string): Generator<Problem> {
  const taken = new Map<string, { readonly place: Place | undefined; readonly result: ReadResult }>()
  for (const result of results)
    for (const resource of result.resources) {
      const { apiVersion, kind, metadata } = resource
      const key = [apiVersion.split('/').slice(0, -1).join('/'), kind, metadata.namespace ?? namespace, metadata.name].join(' ')
      const before = taken.get(key)
      const place = result.placeOf(resource, ['metadata', 'name'])
      if (before && before.result !== result) {
        const where = before.place ? ` at ${before.place.file}:${before.place.line}:${before.place.column}` : ''
        yield {
          place,
          about: `${kind} ${metadata.name}`,
          path: 'metadata.name',
          says: `is already defined${where}: remove one or rename it`,
        }
      } else taken.set(key, { place, result })
    }
}
