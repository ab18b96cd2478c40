/** Which regular expressions are admitted: those that RE2 has too, and that cannot make matching take exponential time. */

const maxLength = 1024

/**
 * Why an expression is refused, as the end of a sentence; undefined when it may be used. It is matched with the engine of JavaScript,
 * which backtracks: so no backreference, no lookaround (RE2 has neither), and no repetition of what itself varies, such as `(a+)+`.
 * What is left can still take time in proportion to a power of the value's length (`.*.*.*x`); the proxy bounds that length.
 */
export function whyNotRegex(pattern: string): string | undefined {
  if (pattern.length > maxLength) return `is longer than ${maxLength} characters`
  try {
    RegExp(pattern, 'u') // alone first: `a)(b` is sound only inside a group
    RegExp(`^(?:${pattern})$`, 'u')
  } catch (thrown) {
    return `is not a valid regular expression (${thrown instanceof Error ? thrown.message.replace(/^Invalid regular expression: /, '') : String(thrown)})`
  }
  return walk(pattern)
}

/** varies: something inside is repeated a varying number of times. ambiguous: a group inside has alternatives that may begin alike. starts: how each alternative begins, undefined where that is no plain character. */
type Group = { varies: boolean; ambiguous: boolean; starts: (string | undefined)[]; atStart: boolean }

function walk(pattern: string): string | undefined {
  const group = (): Group => ({ varies: false, ambiguous: false, starts: [], atStart: true })
  const open: Group[] = [group()]
  let closed: Group | undefined // the group just closed, if a quantifier may follow it
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
    at += atom.length
  }
  return undefined
}

const isAmbiguous = ({ starts, ambiguous }: Group): boolean =>
  ambiguous || (starts.length > 1 && (starts.includes(undefined) || new Set(starts).size < starts.length))
