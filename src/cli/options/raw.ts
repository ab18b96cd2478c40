/** Flags as commander gives them. */

/** By name: text, lists of text, switches. */
export type Raw = Readonly<Record<string, unknown>>
