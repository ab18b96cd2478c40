/** Work put off until the event loop has read what is there: pieces of a body that come together leave in one write (TLS gives 16 KiB at a time). */

export class Turn {
  #work: (() => unknown) | undefined

  /** Runs it once before the next turn; of several, the one given last. */
  atEnd(work: () => unknown): void {
    if (this.#work === undefined) setImmediate(this.#run)
    this.#work = work
  }

  readonly #run = (): void => {
    const work = this.#work
    this.#work = undefined
    work?.()
  }
}
