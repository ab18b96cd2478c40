/** Decoded resources that several clients of one process share: what is the same, byte for byte, is decoded once and held once. */

import type { Part } from '../decode.ts'

/** Parts are plain data that nobody changes, so that sharing one shows nowhere. Those that no client holds any more are forgotten. */
export class Shelf {
  readonly #parts = new Map<string, WeakRef<Part>>()
  readonly #text = new TextDecoder('latin1') // a character for each byte
  readonly #gone = new FinalizationRegistry((key: string) => {
    if (this.#parts.get(key)?.deref() === undefined) this.#parts.delete(key)
  })

  /** decode is asked when these bytes are new here; what it refuses is not kept. */
  find<Refused>(typeUrl: string, name: string, body: Uint8Array, decode: () => { part: Part } | Refused): { part: Part } | Refused {
    const key = `${typeUrl} ${name} ${this.#text.decode(body)}`
    const part = this.#parts.get(key)?.deref()
    if (part !== undefined) return { part }
    const decoded = decode()
    if (typeof decoded === 'object' && decoded !== null && 'part' in decoded) {
      this.#parts.set(key, new WeakRef(decoded.part))
      this.#gone.register(decoded.part, key)
    }
    return decoded
  }

  get size(): number {
    return this.#parts.size
  }
}
