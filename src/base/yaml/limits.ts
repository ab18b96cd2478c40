/** How much of a text is read at all: bounds against a text that is larger read than written. */

export const limits = {
  /** Characters of one text. */
  maxChars: 16 * 1024 * 1024,
  /** Documents in one text, lists expanded. */
  maxDocuments: 20_000,
  /** Levels of nesting; the deepest kind has 14. */
  maxDepth: 64,
  /** Keys, values, marks and lines in one YAML text: some 100,000 nodes. */
  maxParts: 300_000,
  /** Aliases that may be written in one YAML text. */
  maxWrittenAliases: 1_000,
  /** Nodes that aliases may stand for, counted as the yaml package does ("billion laughs"). */
  maxAliases: 200,
} as const

/** Whether a value is nested deeper than that, or contains itself through an alias. */
export function isTooDeep(value: unknown, left: number = limits.maxDepth): boolean {
  if (value === null || typeof value !== 'object') return false
  if (left === 0) return true
  for (const each of Object.values(value)) if (isTooDeep(each, left - 1)) return true
  return false
}
