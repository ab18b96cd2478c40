/** Fuzz target of the detection of protocols: decided once, the same whatever comes after, and never an exception. */

import assert from 'node:assert/strict'
import { type Detected, detect } from '../src/wire/detect.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import { run } from './run.ts'

const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const starts = [
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'BREW /pot HTTP/1.1\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'PING\r\n',
  'SET a b\r\n',
].map(latin1)
const pieces = ['\r', '\n', ' ', '\0', '\xff', '\x16', '\x03', '\x01', '\0\0', '\x40\0', 'HTTP/1.1', '/', 'GET ', 'PRI * HTTP/2.0'].map(
  latin1,
)

/**
 * 1. More bytes never change a decision, only the names of a TLS hello may be missed.
 * 2. A hello that is whole tells its names however it is cut into records.
 */
export function check(seed: number): void {
  const random = new Random(seed)
  const sni = random.pick([undefined, 'a.example', 'x'.repeat(200)])
  const hello = clientHello(sni, random.pick([undefined, ['h2'], ['h2', 'http/1.1']]))
  assert.deepEqual(detect(records(random, hello)).sni, sni)
  const bytes = mutate(random, random.chance(0.5) ? random.pick(starts) : records(random, hello), pieces)
  let decided: Detected | undefined
  for (let length = 0; length <= bytes.length; length++) {
    const found = detect(bytes.subarray(0, length))
    if (decided !== undefined) assert.deepEqual(found, decided, `after ${length} bytes`)
    if (found.kind !== 'more') decided = found
  }
}

function clientHello(sni: string | undefined, alpn: readonly string[] | undefined): Buffer {
  const extensions = Buffer.concat([
    sni === undefined ? latin1('') : extension(0, short(sni.length + 3), latin1('\0'), short(sni.length), latin1(sni)),
    extension(43, latin1('\x02\x03\x04')),
    alpn === undefined
      ? latin1('')
      : extension(16, short(alpn.join(' ').length + 1), ...alpn.flatMap(name => [Uint8Array.of(name.length), latin1(name)])),
  ])
  const body = Buffer.concat([
    latin1('\x03\x03'),
    Buffer.alloc(32, 7),
    latin1('\0'),
    short(4),
    latin1('\x13\x01\x13\x02'),
    latin1('\x01\0'),
    short(extensions.length),
    extensions,
  ])
  return Buffer.concat([latin1('\x01\0'), short(body.length), body])
}

function extension(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([short(type), short(body.length), body])
}

const short = (number: number): Uint8Array => Uint8Array.of(number >> 8, number & 0xff)

function records(random: Random, handshake: Uint8Array): Buffer {
  const parts: Uint8Array[] = []
  for (let at = 0; at < handshake.length; ) {
    const size = 1 + random.below(random.pick([3, 60, 1_000]))
    const part = handshake.subarray(at, at + size)
    parts.push(latin1('\x16\x03\x01'), short(part.length), part)
    at += size
  }
  return Buffer.concat(parts)
}

if (import.meta.main) run('detect', check)
