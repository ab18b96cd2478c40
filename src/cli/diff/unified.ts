/** Two texts as a unified diff, as `diff -u` writes it. */

import type { Style } from '../say.ts'
import { compareLines, type Step } from './lines.ts'

const around = 3

/** Empty when they are the same. An empty text is a file that is not there. */
export function unifiedDiff(
  left: string,
  right: string,
  names: { readonly left: string; readonly right: string },
  paint: (style: Style, text: string) => string,
): readonly string[] {
  if (left === right) return []
  const steps = compareLines(linesOf(left), linesOf(right))
  return [
    paint('bold', `--- ${left === '' ? '/dev/null' : names.left}`),
    paint('bold', `+++ ${right === '' ? '/dev/null' : names.right}`),
    ...hunksOf(steps).flatMap(hunk => tellHunk(hunk, paint)),
  ]
}

const linesOf = (text: string): readonly string[] => (text === '' ? [] : text.replace(/\n$/, '').split('\n'))

/** Changes with the lines around them; those nearer than twice that are one. */
function hunksOf(steps: readonly Step[]): readonly (readonly Step[])[] {
  const ranges: [from: number, to: number][] = []
  for (const [at, { type }] of steps.entries()) {
    if (type === 'same') continue
    const [from, to] = [Math.max(0, at - around), Math.min(steps.length, at + around + 1)]
    const last = ranges.at(-1)
    if (last && from <= last[1]) last[1] = to
    else ranges.push([from, to])
  }
  return ranges.map(([from, to]) => steps.slice(from, to))
}

function tellHunk(hunk: readonly Step[], paint: (style: Style, text: string) => string): readonly string[] {
  const range = (side: 'left' | 'right', other: Step['type']): string => {
    const length = hunk.filter(({ type }) => type !== other).length
    // An empty range is given by the line before it.
    const start = hunk[0]![side] + (length === 0 ? 0 : 1)
    return length === 1 ? `${start}` : `${start},${length}`
  }
  return [
    paint('cyan', `@@ -${range('left', 'added')} +${range('right', 'removed')} @@`),
    ...hunk.map(({ type, line }) =>
      type === 'same' ? ` ${line}` : type === 'added' ? paint('green', `+${line}`) : paint('red', `-${line}`),
    ),
  ]
}
