/** Writes a message of protobuf from front to back into one array that is used again: lengths of what is inside are filled in when it is known how long it is. */

export class Writer {
  #bytes = Buffer.allocUnsafeSlow(4096)
  #at = 0

  begin(): void {
    this.#at = 0
  }

  /** What was written since `begin`, as a copy. */
  take(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#bytes, 0, this.#at)
  }

  /** value: whole, below 2⁵³; one below zero takes ten bytes (int64). */
  number(field: number, value: number): void {
    this.#room(20)
    this.#varint(field * 8)
    if (value >= 0) return this.#varint(value)
    let rest = BigInt.asUintN(64, BigInt(value))
    for (; rest > 127n; rest >>= 7n) this.#bytes[this.#at++] = Number(rest & 127n) | 128
    this.#bytes[this.#at++] = Number(rest)
  }

  /** fixed64, of microseconds. */
  nanoseconds(field: number, us: number): void {
    this.#room(18)
    this.#varint(field * 8 + 1)
    this.#at = this.#bytes.writeBigUInt64LE(BigInt(us) * 1000n, this.#at)
  }

  fixed32(field: number, value: number): void {
    this.#room(14)
    this.#varint(field * 8 + 5)
    this.#at = this.#bytes.writeUInt32LE(value, this.#at)
  }

  text(field: number, value: string): void {
    const length = Buffer.byteLength(value)
    this.#room(20 + length)
    this.#varint(field * 8 + 2)
    this.#varint(length)
    this.#at += this.#bytes.write(value, this.#at)
  }

  hex(field: number, value: string): void {
    this.#room(20 + value.length)
    this.#varint(field * 8 + 2)
    this.#varint(value.length / 2)
    this.#at += this.#bytes.write(value, this.#at, 'hex')
  }

  bytes(field: number, value: Uint8Array): void {
    this.#room(20 + value.length)
    this.#varint(field * 8 + 2)
    this.#varint(value.length)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  /** One byte is left for the length, which is enough for most; the others are moved on. */
  message(field: number, write: () => void): void {
    this.#room(20)
    this.#varint(field * 8 + 2)
    const start = this.#at + 1
    this.#at = start
    write()
    const length = this.#at - start
    const more = length < 128 ? 0 : Math.floor(Math.log2(length) / 7)
    this.#room(more)
    if (more > 0) this.#bytes.copyWithin(start + more, start, this.#at)
    this.#at = start - 1
    this.#varint(length)
    this.#at += length
  }

  #varint(value: number): void {
    let rest = value
    for (; rest > 127; rest = Math.floor(rest / 128)) this.#bytes[this.#at++] = (rest % 128) | 128
    this.#bytes[this.#at++] = rest
  }

  #room(length: number): void {
    if (this.#at + length <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#at + length))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}
