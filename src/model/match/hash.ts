/** A running hash over the characters of a text, so that its parts can be looked up without being cut out. */

/** FNV-1a, 32 bits (draft-eastlake-fnv §2), over UTF-16 units: equal texts have equal hashes, and whoever looks one up compares the text too. */
export const seed = 0x811c9dc5 | 0
export const mixed = (hash: number, unit: number): number => Math.imul(hash ^ unit, 0x01000193)

export function hashOf(text: string): number {
  let hash = seed
  for (let at = 0; at < text.length; at++) hash = mixed(hash, text.charCodeAt(at))
  return hash
}

/** The same from the last character to the first, for suffixes. */
export function hashBackwards(text: string): number {
  let hash = seed
  for (let at = text.length - 1; at >= 0; at--) hash = mixed(hash, text.charCodeAt(at))
  return hash
}
