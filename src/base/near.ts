/** "Did you mean": the known word nearest to a typed one. */

/** Optimal string alignment distance, case counted for half: typing errors, transpositions included. */
function distance(one: string, other: string): number {
  let before: number[] = []
  let last = Array.from({ length: other.length + 1 }, (_, at) => at)
  for (let i = 1; i <= one.length; i++) {
    const row = [i]
    for (let j = 1; j <= other.length; j++) {
      const [a, b] = [one[i - 1]!, other[j - 1]!]
      const change = a === b ? 0 : a.toLowerCase() === b.toLowerCase() ? 0.5 : 1
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + change)
      if (i > 1 && j > 1 && a === other[j - 2] && one[i - 2] === b) best = Math.min(best, before[j - 2]! + 1)
      row.push(best)
    }
    before = last
    last = row
  }
  return last[other.length]!
}

/** The nearest of the known words when it is near enough to be meant. */
export function nearest(typed: string, known: readonly string[]): string | undefined {
  if (typed.length > 100) return undefined
  const inside = known.filter(word => typed.length > 3 && word.toLowerCase().includes(typed.toLowerCase()))
  if (inside.length === 1) return inside[0]
  const far = Math.max(1.5, typed.length / 3)
  const ranked = known.map(word => ({ word, far: distance(typed, word) })).filter(each => each.far <= far)
  return ranked.sort((a, b) => a.far - b.far)[0]?.word
}

/** ` (did you mean "x"?)` or nothing. */
export function didYouMean(typed: string, known: readonly string[]): string {
  const word = nearest(typed, known)
  return word === undefined ? '' : ` (did you mean "${word}"?)`
}
