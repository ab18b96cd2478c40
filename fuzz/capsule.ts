/** Fuzz target of capsules: what is written is read again, cutting changes nothing, and what is kept is bounded. */

import assert from 'node:assert/strict'
import { type CapsuleEvent, CapsuleReader, datagramCapsule, maxDatagramBytes } from '../src/wire/capsule.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import { run } from './run.ts'

const pieces = ['00', '0000', '000100', '0040', '4000', '80010000', 'c000000000000001', 'ffffffffffffffff', '1703ffffff'].map(text =>
  Uint8Array.from(Buffer.from(text, 'hex')),
)

/**
 * 1. What is written is read again as it was.
 * 2. However it is cut, the same is said of damaged bytes; nothing is thrown.
 * 3. No datagram is longer than a packet carries; `failed` comes once and last.
 */
export function check(seed: number): void {
  const random = new Random(seed)
  const payloads = Array.from({ length: random.below(5) }, () => new Uint8Array(sizeOf(random)).fill(random.below(256)))
  const written = Buffer.concat(payloads.map(datagramCapsule))
  assert.deepEqual(
    readIn(random, written),
    payloads.map(bytes => ({ type: 'datagram', bytes })),
  )
  const damaged = mutate(random, written, pieces)
  const whole = new CapsuleReader()
  const events = plain([...whole.receive(damaged), ...whole.receiveEnd()])
  assert.deepEqual(readIn(random, damaged), events)
  for (const [at, event] of events.entries())
    if (event.type === 'failed') assert.equal(at, events.length - 1)
    else assert.ok(event.bytes.length <= maxDatagramBytes)
}

const sizeOf = (random: Random): number => random.pick([0, 1, 62, 63, 64, random.below(2000), random.below(2000), 16_383])

function readIn(random: Random, bytes: Uint8Array): readonly CapsuleEvent[] {
  const reader = new CapsuleReader()
  const events: CapsuleEvent[] = []
  for (let at = 0; at < bytes.length; ) {
    const next = at + 1 + random.below(random.pick([1, 3, 700, 5000]))
    events.push(...reader.receive(bytes.subarray(at, next)))
    at = next
  }
  return plain([...events, ...reader.receiveEnd()])
}

const plain = (events: readonly CapsuleEvent[]): readonly CapsuleEvent[] =>
  events.map(event => (event.type === 'datagram' ? { type: 'datagram', bytes: Uint8Array.from(event.bytes) } : event))

if (import.meta.main) run('capsule', check)
