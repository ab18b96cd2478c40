/** Says of a text how much YAML it is before that is read: a megabyte of the smallest nodes takes seconds to read, and one long text takes nothing. */

import { Lexer } from 'yaml'

const scalar = '\u001F'
/** Between and behind what counts. */
const silent = /^(?:[ \t\uFEFF\u0002\u0018]|$)/

/** Whether there are more keys, values, marks (such as `-`, `:`, `[`, `*alias`), comments and ends of lines than that. It reads no further. */
export function hasMoreParts(text: string, most: number): boolean {
  return countsBeyond(text, most, token => !silent.test(token))
}

/** Whether there are more aliases than that: each is looked for among all that stands before it. */
export function hasMoreAliases(text: string, most: number): boolean {
  return text.includes('*') && countsBeyond(text, most, token => token.startsWith('*'))
}

function countsBeyond(text: string, most: number, isCounted: (token: string) => boolean): boolean {
  let count = 0
  let isContent = false
  for (const token of new Lexer().lex(text)) {
    if (!isContent && isCounted(token) && ++count > most) return true
    // What comes behind its mark is the scalar itself, whatever it begins with.
    isContent = !isContent && token === scalar
  }
  return false
}
