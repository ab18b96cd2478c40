/** What the expressions of JavaScript may say and RE2 (github.com/google/re2/wiki/Syntax) may not: an Envoy refuses the whole table or listener in which it stands. */

/** RE2 multiplies what stands in each other. */
const mostTimes = 1000

/** pattern: valid in JavaScript, with the flag u. Why it is refused, as the end of a sentence; undefined: RE2 has all of it. */
export function whyNotRe2(pattern: string): string | undefined {
  let isInClass = false
  const open = [1] // the greatest product of repetitions inside each group
  let last = 1 // the same of what a quantifier would repeat
  for (let at = 0; at < pattern.length; at++) {
    const rest = pattern.slice(at)
    const step = rest[0]!
    if (step === '\\') {
      const why = whyNotEscape(rest, isInClass)
      if (why !== undefined) return why
      at += 1
      last = 1
    } else if (isInClass) isInClass = step !== ']'
    else if (step === '[') {
      if (/^\[\^?\]/.test(rest)) return 'has an empty class of characters, which RE2 does not have'
      isInClass = true
      last = 1
    } else if (step === '(') open.push(1)
    else if (step === ')') last = open.pop() ?? 1
    else {
      const [text, low, high] = /^\{(\d+),?(\d*)\}/.exec(rest) ?? []
      if (text === undefined) {
        last = /[*+?]/.test(step) ? last : 1
        continue
      }
      last *= Math.max(1, Number(high || low))
      if (last > mostTimes) return `repeats something more than ${mostTimes} times, groups in groups multiplied, which RE2 refuses`
      at += text.length - 1
    }
    open.push(Math.max(open.pop() ?? 1, last))
  }
  return undefined
}

function whyNotEscape(rest: string, isInClass: boolean): string | undefined {
  const next = rest[1] ?? ''
  if (next === 'u' || next === 'c') return `uses \\${next}, which RE2 does not have: write the character itself, or \\xHH`
  if (next === 'b' && isInClass) return 'uses \\b in a class, which RE2 does not have: write \\x08'
  if (next !== 'p' && next !== 'P') return undefined
  const [, named = ''] = /^..\{([^}]*)\}/.exec(rest) ?? []
  return /^(?:[A-Z][a-z]?|Any)$/.test(named)
    ? undefined
    : `uses \\${next}{${named}}, which RE2 writes in another way or does not have: give a general category by its short name, such as \\p{L} or \\p{Lu}`
}
