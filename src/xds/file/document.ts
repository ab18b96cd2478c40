/** The YAML of a file of resources: plain values, and where in the text each of them stands. */

import { type Document, isAlias, isMap, isScalar, isSeq, type Node } from 'yaml'
import { BadInput, type Place, type Problem } from '#base/note'
import { parseYamls, TooMuchYaml, plainOf } from '#base/yaml'

/** Steps into a document: keys of maps, indices of lists. */
export type Path = readonly (string | number)[]

export type FileDocument = {
  readonly value: unknown
  /** The place of the value, or of the deepest part of the path that is there. Steps that lead into an extension find it inside `typed_config` too. */
  readonly placeOf: (path: Path) => Place
}

/** Six megabytes of configuration. */
const maxParts = 1_000_000

/** file: its name, for places. Throws BadInput with every mistake of the YAML itself. */
export function readDocuments(file: string, text: string): readonly FileDocument[] {
  const inFile = <T>(work: () => T): T => {
    try {
      return work()
    } catch (thrown) {
      throw thrown instanceof TooMuchYaml ? new BadInput([{ place: { file, line: 1, column: 1 }, says: thrown.message }]) : thrown
    }
  }
  const { documents, lines } = inFile(() => parseYamls(text, { merge: true, maxParts }))
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { file, line: Math.max(1, line), column: Math.max(1, col) }
  }
  const problems = documents.flatMap(({ mistakes }) =>
    mistakes.map((mistake): Problem => ({ place: placeAt(mistake.pos[0]), says: `not valid YAML: ${mistake.message}` })),
  )
  if (problems.length > 0) throw new BadInput(problems)
  return documents
    .map(({ document }) => ({
      value: inFile(() => plainOf(document)),
      placeOf: (path: Path) => placeAt(offsetOf(document, path)),
    }))
    .filter(({ value }) => value !== null && value !== undefined)
}

function offsetOf(document: Document, path: Path): number {
  const follow = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node)
  let at: unknown = document.contents
  let offset = (document.contents as Node | null)?.range?.[0] ?? 0
  for (const step of path) {
    const [key, next] = entered(follow(at), step, follow)
    if (next === undefined && key === undefined) break
    // The key is where a person looks; an item of a list has none.
    offset = ((key ?? next) as Node | undefined)?.range?.[0] ?? offset
    at = next
  }
  return offset
}

function entered(node: unknown, step: string | number, follow: (node: unknown) => unknown): [key: unknown, next: unknown] {
  if (isSeq(node)) return [undefined, node.items[Number(step)]]
  if (!isMap(node)) return [undefined, undefined]
  const named = (name: string) => node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === name)
  const pair = named(String(step)) ?? named(camelCase(String(step)))
  if (pair !== undefined) return [pair.key, pair.value]
  const config = named('typed_config') ?? named('typedConfig')
  return config === undefined ? [undefined, undefined] : entered(follow(config.value), step, follow)
}

/** Fields have two names in JSON: that of the protobuf file, and this. */
export const camelCase = (name: string): string => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
