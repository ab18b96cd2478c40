/** Reads what people write, YAML or JSON, into resources, and says of every mistake where it is and what to do. */

import type { Document, LineCounter, YAMLError } from 'yaml'
import type { Place, Problem } from '#base/note'
import { limits, parseYamls, plainOf, TooMuchYaml, type YamlText } from '#base/yaml'
import type { Resource } from './kind.ts'
import { firstOf, placeAt } from './read/places.ts'
import type { FieldPath } from './validate.ts'
import { check, nameOf, pathText } from './validate.ts'

/**
 * resources: the sound ones, as written, without defaults. problems: in order of their places; when there are any, nothing should be applied.
 * placeOf: where a field of one of these resources stands; of the resource itself without a path.
 */
export type ReadResult = {
  readonly resources: readonly Resource[]
  readonly problems: readonly Problem[]
  readonly placeOf: (resource: Resource, path?: FieldPath) => Place | undefined
}

/** Of 20,000 documents. */
const mostParts = 5_000_000

/** file: for the places, `-` for standard input. defaultNamespace: where resources without one go, for telling duplicates. */
export function readDocuments(text: string, file: string, defaultNamespace = 'default'): ReadResult {
  const problems: Problem[] = []
  const start: Place = { file, line: 1, column: 1 }
  const nothing = { resources: [], problems, placeOf: () => undefined }
  let read: YamlText
  try {
    read = parseYamls(text, { merge: true, maxParts: mostParts, maxAliases: Number.POSITIVE_INFINITY })
  } catch (thrown) {
    if (!(thrown instanceof TooMuchYaml)) throw thrown
    problems.push({ place: start, says: thrown.message })
    return nothing
  }
  const { documents, lines } = read

  const resources: Resource[] = []
  const homes = new Map<Resource, { readonly document: Document; readonly base: FieldPath }>()
  const taken = new Map<string, Place>()
  for (const { document, mistakes } of documents) {
    const at = (path: FieldPath, onKey = false): Place => placeAt(document, lines, file, path, onKey)
    if (mistakes.length > 0) {
      problems.push(...mistakes.map(mistake => tellSyntax(mistake, lines, file, text)))
      continue
    }
    let whole: unknown
    try {
      whole = plainOf(document)
    } catch (thrown) {
      if (!(thrown instanceof TooMuchYaml)) throw thrown
      problems.push({ place: at([]), says: thrown.message })
      continue
    }
    for (const { value, base } of expand(whole)) {
      if (resources.length >= limits.maxDocuments) {
        problems.push({ place: at(base), says: `there are more than ${limits.maxDocuments} documents: split the input` })
        return { ...nothing, problems }
      }
      const { found } = check(value)
      if (found.length > 0) {
        const about = nameOf(value)
        problems.push(
          ...firstOf(found).map(each => ({
            place: at([...base, ...each.path], each.onKey),
            about,
            path: pathText(each.path),
            says: each.says,
          })),
        )
        continue
      }
      const resource = value as Resource
      const { apiVersion, kind, metadata } = resource
      const key = [apiVersion.split('/').slice(0, -1).join(), kind, metadata.namespace ?? defaultNamespace, metadata.name ?? ''].join(' ')
      const before = metadata.name ? taken.get(key) : undefined
      if (before) {
        problems.push({
          place: at([...base, 'metadata', 'name']),
          about: nameOf(value),
          path: 'metadata.name',
          says: `is already defined at ${before.file}:${before.line}:${before.column}: remove one or rename it`,
        })
        continue
      }
      taken.set(key, at(base))
      homes.set(resource, { document, base })
      resources.push(resource)
    }
  }
  problems.sort((a, b) => (a.place?.line ?? 0) - (b.place?.line ?? 0) || (a.place?.column ?? 0) - (b.place?.column ?? 0))
  return {
    resources,
    problems,
    placeOf: (resource, path = []) => {
      const home = homes.get(resource)
      return home && placeAt(home.document, lines, file, [...home.base, ...path], false)
    },
  }
}

/** A List (of kind `List`, or `XList` with items) is its items; an empty document is nothing. */
function expand(value: unknown): readonly { readonly value: unknown; readonly base: FieldPath }[] {
  if (value === null || value === undefined) return []
  const { kind, items } = value as { kind?: unknown; items?: unknown }
  if (typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items))
    return items.map((item: unknown, at) => ({ value: item, base: ['items', at] }))
  return [{ value, base: [] }]
}

const syntax: Partial<Record<YAMLError['code'], string>> = {
  TAB_AS_INDENT: 'a tab cannot indent YAML: use spaces',
  BAD_INDENT: 'the indentation does not fit the lines above',
  MISSING_CHAR: 'a character is missing, such as a closing quote or bracket',
  BAD_ALIAS: 'the alias refers to no anchor above it',
  TAG_RESOLVE_FAILED: 'the tag is not known: remove it',
}

function tellSyntax(error: YAMLError, lines: LineCounter, file: string, text: string): Problem {
  const { line, col } = lines.linePos(error.pos[0])
  const place = { file, line, column: col }
  if (error.code === 'DUPLICATE_KEY') {
    const key = /^["']?([^"':\s]*)/.exec(text.slice(error.pos[0], error.pos[0] + 80))?.[1] ?? ''
    return { place, path: key, says: 'the field is written twice: remove one' }
  }
  if (/call stack/.test(error.message)) return { place, says: `is nested deeper than ${limits.maxDepth} levels` }
  const hint = /^Flow (sequence|map)/.test(error.message) ? 'a bracket is opened and not closed' : syntax[error.code]
  return { place, says: `not valid YAML: ${hint ? `${hint} (${error.message})` : error.message}` }
}
