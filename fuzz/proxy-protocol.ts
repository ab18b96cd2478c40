/** Fuzz target of the PROXY protocol: decided once, the same whatever comes after, bounded, and written again as it was read. */

import assert from 'node:assert/strict'
import { addressText } from '../src/wire/dns/address.ts'
import { type Address, type ProxyRead, readProxyHeader, writeProxyHeader } from '../src/wire/proxy-protocol.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import { run } from './run.ts'

const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const pieces = [
  '\r',
  '\n',
  ' ',
  '\0',
  '\xff',
  '\x21',
  '\x20',
  '\x11',
  '\0\x0c',
  '\x02\0\x03abc',
  '\x03\0\x04',
  'PROXY ',
  'TCP6',
  ':',
  '.',
  '65536',
].map(latin1)
const longest = 16 + 4_096

/**
 * 1. Nothing is thrown, and more bytes never change a decision.
 * 2. No more than the bound is waited for.
 * 3. What was read is written and read again as the same, in both versions.
 */
export function check(seed: number): void {
  const random = new Random(seed)
  const hostBytes = random.pick([4, 16])
  const address = (): Address => ({ host: addressText(bytesOf(random, hostBytes))!, port: random.below(65_536) })
  const ends = random.chance(0.1) ? undefined : { source: address(), destination: address() }
  const tlvs = { ...(random.chance(0.5) ? { authority: 'a.example' } : {}), ...(random.chance(0.5) ? { uniqueId: latin1('0123') } : {}) }
  const written = writeProxyHeader(random.pick(['v1', 'v2']), ends, tlvs)
  assert.deepEqual(endsOf(readProxyHeader(written)), ends)
  const bytes = mutate(random, Buffer.concat([written, latin1(random.pick(['', 'GET / HTTP/1.1\r\n', '\0\0\0']))]), pieces)
  let decided: ProxyRead | undefined
  for (let length = 0; length <= bytes.length; length++) {
    const read = readProxyHeader(bytes.subarray(0, length))
    if (decided !== undefined) assert.deepEqual(read, decided, `after ${length} bytes`)
    if (read.kind !== 'more') decided ??= read
    else assert.ok(length < longest)
  }
  if (decided?.kind !== 'header') return
  assert.ok(decided.length <= bytes.length)
  for (const version of ['v1', 'v2'] as const)
    assert.deepEqual(endsOf(readProxyHeader(writeProxyHeader(version, decided.header.ends))), decided.header.ends)
}

const endsOf = (read: ProxyRead) => (read.kind === 'header' ? read.header.ends : read)

const bytesOf = (random: Random, count: number): Uint8Array =>
  Uint8Array.from({ length: count }, () => random.pick([0, 0, random.below(256)]))

if (import.meta.main) run('proxy-protocol', check)
