/** Writes header fields as a block (RFC 7541 §6), each in the shortest form that the table allows, and keeps the table that the reader builds up from it. */

import { putLatin1 } from '../text.ts'
import { initialTableSize } from './decode.ts'
import { entryOverhead } from './entry.ts'
import { type HeaderName, slots } from './header-name.ts'
import { huffmanLength, putHuffman } from './huffman.ts'
import { putInteger } from './integer.ts'
import { staticCount, staticTable } from './static.ts'

/** An entry of the writer's table. `older`: the next one in the same slot. */
class Row {
  readonly name: string
  readonly value: string
  readonly slot: number
  readonly size: number
  /** How many were inserted before it. */
  readonly number: number
  older: Row | undefined
  constructor(name: HeaderName, value: string, size: number, number: number, older: Row | undefined) {
    this.name = name.lower
    this.value = value
    this.slot = name.slot
    this.size = size
    this.number = number
    this.older = older
  }
}

/** An entry that takes more than this part of the table would drive out too many others. */
const largestPart = 4
/** A query makes a path likely to come once only. */
const isOneOff = (name: string, value: string): boolean => name === ':path' && value.includes('?')
/** RFC 7541 §7.1.3: a short cookie can be guessed. */
const shortCookie = 20

/** RFC 9110 §5.5: whether a field may have this value. A loop is faster than a pattern up to some hundred characters (bench/codec-http2.ts). */
export function isWritable(value: string): boolean {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at)
    if (code < 0x20 ? code !== 0x09 : code === 0x7f || code > 0xff) return false
  }
  return true
}

export class Encoder {
  readonly #ownLimit: number
  #maxSize: number
  #size = 0
  #newestOf: (Row | undefined)[] | undefined
  #lastOf: string[] = []
  #rows: (Row | undefined)[] = []
  #oldest = 0
  #inserted = 0
  /** The smallest size since the last block, when the size changed; undefined: no update is owed. */
  #smallest: number | undefined

  /** ownLimit: the largest table that this end cares to keep, whatever the peer allows. */
  constructor(ownLimit: number = initialTableSize) {
    this.#ownLimit = ownLimit
    this.#maxSize = initialTableSize
    if (ownLimit < initialTableSize) this.allow(ownLimit)
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. The next block begins by acknowledging a change of it (RFC 7541 §4.2). */
  allow(tableSize: number): void {
    const size = Math.min(tableSize, this.#ownLimit)
    if (size === this.#maxSize && this.#smallest === undefined) return
    this.#smallest = Math.min(this.#smallest ?? size, size)
    this.#maxSize = size
    this.#evict(0)
  }

  /** Begins a block: at most 12 bytes. Returns the place after them. */
  begin(into: Uint8Array, at: number): number {
    if (this.#smallest === undefined) return at
    if (this.#smallest < this.#maxSize) at = putInteger(into, at, 0x20, 5, this.#smallest)
    this.#smallest = undefined
    return putInteger(into, at, 0x20, 5, this.#maxSize)
  }

  /** What was written since begin() is thrown away. The table of the reader lacks what it put into this one, so both begin anew. */
  abandon(): void {
    this.#smallest = 0
    this.#evict(this.#maxSize)
  }

  /**
   * Writes one field at `at`, where `fieldRoom(name, value)` bytes must be free, and returns the place after it. Throws an Error when the value holds what no
   * field may (RFC 9110 §5.5): a bug of the caller.
   */
  field(into: Uint8Array, at: number, name: HeaderName, value: string): number {
    const newest = this.#newestOf?.[name.slot]
    let row = newest
    for (; row !== undefined; row = row.older)
      if (row.value === value && row.name === name.lower) return putInteger(into, at, 0x80, 7, this.#indexOf(row))
    for (let index = name.staticIndex, last = index + name.staticEntries; index < last; index++)
      if (staticTable[index]!.value === value) return putInteger(into, at, 0x80, 7, index)
    if (!isWritable(value)) throw new Error(`HTTP/2 codec: the value of ${name.lower} cannot be written (RFC 9110 §5.5)`)

    let nameIndex = name.staticIndex
    if (nameIndex === 0)
      for (row = newest; row !== undefined; row = row.older)
        if (row.name === name.lower) {
          nameIndex = this.#indexOf(row)
          break
        }
    const isSecret = name.indexing === 'never' || (name.lower === 'cookie' && value.length < shortCookie)
    const isKept = !isSecret && this.#isWorthKeeping(name, value)
    at = isKept ? putInteger(into, at, 0x40, 6, nameIndex) : putInteger(into, at, isSecret ? 0x10 : 0, 4, nameIndex)
    if (nameIndex === 0) {
      into.set(name.literal, at)
      at += name.literal.length
    }
    if (!isKept) return putPlain(into, at, value)
    this.#insert(name, value)
    const coded = huffmanLength(value)
    return coded < value.length ? putHuffman(into, putInteger(into, at, 0x80, 7, coded), value) : putPlain(into, at, value)
  }

  #indexOf(row: Row): number {
    return staticCount + this.#inserted - row.number
  }

  #isWorthKeeping(name: HeaderName, value: string): boolean {
    if (name.indexing === 'once' || sizeOf(name, value) * largestPart > this.#maxSize || isOneOff(name.lower, value)) return false
    if (name.indexing === 'always') return true
    if (this.#lastOf[name.slot] === value) return true
    if (this.#lastOf.length === 0) this.#lastOf = Array.from({ length: slots }, () => '')
    this.#lastOf[name.slot] = value
    return false
  }

  #insert(name: HeaderName, value: string): void {
    const size = sizeOf(name, value)
    this.#evict(size)
    this.#newestOf ??= Array.from({ length: slots })
    const row = new Row(name, value, size, this.#inserted++, this.#newestOf[name.slot])
    this.#newestOf[name.slot] = row
    this.#rows.push(row)
    this.#size += size
  }

  #evict(needed: number): void {
    while (this.#size + needed > this.#maxSize && this.#oldest < this.#rows.length) {
      const row = this.#rows[this.#oldest]!
      this.#rows[this.#oldest++] = undefined
      this.#size -= row.size
      this.#unlink(row)
    }
    if (this.#oldest > 256) {
      this.#rows = this.#rows.slice(this.#oldest)
      this.#oldest = 0
    }
  }

  /** The oldest row of all is the last of its chain. */
  #unlink(row: Row): void {
    const chains = this.#newestOf!
    let before = chains[row.slot]
    if (before === row) chains[row.slot] = undefined
    else {
      while (before!.older !== row) before = before!.older
      before!.older = undefined
    }
  }
}

const sizeOf = (name: HeaderName, value: string): number => name.lower.length + value.length + entryOverhead

/** The most bytes that `field` writes. */
export const fieldRoom = (name: string, value: string): number => name.length + value.length + 16

function putPlain(into: Uint8Array, at: number, text: string): number {
  const { length } = text
  at = putInteger(into, at, 0, 7, length)
  if (length > 16) return at + putLatin1(into, text, at)
  for (let index = 0; index < length; index++) into[at++] = text.charCodeAt(index)
  return at
}
