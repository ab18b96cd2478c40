/** Finds keys that are written twice in one map, in time that grows as the document does: the yaml package compares each key with each, which a large map turns into minutes. */

import { isMap, isPair, isScalar, isSeq, YAMLParseError, type Document, type Node } from 'yaml'

/** What the yaml package says of a key that is there twice, at the second; in order of their places. document: parsed with `uniqueKeys: false`. */
export function duplicateKeys(document: Document): readonly YAMLParseError[] {
  const found: YAMLParseError[] = []
  // No recursion: how deep it is, is looked at later. Aliases are not followed: what they stand for is walked where it is written.
  const left: unknown[] = [document.contents]
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    if (isMap(node)) {
      const seen = new Set<unknown>()
      for (const { key, value } of node.items) {
        if (isScalar(key)) {
          if (seen.has(key.value)) found.push(told(key))
          seen.add(key.value)
        } else left.push(key ?? null)
        left.push(value ?? null)
      }
    } else if (isSeq(node)) for (const item of node.items) left.push(...(isPair(item) ? [item.key, item.value ?? null] : [item]))
  }
  return found.sort((a, b) => a.pos[0] - b.pos[0])
}

function told(key: Node): YAMLParseError {
  const at = key.range?.[0] ?? 0
  return new YAMLParseError([at, at + 1], 'DUPLICATE_KEY', 'Map keys must be unique')
}
