/** A file of settings, YAML or JSON, read by its schema: every problem with its place. */

import type { Document, LineCounter } from 'yaml'
import type { z } from 'zod'
import { BadInput, type Problem } from '#base/note'
import { parseYaml, plainOf, TooMuchYaml } from '#base/yaml'
import { firstOf, placeAt } from './read/places.ts'
import { foundIn, pathText } from './validate/says.ts'

/** What was read, and what it takes to say where something of it stands. */
export type SettingsText = { readonly value: unknown; readonly document: Document; readonly lines: LineCounter; readonly file: string }

/** Throws BadInput with the first mistake of the YAML. */
export function parseSettings(text: string, file: string): SettingsText {
  try {
    const { document, lines, mistakes } = parseYaml(text)
    const [mistake] = mistakes
    if (mistake === undefined) return { value: plainOf(document), document, lines, file }
    const { line, col } = lines.linePos(mistake.pos[0])
    throw new BadInput([{ place: { file, line, column: col }, says: `not valid YAML: ${mistake.message}` }])
  } catch (thrown) {
    throw thrown instanceof TooMuchYaml ? new BadInput([{ place: { file, line: 1, column: 1 }, says: thrown.message }]) : thrown
  }
}

/** Throws BadInput with every problem. */
export function checkSettings<Schema extends z.ZodType>({ value, document, lines, file }: SettingsText, schema: Schema): z.infer<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new BadInput(
    firstOf(parsed.error.issues.flatMap(issue => foundIn(issue, value, schema))).map(
      (found): Problem => ({
        place: placeAt(document, lines, file, found.path, found.onKey),
        path: pathText(found.path),
        says: found.says,
      }),
    ),
  )
}
