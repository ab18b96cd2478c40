/** How many answers of each endpoint there were in an interval, and how many of them were good. */

/** good: of total. */
export type Tally = { readonly address: string; readonly total: number; readonly good: number }
type Counts = { total: number; good: number; localTotal: number; localGood: number }

export class Tallies {
  readonly #splits: boolean
  readonly #intervalMs: number
  #counts = new Map<string, Counts>()
  #dueAt: number | undefined

  /** splits: what gave no answer counts by itself, and not as a bad answer. */
  constructor(splits: boolean, intervalMs: number) {
    this.#splits = splits
    this.#intervalMs = intervalMs
  }

  /** End of the interval; undefined while nothing was counted. */
  get dueAt(): number | undefined {
    return this.#dueAt
  }

  /** status: undefined where there was no answer. now: ms. */
  add(address: string, status: number | undefined, now: number): void {
    this.#dueAt ??= now + this.#intervalMs
    let counts = this.#counts.get(address)
    if (counts === undefined) this.#counts.set(address, (counts = { total: 0, good: 0, localTotal: 0, localGood: 0 }))
    counts.localTotal++
    if (status !== undefined) counts.localGood++
    if (status === undefined && this.#splits) return
    counts.total++
    if (status !== undefined && status < 500) counts.good++
  }

  /** What was counted; the next interval begins with the next answer. */
  take(): { readonly external: readonly Tally[]; readonly local: readonly Tally[] } {
    const counted = [...this.#counts]
    this.#counts = new Map()
    this.#dueAt = undefined
    return {
      external: counted.flatMap(([address, { total, good }]) => (total === 0 ? [] : [{ address, total, good }])),
      local: counted.map(([address, { localTotal, localGood }]) => ({ address, total: localTotal, good: localGood })),
    }
  }
}
