/** Large buffers that are kept for reading, a bounded number of them: making and collecting one for each read costs more than the read. */

/** Larger than a core's nearest caches gain little: measured with 64 KiB to 1 MiB (bench: tcp-bulk). */
export const keptBytes = 262_144
/** Together 16 MiB; whoever gets none reads in small pieces. */
const mostKept = 64

/** Who has a buffer and might do without. */
export type Holder = {
  /** Gives its buffer back if it has not used it for a while. */
  readonly yieldIdle: () => void
}

export class KeptBuffers {
  readonly #free: Buffer[] = []
  readonly #holders = new Set<Holder>()
  #made = 0

  /** Undefined: all are in use. */
  take(holder: Holder): Buffer | undefined {
    if (this.#free.length === 0 && this.#made >= mostKept) for (const other of this.#holders) other.yieldIdle()
    const kept = this.#free.pop() ?? this.#make()
    if (kept !== undefined) this.#holders.add(holder)
    return kept
  }

  #make(): Buffer | undefined {
    if (this.#made >= mostKept) return undefined
    this.#made++
    // Not of Node's pool of small buffers, and its pages are taken from the system only when they are written to.
    return Buffer.allocUnsafeSlow(keptBytes)
  }

  /** Nobody reads into it or writes from it any more. */
  give(kept: Buffer): void {
    this.#free.push(kept)
  }

  /** A write of it was cut short, and nobody can say when the system is done with it: it is left to the collector. */
  lose(): void {
    this.#made--
  }

  /** The holder has given or lost all it had. */
  leave(holder: Holder): void {
    this.#holders.delete(holder)
  }
}

export const keptBuffers = new KeptBuffers()
