/** Regular expressions of operators over what callers write: in a time in proportion to its length, and as if they were tried on whole characters. */

/** A test whether an expression fits the whole of a text. dotAll: `.` is a line break too. */
export function wholly(pattern: string, dotAll = false): (text: string) => boolean {
  const also = dotAll ? 's' : ''
  const tried = lazily(() => new RegExp(`^(?:${pattern})$`, `u${also}`))
  const linear = linearly(pattern, also)
  if (linear === undefined) return text => tried().test(text)
  const longest = longestTried(pattern)
  return text =>
    text.length <= longest ? tried().test(text) : linear.test(isAstral.test(text) ? text.replace(astral, oneOfPrivateUse) : text)
}

/**
 * V8's engine of linear time (#io/linear-regex) knows no flag `u`, so that a character of two code units must be made one: without classes of Unicode in the
 * expression any other that it does not name is as good.
 */
function linearly(pattern: string, also: string): RegExp | undefined {
  if (!canBeLinear(pattern)) return undefined
  try {
    return new RegExp(`^(?:${unrolled(pattern)})$`, `l${also}`)
  } catch {
    return undefined // Not asked for, or not possible.
  }
}
export const canBeLinear = (pattern: string): boolean => !/\\[pPu]\{|\(\?[a-z]+:|[\ud800-\udfff]/.test(pattern)
const isAstral = /[\ud800-\udfff]/
const astral = /[\ud800-\udbff][\udc00-\udfff]/g
const oneOfPrivateUse = '\uf8ff'

/** To try one way after the other is fifty times as fast where there are few: so many, by how much of the expression has no fixed length. */
const fewWays = 2 ** 16
function longestTried(pattern: string): number {
  let ways = fewWays
  let loose = 0
  for (const [text] of plainly(pattern).matchAll(/(?:[*+?]|\{\d+(?:,\d*)?\})\??/g))
    if (text.startsWith('?')) ways /= 2
    else if (!/^\{\d+\}/.test(text)) loose++
  return loose === 0 && ways >= 1 ? Number.POSITIVE_INFINITY : Math.floor(Math.max(0, ways) ** (1 / Math.max(1, loose)))
}

/** Each character, escape and class as one letter, so that what looks like a repetition is one. */
export const plainly = (pattern: string): string =>
  pattern.replaceAll(/\\[pP]\{[^}]*\}|\\[^]|\[(?:\\[^]|[^\]\\])*\]/g, 'x').replaceAll('(?', '(')

function lazily<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}

/** That engine takes a repetition up to 16 times, one inside another multiplied. */
const mostTimes = 16

const tokens = /\\x..|\\u....|\\[^]|\[(?:\\[^]|[^\]\\])*\]|\((?:\?(?::|<\w+>))?|[*+?]\??|\{\d+(?:,\d*)?\}\??|[^]/g

/**
 * The same expression without repetitions that are too many for that engine; for where only is asked whether it fits, without groups that are remembered.
 * keepsGroups: with them; then undefined where what repeats so often is remembered.
 */
export function unrolled(pattern: string): string
export function unrolled(pattern: string, keepsGroups: boolean): string | undefined
export function unrolled(pattern: string, keepsGroups = false): string | undefined {
  type Frame = { text: string; piece: string; opened: string; remembers: boolean }
  const frames: Frame[] = [{ text: '', piece: '', opened: '', remembers: false }]
  let remembers = false // what a quantifier would repeat
  for (const token of pattern.match(tokens) ?? []) {
    const frame = frames.at(-1)!
    const counted = /^\{(\d+)(,?)(\d*)\}(\??)/.exec(token)
    if (token.startsWith('(')) {
      const opened = keepsGroups ? token : '(?:'
      frames.push({ text: '', piece: '', opened, remembers: opened !== '(?:' })
    } else if (token === ')' && frames.length > 1) {
      const inner = frames.pop()!
      const outer = frames.at(-1)!
      outer.text += outer.piece
      outer.piece = `${inner.opened}${inner.text}${inner.piece})`
      outer.remembers ||= inner.remembers
      remembers = inner.remembers
    } else if (counted !== null) {
      const [, low, comma, high, lazy = ''] = counted
      const least = Number(low)
      const most = comma === '' ? least : high === '' ? Number.POSITIVE_INFINITY : Number(high)
      if (!remembers) frame.text += repeated(frame.piece, least, most, lazy)
      else if (Math.max(least, most) <= mostTimes && !/\{\d/.test(frame.piece)) frame.text += frame.piece + token
      else return undefined
      frame.piece = ''
    } else if (/^[*+?]/.test(token)) {
      frame.text += frame.piece + token
      frame.piece = ''
    } else {
      frame.text += frame.piece
      frame.piece = token
      remembers = false
    }
  }
  return frames[0]!.text + frames[0]!.piece
}

function repeated(piece: string, least: number, most: number, lazy: string): string {
  // What may be counted inside is written out, so that nothing is multiplied.
  const times = /\{\d/.test(piece) ? 1 : mostTimes
  const some = (from: number, to: number): string =>
    times === 1 ? piece + (from === 0 ? `?${lazy}` : '') : `${piece}{${from},${to}}${from === to ? '' : lazy}`
  let made = ''
  for (let left = least; left > 0; left -= times) made += some(Math.min(left, times), Math.min(left, times))
  if (most === Number.POSITIVE_INFINITY) return `${made}${piece}*${lazy}`
  for (let left = most - least; left > 0; left -= times) made += some(0, Math.min(left, times))
  return made
}
