/** How often a peer may do what costs us and gives nothing: work that it lets us finish and time that passes earn it more. */

export class Budget {
  readonly #most: number
  readonly #perSecond: number
  #left: number

  constructor(most: number, perSecond: number) {
    this.#most = most
    this.#perSecond = perSecond
    this.#left = most
  }

  /** False: it is used up. */
  spend(): boolean {
    return --this.#left >= 0
  }

  earn(count: number): void {
    if (this.#left < this.#most) this.#left = Math.min(this.#most, this.#left + count)
  }

  passed(seconds: number): void {
    this.earn(seconds * this.#perSecond)
  }
}
