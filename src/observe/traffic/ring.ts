/** The last ten minutes of a few numbers, one row per step of five seconds, in memory that never grows. */

export const stepMs = 5_000
export const stepCount = 120

export const stepOf = (at: number): number => Math.floor(at / stepMs)

/** `width` numbers a step. A step that was never written reads as zeros; one that has left the window is neither read nor written. */
export class Ring {
  readonly width: number
  #cells: Float64Array
  /** Which step each row holds; a row is cleared when a newer step takes it over. */
  #holds = new Float64Array(stepCount).fill(-1)

  constructor(width: number) {
    this.width = width
    this.#cells = new Float64Array(width * stepCount)
  }

  add(step: number, column: number, amount: number): void {
    const at = this.#row(step)
    if (at !== undefined) this.#cells[at + column] = this.#cells[at + column]! + amount
  }

  set(step: number, column: number, value: number): void {
    const at = this.#row(step)
    if (at !== undefined) this.#cells[at + column] = value
  }

  get(step: number, column: number): number {
    const row = step % stepCount
    return this.#holds[row] === step ? this.#cells[row * this.width + column]! : 0
  }

  /** Sum of one column over the steps from `first` to `last`, both included. */
  sum(first: number, last: number, column: number): number {
    let total = 0
    for (let step = Math.max(first, last - stepCount + 1); step <= last; step++) total += this.get(step, column)
    return total
  }

  /** Adds what another ring of the same width holds. */
  absorb(other: Ring): void {
    for (const [row, step] of other.#holds.entries()) {
      if (step < 0) continue
      for (let at = 0; at < this.width; at++) this.add(step, at, other.#cells[row * this.width + at]!)
    }
  }

  #row(step: number): number | undefined {
    const row = step % stepCount
    const held = this.#holds[row]!
    if (held > step) return undefined
    if (held < step) {
      this.#holds[row] = step
      this.#cells.fill(0, row * this.width, (row + 1) * this.width)
    }
    return row * this.width
  }
}

/**
 * Shares an amount that was counted between two moments among the steps that it spans, by time: a proxy that could not push for a minute
 * yields a minute's plateau and not a spike.
 */
export function spread(from: number, to: number, amount: number, credit: (step: number, part: number) => void): void {
  const start = Math.max(from, to - stepCount * stepMs)
  const first = stepOf(start)
  const last = stepOf(to)
  if (start >= to || first === last) return credit(last, amount)
  for (let step = first; step <= last; step++) {
    const overlap = Math.min(to, (step + 1) * stepMs) - Math.max(start, step * stepMs)
    if (overlap > 0) credit(step, (amount * overlap) / (to - start))
  }
}
