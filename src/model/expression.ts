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

/** The same expression without repetitions that are too many for that engine; without its groups, for only whether it fits is asked. */
export function unrolled(pattern: string): string {
  const frames = [{ text: '', piece: '' }]
  for (const token of pattern.match(tokens) ?? []) {
    const frame = frames.at(-1)!
    const counted = /^\{(\d+)(,?)(\d*)\}/.exec(token)
    if (token.startsWith('(')) frames.push({ text: '', piece: '' })
    else if (token === ')' && frames.length > 1) {
      const { text, piece } = frames.pop()!
      const outer = frames.at(-1)!
      outer.text += outer.piece
      outer.piece = `(?:${text}${piece})`
    } else if (counted !== null) {
      const [, low, comma, high] = counted
      const least = Number(low)
      frame.text += repeated(frame.piece, least, comma === '' ? least : high === '' ? Number.POSITIVE_INFINITY : Number(high))
      frame.piece = ''
    } else if (/^[*+?]/.test(token)) {
      frame.text += frame.piece + token
      frame.piece = ''
    } else {
      frame.text += frame.piece
      frame.piece = token
    }
  }
  return frames[0]!.text + frames[0]!.piece
}

function repeated(piece: string, least: number, most: number): string {
  // What may be counted inside is written out, so that nothing is multiplied.
  const times = /\{\d/.test(piece) ? 1 : mostTimes
  const some = (from: number, to: number): string => (times === 1 ? piece + (from === 0 ? '?' : '') : `${piece}{${from},${to}}`)
  let made = ''
  for (let left = least; left > 0; left -= times) made += some(Math.min(left, times), Math.min(left, times))
  if (most === Number.POSITIVE_INFINITY) return `${made}${piece}*`
  for (let left = most - least; left > 0; left -= times) made += some(0, Math.min(left, times))
  return made
}
