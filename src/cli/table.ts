/** Rows under headings, aligned: coloured at a terminal, plain in a pipe, so that `awk` and people both read it. */

import { stripVTControlCharacters } from 'node:util'
import type { Say, Style } from './say.ts'

/** right: numbers. style: of a cell, by its text. */
export type Heading = { readonly name: string; readonly right?: boolean; readonly style?: (cell: string) => Style | undefined }

/** Cells are text without line ends; an empty one is shown as `-`, so that every row has the same number of words to `awk`. */
export function tableLines(
  say: Pick<Say, 'paint'>,
  headings: readonly Heading[],
  rows: readonly (readonly string[])[],
  widths?: readonly number[],
): string[] {
  const shown = rows.map(row => headings.map((_, at) => oneLine(row[at] ?? '')))
  const wide = headings.map(({ name }, at) => Math.max(widths?.[at] ?? 0, width(name), ...shown.map(row => width(row[at]!))))
  const line = (cells: readonly string[], paint: (cell: string, at: number) => string): string =>
    cells
      .map((cell, at) => {
        const gap = ' '.repeat(wide[at]! - width(cell))
        if (headings[at]!.right) return gap + paint(cell, at)
        return at === cells.length - 1 ? paint(cell, at) : paint(cell, at) + gap
      })
      .join('   ')
  const head = line(
    headings.map(({ name }) => name.toUpperCase()),
    cell => say.paint('bold', cell),
  )
  return [
    head,
    ...shown.map(row =>
      line(row, (cell, at) => {
        const style = headings[at]!.style?.(cell)
        return style ? say.paint(style, cell) : cell
      }),
    ),
  ]
}

/** Widths to keep when rows come one by one, as in a watch. */
export const widthsOf = (headings: readonly Heading[], rows: readonly (readonly string[])[]): number[] =>
  headings.map(({ name }, at) => Math.max(width(name), ...rows.map(row => width(oneLine(row[at] ?? '')))))

export function printTable(say: Say, headings: readonly Heading[], rows: readonly (readonly string[])[]): void {
  for (const line of tableLines(say, headings, rows)) say.out(line)
}

/** A control character in text that came over the network must not reach the terminal. */
export const oneLine = (cell: string): string =>
  stripVTControlCharacters(cell)
    .replace(/[\u0000-\u001f\u007f]+/g, ' ')
    .trim() || '-'

const width = (text: string): number => [...text].length

/** Good, bad and in between, as tables and status lines colour them. */
export function judgeStyle(cell: string): Style | undefined {
  if (/^(synced|healthy|true|yes|ok|True|active|reachable)$/.test(cell)) return 'green'
  if (/^(rejected|unhealthy|disconnected|false|no|failed|False)$/.test(cell)) return 'red'
  if (/^(pending|degraded|draining|unknown|Unknown|warning|left out)$/.test(cell)) return 'yellow'
  return undefined
}
