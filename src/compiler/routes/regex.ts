/** Which regular expressions are admitted: those that RE2 has too, and that cannot make matching take long. */

import { canBeLinear, plainly, unrolled } from '#model/expression'
import { whyNotRe2 } from './re2.ts'

const maxLength = 1024
/** RE2's own bound of one repetition, and what all of an expression may come to when they are written out. */
const mostTimes = 1000
const mostSteps = 2000

/**
 * Why an expression is refused, as the end of a sentence; undefined when it may be used. It is matched with the engine of JavaScript,
 * which backtracks: so no backreference, no lookaround (RE2 has neither), and no repetition of what itself varies, such as `(a+)+`.
 * What can still take time in proportion to a power of the value's length (`.*.*.*x`) is matched in linear time (model/expression.ts);
 * where classes of Unicode stand in the way of that, it is refused. keepsGroups: what groups match is asked for, too.
 */
export function whyNotRegex(pattern: string, keepsGroups = false): string | undefined {
  if (pattern.length > maxLength) return `is longer than ${maxLength} characters`
  try {
    RegExp(pattern, 'u') // alone first: `a)(b` is sound only inside a group
    RegExp(`^(?:${pattern})$`, 'u')
  } catch (thrown) {
    return `is not a valid regular expression (${thrown instanceof Error ? thrown.message.replace(/^Invalid regular expression: /, '') : String(thrown)})`
  }
  const why = whyNotRe2(pattern) ?? walk(pattern)
  if (why !== undefined || (canBeLinear(pattern) && unrolled(pattern, keepsGroups) !== undefined)) return why
  return whyNotByTrying(pattern)
}

/** So many ways of one text may be tried. */
const mostWays = 2 ** 20
const unbounded = 2 ** 16

/** Which only backtracking can match: two things of any length make its time the square of the text's. */
function whyNotByTrying(pattern: string): string | undefined {
  let ways = 1
  for (const [text, low, comma, high] of plainly(pattern).matchAll(/(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/g))
    if (low === undefined) ways *= text[0] === '?' ? 2 : unbounded
    else if (comma === ',') ways *= high === '' ? unbounded : Number(high) - Number(low) + 1
  return ways > mostWays
    ? 'repeats several things beside \\p{…}, a character beyond U+FFFF or a group with a number that is repeated more than 16 times, which can take the square of the length of a value: name the characters in a class such as [A-Za-z], make it (?:…)'
    : undefined
}

/** steps: of how many it is when repetitions are written out. varies: something inside is repeated a varying number of times. ambiguous: a group inside has alternatives that may begin alike. starts: how each alternative begins, undefined where that is no plain character. */
type Group = { varies: boolean; ambiguous: boolean; steps: number; starts: (string | undefined)[]; atStart: boolean }

function walk(pattern: string): string | undefined {
  const group = (): Group => ({ varies: false, ambiguous: false, steps: 0, starts: [], atStart: true })
  const open: Group[] = [group()]
  let closed: Group | undefined // the group just closed, if a quantifier may follow it
  let last = 1 // the steps of what a quantifier would repeat
  for (let at = 0; at < pattern.length; ) {
    const here = open.at(-1)!
    const rest = pattern.slice(at)
    const quantifier = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/.exec(rest)
    if (quantifier) {
      const [text, low, comma, high] = quantifier
      const varies = low === undefined || (comma === ',' && low !== high)
      const repeats = low === undefined ? text[0] !== '?' : Number(comma === ',' ? high || Infinity : low) > 1
      if (closed && repeats && closed.varies)
        return 'repeats a group that itself repeats, such as (a+)+, which can take exponential time: rewrite it'
      if (closed && repeats && isAmbiguous(closed))
        return 'repeats alternatives that may begin alike, such as (a|ab)*, which can take exponential time: rewrite it'
      const times = low === undefined ? 1 : Number(high || low)
      if (times > mostTimes) return `repeats something more than ${mostTimes} times, which RE2 refuses`
      here.steps += last * Math.max(0, times - 1)
      if (varies) here.varies = true
      if (closed?.varies) here.varies = true
      closed = undefined
      at += text.length
      continue
    }
    if (closed?.varies) here.varies = true
    closed = undefined
    const step = rest[0]!
    if (step === '(') {
      const head = /^\((?:\?(?:(:)|<([A-Za-z_]\w*)>|(.{1,2})))?/.exec(rest)!
      if (head[3] !== undefined)
        return /^[=!<]/.test(head[3]) ? 'uses lookaround, which RE2 does not have' : 'uses a group modifier that is not carried out'
      if (here.atStart) here.starts.push(undefined)
      here.atStart = false
      open.push(group())
      at += head[0].length
      continue
    }
    if (step === ')') {
      closed = open.pop()!
      if (closed.atStart) closed.starts.push(undefined)
      if (isAmbiguous(closed)) open.at(-1)!.ambiguous = true
      last = closed.steps
      open.at(-1)!.steps += last
      at += 1
      continue
    }
    if (step === '|') {
      if (here.atStart) here.starts.push(undefined) // an empty alternative
      here.atStart = true
      at += 1
      continue
    }
    const atom = /^(?:\\k<|\\[1-9])/.test(rest)
      ? undefined
      : /^(?:\\[pPu]\{[^}]*\}|\\x..|\\u....|\\.|\[(?:\\.|[^\]\\])*\]|.)/su.exec(rest)![0]
    if (atom === undefined) return 'uses a backreference, which RE2 does not have'
    if (here.atStart) here.starts.push(atom.length === 1 && atom !== '.' ? atom : undefined)
    here.atStart = false
    here.steps += 1
    last = 1
    at += atom.length
  }
  if (open[0]!.steps > mostSteps) return `is longer than ${mostSteps} steps when its repetitions are written out: allow fewer`
  return undefined
}

const isAmbiguous = ({ starts, ambiguous }: Group): boolean =>
  ambiguous || (starts.length > 1 && (starts.includes(undefined) || new Set(starts).size < starts.length))
