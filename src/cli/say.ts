/** Writes to the terminal or pipe: lines, colours where they help, and how wide it is. */

import { styleText } from 'node:util'
import type { Edge } from './edge.ts'

export type Style = Parameters<typeof styleText>[0]

export type Say = {
  /** A line on stdout. */
  out(text: string): void
  /** As it is, without a line end. */
  raw(text: string): void
  /** A line on stderr. */
  err(text: string): void
  /** For stdout. */
  paint(style: Style, text: string): string
  readonly isTTY: boolean
  readonly hasColour: boolean
  readonly columns: number
  /** A line on stderr that the next one replaces; only at a terminal. Empty removes it. */
  progress(text: string): void
}

export function sayTo(edge: Pick<Edge, 'stdout' | 'stderr' | 'env' | 'isTTY' | 'columns'>): Say {
  const { stdout, stderr, isTTY, columns } = edge
  const hasColour = colours(edge)
  let pending = false
  const clear = (): void => {
    if (pending) stderr.write('\r\x1b[K')
    pending = false
  }
  return {
    out: text => {
      clear()
      stdout.write(`${text}\n`)
    },
    raw: text => {
      clear()
      stdout.write(text)
    },
    err: text => {
      clear()
      stderr.write(`${text}\n`)
    },
    paint: (style, text) => (hasColour && text !== '' ? styleText(style, text, { validateStream: false }) : text),
    isTTY,
    hasColour,
    columns,
    progress: text => {
      if (!isTTY) return
      clear()
      if (text === '') return
      stderr.write(text)
      pending = true
    },
  }
}

/** https://no-color.org and https://force-color.org: set and not empty. */
function colours({ env, isTTY }: Pick<Edge, 'env' | 'isTTY'>): boolean {
  if ((env['NO_COLOR'] ?? '') !== '') return false
  const forced = env['FORCE_COLOR'] ?? ''
  return forced === '' ? isTTY && env['TERM'] !== 'dumb' : forced !== '0' && forced !== 'false'
}
