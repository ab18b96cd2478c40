/** The three patterns by which paths are rewritten: what encode writes and decode knows again. */

/** The whole path, without the query. */
export const fullPattern = '^/.*$'

/** RE2 pattern of a prefix of whole segments and the slashes after it; the empty prefix is the root. */
export const prefixPattern = (prefix: string): string => (prefix === '' ? '^/' : `^${escapeRegex(prefix)}/*`)

/** Plain text as a pattern that both RE2 and ECMAScript read as that text. */
export const escapeRegex = (text: string): string =>
  text.replace(/[\\^$.*+?()[\]{}|/]/g, character => (character === '/' ? '/' : `\\${character}`))
