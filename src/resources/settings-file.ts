/** A file of settings, YAML or JSON, read by its schema: every problem with its place. */

import { type Document, LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { BadInput, type Problem } from '#base/note'
import { placeAt } from './read/places.ts'
import { duplicateKeys } from './read/unique.ts'
import { foundIn, pathText } from './validate/says.ts'

/** What was read, and what it takes to say where something of it stands. */
export type SettingsText = { readonly value: unknown; readonly document: Document; readonly lines: LineCounter; readonly file: string }

/** Throws BadInput with the first mistake of the YAML. */
export function parseSettings(text: string, file: string): SettingsText {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent', uniqueKeys: false })
  const [error] = [...document.errors, ...duplicateKeys(document)].sort((a, b) => a.pos[0] - b.pos[0])
  if (error) {
    const { line, col } = lines.linePos(error.pos[0])
    throw new BadInput([{ place: { file, line, column: col }, says: `not valid YAML: ${error.message}` }])
  }
  return { value: document.toJS({ maxAliasCount: 10 }) as unknown, document, lines, file }
}

/** Throws BadInput with every problem. */
export function checkSettings<Schema extends z.ZodType>({ value, document, lines, file }: SettingsText, schema: Schema): z.infer<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new BadInput(
    parsed.error.issues
      .flatMap(issue => foundIn(issue, value, schema))
      .map(
        (found): Problem => ({
          place: placeAt(document, lines, file, found.path, found.onKey),
          path: pathText(found.path),
          says: found.says,
        }),
      ),
  )
}
