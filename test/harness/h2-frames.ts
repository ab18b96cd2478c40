/** HTTP/2 frames made by hand, for tests that play a peer which a codec would not play. */

import { Encoder, fieldRoom, HeaderName } from '../../src/wire/hpack.ts'

export const preface: Uint8Array = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

export const types = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = Buffer.alloc(9 + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(stream, 5)
  bytes.set(payload, 9)
  return bytes
}

export function number32(...values: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value, at * 4)
  return bytes
}

export function settings(...pairs: readonly (readonly [number, number])[]): Uint8Array {
  const payload = Buffer.alloc(pairs.length * 6)
  for (const [at, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, at * 6)
    payload.writeUInt32BE(value, at * 6 + 2)
  }
  return frame(types.settings, 0, 0, payload)
}

export const settingsAck: Uint8Array = frame(types.settings, 1, 0)
export const windowUpdate = (stream: number, by: number): Uint8Array => frame(types.windowUpdate, 0, stream, number32(by))
export const reset = (stream: number, code: number): Uint8Array => frame(types.reset, 0, stream, number32(code))
export const ping = (isAck = false, token = 7): Uint8Array => frame(types.ping, isAck ? 1 : 0, 0, number32(0, token))
export const goaway = (last: number, code: number): Uint8Array => frame(types.goaway, 0, 0, number32(last, code))
export const data = (stream: number, bytes: Uint8Array | string, isEnd = false): Uint8Array =>
  frame(types.data, isEnd ? 1 : 0, stream, typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)

/** A header block that needs no table: names as they are given, also wrong ones. */
export function block(fields: readonly string[]): Uint8Array {
  const parts = fields.map(text => {
    const bytes = Buffer.from(text, 'latin1')
    const length =
      bytes.length < 127
        ? [bytes.length]
        : [127, ((bytes.length - 127) & 127) | 128, (((bytes.length - 127) >> 7) & 127) | 128, (bytes.length - 127) >> 14]
    return Buffer.concat([Uint8Array.from(length), bytes])
  })
  return Buffer.concat(parts.map((part, at) => (at % 2 === 0 ? Buffer.concat([Uint8Array.of(0), part]) : part)))
}

/** flags besides END_HEADERS: END_STREAM with isEnd. */
export const headers = (stream: number, fields: readonly string[], isEnd = true): Uint8Array =>
  frame(types.headers, isEnd ? 5 : 4, stream, block(fields))

/** Blocks as a client or server writes them, with a table. */
export class Blocks {
  readonly #encoder = new Encoder()
  of(fields: readonly string[]): Uint8Array {
    let room = 12
    for (let at = 0; at < fields.length; at += 2) room += fieldRoom(fields[at]!, fields[at + 1]!)
    const into = Buffer.alloc(room)
    let at = this.#encoder.begin(into, 0)
    for (let index = 0; index < fields.length; index += 2)
      at = this.#encoder.field(into, at, new HeaderName(fields[index]!), fields[index + 1]!)
    return into.subarray(0, at)
  }
}

export type Frame = { readonly type: number; readonly flags: number; readonly stream: number; readonly payload: Buffer }

/** What a codec wrote, cut into frames; its preface, where it is a client's, is left out. */
export function framesOf(pieces: readonly Uint8Array[]): Frame[] {
  let bytes = Buffer.concat(pieces)
  if (bytes.subarray(0, preface.length).equals(preface)) bytes = bytes.subarray(preface.length)
  const frames: Frame[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUIntBE(at, 3)
    frames.push({
      type: bytes[at + 3]!,
      flags: bytes[at + 4]!,
      stream: bytes.readUInt32BE(at + 5),
      payload: bytes.subarray(at + 9, at + 9 + length),
    })
    at += 9 + length
  }
  return frames
}

const typeNames = Object.keys(types)

/** A frame in a word or two: `reset 1 5`, `data 3 12 end`, `goaway 0 11` … */
export function told({ type, flags, stream, payload }: Frame): string {
  const name = typeNames[type]!
  if (type === types.reset) return `reset ${stream} ${payload.readUInt32BE()}`
  if (type === types.windowUpdate) return `windowUpdate ${stream} ${payload.readUInt32BE()}`
  if (type === types.goaway) return `goaway ${payload.readUInt32BE()} ${payload.readUInt32BE(4)}`
  if (type === types.settings || type === types.ping) return flags & 1 ? `${name} ack` : name
  return `${name} ${stream} ${payload.length}${flags & 1 ? ' end' : ''}`
}
