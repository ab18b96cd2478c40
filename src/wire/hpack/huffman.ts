/** The Huffman code of RFC 7541 Appendix B, read eight bits at a time and written bit by bit. */

import { Failure } from '#base/failure'
import { latin1 } from '../text.ts'

/** How many bits each of the 256 symbols takes, one base-36 digit each. The code is canonical, so the lengths alone define it; the end of string is 30 ones. */
const lengthDigits =
  'dnsssssssoussussssssssusssssssss' +
  '6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6' +
  'f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnno' +
  'mlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrr' +
  'koklmllnmmppooqnqrqqrrrrrsrrrrrq'

const bitsOf = Uint8Array.from(lengthDigits, digit => Number.parseInt(digit, 36))
const codeOf = new Uint32Array(256)

/**
 * Tables of 256 places, one for the first eight bits of a code and one for each longer beginning that occurs. A place holds `symbol << 8 | bits` where a code
 * ends there, `-table` where it goes on in another table, and 0 where no code leads (only the end of string does).
 */
const places = new Int32Array(256 * 64)

let tables = 1
let code = 0
let length = 0
for (const symbol of [...bitsOf.keys()].sort((a, b) => bitsOf[a]! - bitsOf[b]! || a - b)) {
  code = length === 0 ? 0 : (code + 1) * 2 ** (bitsOf[symbol]! - length)
  length = bitsOf[symbol]!
  codeOf[symbol] = code
  enter(symbol, code, length)
}

function enter(symbol: number, code: number, length: number): void {
  let table = 0
  let left = length
  for (; left > 8; left -= 8) {
    const place = table * 256 + ((code >>> (left - 8)) & 255)
    if (places[place] === 0) places[place] = -tables++
    table = -places[place]!
  }
  const first = table * 256 + ((code << (8 - left)) & 255)
  for (let place = first; place < first + (1 << (8 - left)); place++) places[place] = (symbol << 8) | left
}

/** Where decoded symbols stand until they are made a string; grows with the longest string, which the size of a header block bounds. */
let scratch = Buffer.allocUnsafeSlow(4_096)

/** The shortest code has five bits. */
const mostSymbols = (bytes: number): number => Math.ceil((bytes * 8) / 5)

/** The string that stands coded in bytes[from, to). RFC 7541 §5.2: padding of eight bits or more, or other than ones, and the end of string are errors. */
export function huffmanDecoded(bytes: Uint8Array, from: number, to: number): string {
  if (mostSymbols(to - from) > scratch.length) scratch = Buffer.allocUnsafeSlow(mostSymbols(to - from) * 2)
  const out = scratch
  let count = 0
  let bits = 0
  let held = 0
  let table = 0
  for (let at = from; at < to; at++) {
    bits = ((bits << 8) | bytes[at]!) & 0xffff
    held += 8
    while (held >= 8) {
      const place = places[table + ((bits >>> (held - 8)) & 255)]!
      if (place > 0) {
        out[count++] = place >>> 8
        held -= place & 255
        table = 0
      } else if (place < 0) {
        held -= 8
        table = -place * 256
      } else throw new Failure('bad-request', 'RFC 7541 §5.2: a Huffman string holds the end of string')
    }
  }
  while (held > 0) {
    const place = places[table + ((bits << (8 - held)) & 255)]!
    if (place <= 0 || (place & 255) > held) break
    out[count++] = place >>> 8
    held -= place & 255
    table = 0
  }
  const ones = (1 << held) - 1
  if (table !== 0 || (bits & ones) !== ones) throw new Failure('bad-request', 'RFC 7541 §5.2: the padding of a Huffman string is wrong')
  return latin1(out, 0, count)
}

/** How many bytes the text takes when coded. */
export function huffmanLength(text: string): number {
  let bits = 0
  for (let at = 0; at < text.length; at++) bits += bitsOf[text.charCodeAt(at)]!
  return (bits + 7) >>> 3
}

/** Writes the text coded, padded with ones. Every character must be below U+0100. Returns the place after it. */
export function putHuffman(into: Uint8Array, at: number, text: string): number {
  let bits = 0
  let held = 0
  for (let index = 0; index < text.length; index++) {
    const symbol = text.charCodeAt(index)
    let left = bitsOf[symbol]!
    const code = codeOf[symbol]!
    while (left > 0) {
      const taken = Math.min(left, 24 - held)
      bits = (bits << taken) | ((code >>> (left - taken)) & ((1 << taken) - 1))
      held += taken
      left -= taken
      while (held >= 8) {
        held -= 8
        into[at++] = bits >>> held
      }
      bits &= 255
    }
  }
  if (held > 0) into[at++] = (bits << (8 - held)) | ((1 << (8 - held)) - 1)
  return at
}
