/** Fuzz target of HPACK: header blocks of random and damaged bytes, and messages through tables of all sizes. Whatever comes, the promises below hold. */

import assert from 'node:assert/strict'
import { Failure } from '../src/base/failure.ts'
import { Decoder, Encoder, type Entry, fieldRoom, HeaderName } from '../src/wire/hpack.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import { run } from './run.ts'

/**
 * 1. A broken block is a Failure and nothing else: no exception, no endless loop, and no more fields than bytes.
 * 2. Blocks that are read keep two readers that saw the same bytes equal.
 * 3. What is written is read as the very same fields, whatever table sizes the peer asks for on the way.
 */
export function check(seed: number): void {
  const random = new Random(seed)
  const encoder = new Encoder()
  const decoder = new Decoder()
  const readers = [new Decoder(), new Decoder()] as const
  let isSound = true
  for (let count = 1 + random.below(6); count > 0; count--) {
    if (random.chance(0.2)) {
      const allowed = random.pick([0, 33, 100, 500, 4_096])
      encoder.allow(allowed)
      for (const each of [decoder, ...readers]) each.allow(allowed)
    }
    const fields = Array.from({ length: random.below(8) }, () => [random.pick(names), value(random)]).flat()
    const written = write(encoder, fields)
    assert.deepEqual(read(decoder, written), fields)

    const damaged: Uint8Array = isSound
      ? mutate(random, written, pieces)
      : Uint8Array.from({ length: random.below(40) }, () => random.below(256))
    const [one, other] = readers.map(reader => readOrWhy(reader, damaged))
    assert.deepEqual(one, other)
    if (typeof one === 'string') isSound = false
    else assert.ok(one!.length / 2 <= damaged.length, 'more fields than bytes')
  }
}

function readOrWhy(decoder: Decoder, block: Uint8Array): string[] | string {
  try {
    return read(decoder, block)
  } catch (thrown) {
    if (thrown instanceof Failure) return thrown.detail
    throw thrown
  }
}

function read(decoder: Decoder, block: Uint8Array): string[] {
  const fields: string[] = []
  decoder.decode(block, 0, block.length, { field: ({ name, value: text }: Entry) => void fields.push(name, text) })
  return fields
}

function write(encoder: Encoder, fields: readonly string[]): Uint8Array {
  let room = 12
  for (let at = 0; at < fields.length; at += 2) room += fieldRoom(fields[at]!, fields[at + 1]!)
  const into = Buffer.alloc(room)
  let at = encoder.begin(into, 0)
  for (let index = 0; index < fields.length; index += 2) at = encoder.field(into, at, new HeaderName(fields[index]!), fields[index + 1]!)
  assert.ok(at <= room, 'more was written than there was room for')
  return into.subarray(0, at)
}

const names = [
  ':method',
  ':path',
  ':status',
  ':authority',
  'user-agent',
  'x-a',
  'x-b',
  'cookie',
  'authorization',
  'content-length',
  'set-cookie',
  'x-'.padEnd(90, 'n'),
]

const value = (random: Random): string =>
  random.pick([
    'GET',
    '/',
    '200',
    'same',
    'v'.repeat(random.below(200)),
    String.fromCharCode(...Array.from({ length: random.below(30) }, () => 0x80 + random.below(128))),
    random.next().toString(36),
    'y'.repeat(1_500),
  ])

/** Bytes that mean something in a place, to be put into others. */
const pieces = [
  '80',
  '82',
  'be',
  'ff',
  'ff8080808001',
  '40',
  '00',
  '10',
  '20',
  '3fe11f',
  '3fffff03',
  '7f',
  '0f2f',
  '8400',
  '84ffffffff',
  'ffffff7f',
  '7fffffff07',
].map(text => Buffer.from(text, 'hex'))

if (import.meta.main) run('hpack', check)
