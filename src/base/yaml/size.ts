/** Says of a text how much YAML it is before that is read: a megabyte of the smallest nodes takes seconds to read, of the deepest minutes, and one long text takes nothing. */

import { Lexer } from 'yaml'

/** parts: keys, values, marks (such as `-`, `:`, `[`, `*alias`), comments and ends of lines. aliases: written ones, each is looked for among all that stands before it. */
export type Most = { readonly parts: number; readonly aliases: number; readonly depth: number }

const scalar = '\u001F'
/** Between and behind what counts. */
const silent = /^(?:[ \t\uFEFF\u0002\u0018]|$)/

/** Of which there is more than that; undefined: of nothing. It reads no further. depth: of brackets, and of marks behind each other on one line; deeper lines are longer lines. */
export function tooMuchIn(text: string, most: Most): keyof Most | undefined {
  let [parts, aliases, brackets, marks] = [0, 0, 0, 0]
  let isContent = false
  for (const token of new Lexer().lex(text)) {
    // What comes behind its mark is the scalar itself, whatever it begins with.
    if (isContent) {
      isContent = false
      continue
    }
    isContent = token === scalar
    if (silent.test(token)) continue
    if (++parts > most.parts) return 'parts'
    if (token.startsWith('*') && ++aliases > most.aliases) return 'aliases'
    marks = token === '-' || token === '?' || token === ':' ? marks + 1 : 0
    if (token === '[' || token === '{') brackets++
    else if (token === ']' || token === '}') brackets--
    if (marks > most.depth || brackets > most.depth) return 'depth'
  }
  return undefined
}
