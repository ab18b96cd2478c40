/** The shortest way from one list of lines to another: E. Myers, An O(ND) Difference Algorithm, 1986. */

/** left and right: where the line stands in each, from 0. */
export type Step = { readonly type: 'same' | 'removed' | 'added'; readonly line: string; readonly left: number; readonly right: number }

export function compareLines(left: readonly string[], right: readonly string[]): readonly Step[] {
  const [n, m] = [left.length, right.length]
  const most = n + m
  // furthest[k]: how far on the left a path on the diagonal k = left - right has come.
  const furthest = new Map<number, number>([[1, 0]])
  const trace: Map<number, number>[] = []
  for (let edits = 0; edits <= most; edits++) {
    trace.push(new Map(furthest))
    for (let k = -edits; k <= edits; k += 2) {
      let x = goesDown(furthest, k, edits) ? furthest.get(k + 1)! : furthest.get(k - 1)! + 1
      while (x < n && x - k < m && left[x] === right[x - k]) x++
      furthest.set(k, x)
      if (x >= n && x - k >= m) return walkBack(trace, left, right)
    }
  }
  return []
}

const goesDown = (furthest: ReadonlyMap<number, number>, k: number, edits: number): boolean =>
  k === -edits || (k !== edits && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1))

function walkBack(trace: readonly ReadonlyMap<number, number>[], left: readonly string[], right: readonly string[]): readonly Step[] {
  const steps: Step[] = []
  let [x, y] = [left.length, right.length]
  for (let edits = trace.length - 1; edits >= 0; edits--) {
    const furthest = trace[edits]!
    const k = x - y
    const from = goesDown(furthest, k, edits) ? k + 1 : k - 1
    const startX = furthest.get(from)!
    const startY = startX - from
    while (x > startX && y > startY && x > 0 && y > 0) steps.push({ type: 'same', line: left[--x]!, left: x, right: --y })
    if (edits === 0) break
    if (x > startX) steps.push({ type: 'removed', line: left[--x]!, left: x, right: y })
    else steps.push({ type: 'added', line: right[--y]!, left: x, right: y })
  }
  return steps.reverse()
}
