/** One YAML text as plain values, unchecked: for bodies of the API, which may be parts of a document. `read.ts` is for what people write in files. */

import { parseYaml, plainOf, TooMuchYaml } from '#base/yaml'

/** Throws an Error that says line and column of the first mistake. */
export function readYaml(text: string): unknown {
  try {
    const { document, lines, mistakes } = parseYaml(text)
    const [mistake] = mistakes
    if (mistake === undefined) return plainOf(document)
    const { line, col } = lines.linePos(mistake.pos[0])
    throw new Error(`not valid YAML at line ${line}, column ${col}: ${mistake.message}`)
  } catch (thrown) {
    throw thrown instanceof TooMuchYaml ? new Error(`it ${thrown.message} (or send JSON)`) : thrown
  }
}
