/** Reads header blocks (RFC 7541 §6) and keeps the table that they build up. */

import { Failure } from '#base/failure'
import { latin1 } from '../text.ts'
import { Entry } from './entry.ts'
import { huffmanDecoded } from './huffman.ts'
import { staticCount, staticTable } from './static.ts'
import { DynamicTable } from './table.ts'

/** Who is told the fields of a block, in order. What it keeps of a list that grows too large is its own affair: the table stays in step whatever it does. */
export interface FieldSink {
  field(entry: Entry): void
}

/** RFC 7540 §6.5.2: what both ends assume until a setting says otherwise. */
export const initialTableSize = 4_096

export class Decoder {
  readonly #table: DynamicTable
  /** What the peer may make of the table: our SETTINGS_HEADER_TABLE_SIZE once it has been acknowledged. */
  #limit = initialTableSize
  #owesUpdate = false
  #bytes: Uint8Array = Buffer.alloc(0)
  #at = 0
  #to = 0

  constructor() {
    this.#table = new DynamicTable(initialTableSize)
  }

  /** The peer has acknowledged this limit. RFC 7541 §4.2: where its table is larger, its next block must begin by saying that it is not any more. */
  allow(tableSize: number): void {
    this.#limit = tableSize
    if (tableSize < this.#table.maxSize) this.#owesUpdate = true
  }

  /** Tells the sink every field in bytes[from, to), which is one whole block. Throws a Failure when the block is broken: the connection can then not go on (RFC 9113 §4.3). */
  decode(bytes: Uint8Array, from: number, to: number, sink: FieldSink): void {
    this.#bytes = bytes
    this.#at = from
    this.#to = to
    if (to > from) this.#readUpdates()
    while (this.#at < to) {
      const first = bytes[this.#at]!
      if (first >= 0x80) sink.field(this.#entry(this.#integer(0x7f)))
      else if (first >= 0x40) {
        const entry = this.#literal(0x3f)
        this.#table.insert(entry)
        sink.field(entry)
      } else if (first < 0x20) sink.field(this.#literal(0x0f))
      else throw new Failure('bad-request', 'RFC 7541 §4.2: a table size update inside a header block')
    }
  }

  #readUpdates(): void {
    for (; this.#at < this.#to && (this.#bytes[this.#at]! & 0xe0) === 0x20; this.#owesUpdate = false) {
      const size = this.#integer(0x1f)
      if (size > this.#limit) throw new Failure('bad-request', `RFC 7541 §6.3: a table of ${size} bytes, ${this.#limit} are allowed`)
      this.#table.resize(size)
    }
    if (this.#owesUpdate) throw new Failure('bad-request', 'RFC 7541 §4.2: the table size update that the settings ask for is missing')
  }

  #entry(index: number): Entry {
    const entry = index > staticCount ? this.#table.at(index - staticCount - 1) : index > 0 ? staticTable[index] : undefined
    if (entry === undefined) throw new Failure('bad-request', `RFC 7541 §2.3.3: no table has the index ${index}`)
    return entry
  }

  #literal(mask: number): Entry {
    const index = this.#integer(mask)
    const name = index === 0 ? this.#string() : this.#entry(index).name
    return new Entry(name, this.#string())
  }

  #string(): string {
    if (this.#at >= this.#to) throw truncated()
    const isCoded = this.#bytes[this.#at]! >= 0x80
    const length = this.#integer(0x7f)
    const from = this.#at
    const to = from + length
    if (to > this.#to) throw truncated()
    this.#at = to
    return isCoded ? huffmanDecoded(this.#bytes, from, to) : latin1(this.#bytes, from, to)
  }

  /** mask: the low bits of the first byte that belong to the integer. Four more bytes at most: all that this protocol counts fits into 28 bits. */
  #integer(mask: number): number {
    let value = this.#bytes[this.#at++]! & mask
    if (value !== mask) return value
    for (let shift = 0; shift < 28; shift += 7) {
      if (this.#at >= this.#to) throw truncated()
      const byte = this.#bytes[this.#at++]!
      value += (byte & 127) << shift
      if (byte < 128) return value
    }
    throw new Failure('bad-request', 'RFC 7541 §5.1: an integer is too large')
  }
}

const truncated = (): Failure => new Failure('bad-request', 'RFC 7541 §5: a header block ends in the middle of a field')
