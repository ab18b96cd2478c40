/** What is owed to the peer: frames written one behind the other into pieces of memory that all connections share, and large pieces of body between them. */

import { noBytes } from '#base/bytes'

/** A body piece larger than this is not copied: a second entry in the same writev costs less. */
export const copiedAtMost = 4_096

/** Memory is taken in chunks of this size. A socket that is slow to take its bytes keeps one of them alive. */
const chunkBytes = 32_768
const leastRest = 2_048

type Chunk = { readonly bytes: Uint8Array; readonly from: number }

/** Rests of chunks, free for the next connection that writes: one that is idle holds none. */
const spare: Chunk[] = []

export class Output {
  #pieces: Uint8Array[] = []
  #from = 0
  /** Written so far: the bytes of `bytes` before `at`. Writers go on there, after reserve(). */
  bytes: Uint8Array = noBytes
  at = 0

  get isEmpty(): boolean {
    return this.at === this.#from && this.#pieces.length === 0
  }

  /** Makes room for so many bytes at `at`. */
  reserve(count: number): void {
    if (this.bytes.length - this.at >= count) return
    this.#close()
    const newest = spare.at(-1)
    const chunk = newest !== undefined && newest.bytes.length - newest.from >= count ? spare.pop() : undefined
    this.bytes = chunk?.bytes ?? Buffer.allocUnsafeSlow(Math.max(chunkBytes, count))
    this.at = this.#from = chunk?.from ?? 0
  }

  /** A piece of body: copied when small, handed on as it is when large. */
  piece(bytes: Uint8Array): void {
    if (bytes.length <= copiedAtMost) {
      this.reserve(bytes.length)
      this.bytes.set(bytes, this.at)
      this.at += bytes.length
    } else {
      if (this.at > this.#from) {
        this.#pieces.push(this.bytes.subarray(this.#from, this.at))
        this.#from = this.at
      }
      this.#pieces.push(bytes)
    }
  }

  drain(): Uint8Array[] {
    this.#close()
    const pieces = this.#pieces
    if (pieces.length > 0) this.#pieces = []
    return pieces
  }

  #close(): void {
    if (this.at > this.#from) this.#pieces.push(this.bytes.subarray(this.#from, this.at))
    if (this.bytes.length - this.at >= leastRest && spare.length < 64) spare.push({ bytes: this.bytes, from: this.at })
    this.bytes = noBytes
    this.at = this.#from = 0
  }
}
