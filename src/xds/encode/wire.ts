/** A few protobuf fields written by hand (protobuf.dev/programming-guides/encoding), so that a resource's bytes are shared by all streams instead of written again for each. */

import { concat } from '#base/bytes'

const text = new TextEncoder()

/** A length-delimited field (wire type 2). */
export function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  return concat([varint((field << 3) | 2), varint(bytes.length), bytes])
}

/** Nothing for the empty string, as proto3 has it. */
export const textField = (field: number, value: string): Uint8Array =>
  value === '' ? new Uint8Array(0) : bytesField(field, text.encode(value))

export function varint(value: number): Uint8Array {
  const bytes: number[] = []
  while (value > 127) {
    bytes.push((value % 128) | 128)
    value = Math.floor(value / 128)
  }
  bytes.push(value)
  return Uint8Array.from(bytes)
}

/** google.protobuf.Any. */
export const anyOf = (typeUrl: string, body: Uint8Array): Uint8Array => concat([textField(1, typeUrl), bytesField(2, body)])

/** 53 bits of the content (cyrb53, public domain, by bryc): enough to tell two versions of one resource apart; not for security. */
export function hashOf(bytes: Uint8Array): string {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let at = 0; at < bytes.length; at++) {
    a = Math.imul(a ^ bytes[at]!, 2654435761)
    b = Math.imul(b ^ bytes[at]!, 1597334677)
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909)
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36)
}
