/** YAML within bounds, in time that grows as the text does: by this every YAML is read that is not the program's own. */

import { type Document, LineCounter, parseAllDocuments, parseDocument, type YAMLParseError, type YAMLWarning } from 'yaml'
import { isTooDeep, limits } from './yaml/limits.ts'
import { tooMuchIn } from './yaml/size.ts'
import { duplicateKeys } from './yaml/unique.ts'

export { limits } from './yaml/limits.ts'

/** maxParts, maxAliases: other bounds than those of limits, for the reader who knows better. merge: `<<` takes in what it names. */
export type YamlOptions = { readonly maxParts?: number; readonly maxAliases?: number; readonly merge?: boolean }

/** mistakes: of each document, in order of their places: the first that is no key written twice, since what follows is mostly its echo, and those that are. */
export type YamlText = {
  readonly documents: readonly { readonly document: Document; readonly mistakes: readonly (YAMLParseError | YAMLWarning)[] }[]
  readonly lines: LineCounter
}

/** The message says what there is too much of, as what follows "it". */
export class TooMuchYaml extends Error {}

const deep = `is nested deeper than ${limits.maxDepth} levels`

/** Several documents. Throws TooMuchYaml. */
export function parseYamls(text: string, options: YamlOptions = {}): YamlText {
  return bounded(text, options, settings => {
    const parsed = parseAllDocuments(text.startsWith('\uFEFF') ? text.slice(1) : text, settings)
    return Array.isArray(parsed) ? (parsed as Document[]) : []
  })
}

/** One document; a second one is a mistake, of which the yaml package is silent where it is told to be. Throws TooMuchYaml. */
export function parseYaml(
  text: string,
  options: YamlOptions = {},
): { readonly document: Document } & YamlText['documents'][number] & Pick<YamlText, 'lines'> {
  const { documents, lines } = bounded(text, options, settings => [parseDocument(text, { ...settings, logLevel: 'error' })])
  return { ...documents[0]!, lines }
}

/** As plain values. Throws TooMuchYaml. */
export function plainOf(document: Document): unknown {
  try {
    const value: unknown = document.toJS({ maxAliasCount: limits.maxAliases })
    if (!isTooDeep(value)) return value
  } catch (thrown) {
    if (thrown instanceof ReferenceError) throw new TooMuchYaml('has aliases that stand for too much: write the repeated parts out')
    if (!(thrown instanceof RangeError)) throw thrown
  }
  throw new TooMuchYaml(`${deep}, or an alias contains itself`)
}

type Settings = {
  readonly lineCounter: LineCounter
  readonly merge: boolean
  readonly uniqueKeys: false
  readonly prettyErrors: false
  readonly logLevel: 'silent'
}

function bounded(
  text: string,
  { maxParts = limits.maxParts, maxAliases = limits.maxWrittenAliases, merge = false }: YamlOptions,
  parse: (settings: Settings) => readonly Document[],
): YamlText {
  if (text.length > limits.maxChars) throw new TooMuchYaml(`is larger than ${limits.maxChars} characters: split it`)
  const most = { parts: maxParts, aliases: maxAliases, depth: limits.maxDepth }
  const found = tooMuchIn(text, most)
  if (found === 'parts') throw new TooMuchYaml(`has more than ${maxParts} keys, values, marks and lines: split it`)
  if (found === 'aliases') throw new TooMuchYaml(`has more than ${maxAliases} aliases: write the repeated parts out`)
  if (found === 'depth') throw new TooMuchYaml(deep)
  const lines = new LineCounter()
  try {
    const documents = parse({ lineCounter: lines, merge, uniqueKeys: false, prettyErrors: false, logLevel: 'silent' })
    return { documents: documents.map(document => ({ document, mistakes: mistakesIn(document) })), lines }
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown // the stack is full
    throw new TooMuchYaml(deep)
  }
}

function mistakesIn(document: Document): readonly (YAMLParseError | YAMLWarning)[] {
  const [first] = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0])
  return [...(first === undefined ? [] : [first]), ...duplicateKeys(document)].sort((a, b) => a.pos[0] - b.pos[0])
}
