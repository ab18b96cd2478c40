/** Where in the text a field stands. */

import { isAlias, isMap, isScalar, isSeq, type Document, type LineCounter, type Node, type Pair } from 'yaml'
import type { Place } from '#base/note'
import type { FieldPath } from '../validate.ts'

const follow = (node: unknown, document: Document): unknown => (isAlias(node) ? node.resolve(document) : node)
const keyOf = (pair: Pair): unknown => (isScalar(pair.key) ? pair.key.value : pair.key)

/** Nobody mends more at once, and to find a place takes as long as what stands there is large. */
const mostTold = 100

/** The first of what is wrong with one document; the last of them says how many more there are. */
export function firstOf<Wrong extends { readonly says: string }>(all: readonly Wrong[]): readonly Wrong[] {
  const next = all[mostTold]
  return next === undefined ? all : [...all.slice(0, mostTold), { ...next, says: `from here on, ${all.length - mostTold} more mistakes` }]
}

/** The place of the field, of its key if asked; of what should contain it where it is absent. */
export function placeAt(document: Document, lines: LineCounter, file: string, path: FieldPath, onKey: boolean): Place {
  let at: unknown = document.contents
  let offset = (document.contents as Node | null)?.range?.[0] ?? document.range?.[0] ?? 0
  for (const [depth, step] of path.entries()) {
    const node = follow(at, document)
    let next: unknown
    let key: unknown
    if (isMap(node)) {
      const pair = node.items.find(each => String(keyOf(each)) === String(step))
      next = pair?.value
      key = pair?.key
    } else if (isSeq(node)) next = node.items[Number(step)]
    if (next === undefined && key === undefined) break
    const wantsKey = next === undefined || next === null || (onKey && depth === path.length - 1)
    offset = ((wantsKey ? key : next) as Node | undefined)?.range?.[0] ?? (key as Node | undefined)?.range?.[0] ?? offset
    at = next
  }
  const { line, col } = lines.linePos(offset)
  return { file, line: Math.max(1, line), column: Math.max(1, col) }
}
