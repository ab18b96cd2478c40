/** One YAML text as plain values, unchecked: for bodies of the API, which may be parts of a document. `read.ts` is for what people write in files. */

import { LineCounter, parseDocument } from 'yaml'
import { isTooDeep, limits } from './read/limits.ts'
import { hasMoreAliases, hasMoreParts } from './read/size.ts'
import { duplicateKeys } from './read/unique.ts'

/** Throws an Error that says line and column of the first mistake. */
export function readYaml(text: string): unknown {
  if (text.length > limits.maxChars) throw new Error(`it is larger than ${limits.maxChars} characters`)
  if (hasMoreParts(text, limits.maxParts))
    throw new Error(`it has more than ${limits.maxParts} keys, values, marks and lines: split it, or send JSON`)
  if (hasMoreAliases(text, limits.maxWrittenAliases))
    throw new Error(`it has more than ${limits.maxWrittenAliases} aliases: write the repeated parts out`)
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error', uniqueKeys: false })
  const [error] = [...document.errors, ...duplicateKeys(document)].sort((a, b) => a.pos[0] - b.pos[0])
  if (error) {
    const { line, col } = lines.linePos(error.pos[0])
    throw new Error(`not valid YAML at line ${line}, column ${col}: ${error.message}`)
  }
  const value: unknown = document.toJS({ maxAliasCount: limits.maxAliases })
  if (isTooDeep(value)) throw new Error(`it is nested deeper than ${limits.maxDepth} levels`)
  return value
}
