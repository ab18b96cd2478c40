import assert from 'node:assert/strict'
import { test } from 'node:test'
import { check } from '../../fuzz/capsule.ts'
import { type CapsuleEvent, CapsuleReader, datagramCapsule, maxDatagramBytes } from './capsule.ts'

const read = (...parts: readonly Uint8Array[]): readonly CapsuleEvent[] => {
  const reader = new CapsuleReader()
  return [...parts.flatMap(part => [...reader.receive(part)]), ...reader.receiveEnd()]
}
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const told = (events: readonly CapsuleEvent[]) =>
  events.map(event => (event.type === 'datagram' ? Buffer.from(event.bytes).toString('hex') : event.why))

test('a datagram is type 0, its length, context 0 and the payload (RFC 9297 §3.5, RFC 9298 §5)', () => {
  assert.deepEqual(datagramCapsule(hex('010203')), hex('00 04 00 010203'))
  assert.deepEqual(datagramCapsule(new Uint8Array(0)), hex('00 01 00'))
  assert.deepEqual(datagramCapsule(new Uint8Array(63)).subarray(0, 4), hex('00 4040 00'))
  assert.deepEqual(datagramCapsule(new Uint8Array(16_383)).subarray(0, 6), hex('00 80004000 00'))
})

test('what is written is read again, of every size of length, cut anywhere', () => {
  for (const size of [0, 1, 62, 63, 64, 1400, 16_382, 16_383, 16_384, maxDatagramBytes]) {
    const payload = new Uint8Array(size).fill(7)
    const capsule = datagramCapsule(payload)
    for (const cut of [0, 1, 2, 3, 4, 5, 6, 7, capsule.length >> 1, capsule.length - 1])
      assert.deepEqual(read(capsule.subarray(0, cut), capsule.subarray(cut)), [{ type: 'datagram', bytes: payload }], `${size} at ${cut}`)
  }
})

test('several datagrams in one piece come in order', () => {
  assert.deepEqual(told(read(hex('00 02 00 aa 00 02 00 bb 00 01 00'))), ['aa', 'bb', ''])
})

test('a capsule of another type is skipped, however long, and what follows is read (RFC 9297 §3.2)', () => {
  assert.deepEqual(told(read(hex('17 03 ffffff 00 02 00 aa'))), ['aa'])
  const reader = new CapsuleReader()
  assert.deepEqual(reader.receive(hex('ffffffffffffffff c000000001000000')), []) // 16 MiB to come, of which nothing is kept
  for (let at = 0; at < 16; at++) assert.deepEqual(reader.receive(new Uint8Array(1_048_576)), [])
  assert.deepEqual(told(reader.receive(hex('00 02 00 aa'))), ['aa'])
})

test('a datagram in a context that nobody agreed on is dropped (RFC 9298 §4)', () => {
  assert.deepEqual(told(read(hex('00 03 02 aaaa 00 02 00 bb'))), ['bb'])
})

test('numbers may be written longer than need be (RFC 9000 §16)', () => {
  assert.deepEqual(told(read(hex('4000 80000003 4000 aa'))), ['aa'])
})

test('a datagram that no packet can carry fails at its length, before any of it is kept', () => {
  assert.match(told(read(hex('00 80020000')))[0]!, /more than a packet carries/)
  assert.throws(() => datagramCapsule(new Uint8Array(maxDatagramBytes + 1)), /more than a datagram carries/)
  const value = new Uint8Array(maxDatagramBytes + 2)
  assert.match(told(read(hex('00 8000fff9'), value.subarray(0, 0xfff9)))[0]!, /more than a packet carries/)
})

test('an empty DATAGRAM, one that ends within its context id, and a stream that ends within a capsule are malformed', () => {
  assert.deepEqual(told(read(hex('00 00'))), ['a DATAGRAM capsule is empty: its context id is missing'])
  assert.deepEqual(told(read(hex('00 01 40'))), ['a DATAGRAM capsule ends within its context id'])
  for (const cut of ['00', '00 40', '00 05 00', '17 02 aa']) assert.deepEqual(told(read(hex(cut))), ['the stream ends within a capsule'])
})

test('after a failure nothing more is said', () => {
  const reader = new CapsuleReader()
  assert.equal(reader.receive(hex('00 00 00 02 00 aa')).length, 1)
  assert.deepEqual([...reader.receive(hex('00 02 00 aa')), ...reader.receiveEnd()], [])
})

test('a thousand fuzzed streams keep the promises of the reader', () => {
  for (let seed = 0; seed < 1000; seed++) check(seed)
})
