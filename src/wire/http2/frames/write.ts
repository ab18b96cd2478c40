/** Writes the frames that are not heads or data, RFC 9113 §6. */

import { putLatin1 } from '../../text.ts'
import { flags, frameTypes } from '../codes.ts'
import type { Output } from '../output.ts'

export const frameHeader = 9

export function putFrameHeader(into: Uint8Array, at: number, length: number, type: number, flag: number, stream: number): void {
  into[at] = length >>> 16
  into[at + 1] = length >>> 8
  into[at + 2] = length
  into[at + 3] = type
  into[at + 4] = flag
  put32(into, at + 5, stream)
}

function put32(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 24
  into[at + 1] = value >>> 16
  into[at + 2] = value >>> 8
  into[at + 3] = value
}

/** Begins a frame of `length` bytes of payload; returns where the payload goes. */
function begin(output: Output, length: number, type: number, flag: number, stream: number): number {
  output.reserve(frameHeader + length)
  const { at } = output
  putFrameHeader(output.bytes, at, length, type, flag, stream)
  output.at = at + frameHeader + length
  return at + frameHeader
}

export function writeReset(output: Output, stream: number, code: number): void {
  const at = begin(output, 4, frameTypes.reset, 0, stream)
  put32(output.bytes, at, code)
}

export function writeWindowUpdate(output: Output, stream: number, increment: number): void {
  const at = begin(output, 4, frameTypes.windowUpdate, 0, stream)
  put32(output.bytes, at, increment)
}

export function writeSettings(output: Output, settings: readonly (readonly [number, number])[]): void {
  let at = begin(output, settings.length * 6, frameTypes.settings, 0, 0)
  for (const [id, value] of settings) {
    output.bytes[at] = id >>> 8
    output.bytes[at + 1] = id
    put32(output.bytes, at + 2, value)
    at += 6
  }
}

export function writeSettingsAck(output: Output): void {
  begin(output, 0, frameTypes.settings, flags.ack, 0)
}

/** A ping of our own: eight bytes, of which the first four say what it is for. */
export function writePing(output: Output, purpose: number, token: number): void {
  const at = begin(output, 8, frameTypes.ping, 0, 0)
  put32(output.bytes, at, purpose)
  put32(output.bytes, at + 4, token)
}

export function writePong(output: Output, bytes: Uint8Array, from: number): void {
  const at = begin(output, 8, frameTypes.ping, flags.ack, 0)
  for (let index = 0; index < 8; index++) output.bytes[at + index] = bytes[from + index]!
}

export function writeGoaway(output: Output, last: number, code: number, detail: string): void {
  const at = begin(output, 8 + detail.length, frameTypes.goaway, 0, 0)
  put32(output.bytes, at, last)
  put32(output.bytes, at + 4, code)
  if (detail !== '') putLatin1(output.bytes, detail, at + 8)
}
