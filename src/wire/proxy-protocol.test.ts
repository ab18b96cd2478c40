import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Ends, type ProxyRead, readProxyHeader, writeProxyHeader } from './proxy-protocol.ts'
import { crc32c } from './proxy-protocol/crc32c.ts'

const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex')
const v4: Ends = { source: { host: '192.0.2.7', port: 56324 }, destination: { host: '198.51.100.1', port: 443 } }
const v6: Ends = { source: { host: '2001:db8::7', port: 1 }, destination: { host: '::1', port: 65535 } }
const start = '0d0a0d0a000d0a515549540a'

const endsOf = (read: ProxyRead) => (read.kind === 'header' ? read.header.ends : read.kind)

describe('version 1', () => {
  //  line ── the ends that it names, or why it is none
  for (const [line, expected] of [
    ['PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n', v4],
    ['PROXY TCP6 2001:db8:0:0:0:0:0:7 ::1 1 65535\r\n', v6],
    ['PROXY UNKNOWN\r\n', undefined],
    ['PROXY UNKNOWN ffff::ffff ffff::ffff 65535 65535\r\n', undefined],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 56324 443', 'more'],
    ['PRO', 'more'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n', 'failed'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 056324 443\r\n', 'failed'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n', 'failed'],
    ['PROXY TCP4 192.0.2.007 198.51.100.1 1 443\r\n', 'failed'],
    ['PROXY TCP4 192.0.2.256 198.51.100.1 1 443\r\n', 'failed'],
    ['PROXY TCP4 ::1 ::1 1 443\r\n', 'failed'],
    ['PROXY TCP6 192.0.2.7 198.51.100.1 1 443\r\n', 'failed'],
    ['PROXY  TCP4 192.0.2.7 198.51.100.1 1 443\r\n', 'failed'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 1 443 \r\n', 'failed'],
    ['PROXY UDP4 192.0.2.7 198.51.100.1 1 443\r\n', 'failed'],
    ['proxy TCP4 192.0.2.7 198.51.100.1 1 443\r\n', 'failed'],
    ['GET / HTTP/1.1\r\n', 'failed'],
    ['PG', 'failed'],
    [`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`, undefined],
    [`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`, 'failed'],
  ] as const)
    test(`${JSON.stringify(line)} is ${JSON.stringify(expected) ?? 'unknown'}`, () =>
      assert.deepEqual(endsOf(readProxyHeader(latin1(line))), expected))

  test('is written as it is read', () => {
    assert.equal(Buffer.from(writeProxyHeader('v1', v4)).toString(), 'PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n')
    assert.equal(Buffer.from(writeProxyHeader('v1', v6)).toString(), 'PROXY TCP6 2001:db8::7 ::1 1 65535\r\n')
    assert.equal(Buffer.from(writeProxyHeader('v1', { source: v4.source, destination: v6.destination })).toString(), 'PROXY UNKNOWN\r\n')
    assert.equal(Buffer.from(writeProxyHeader('v1', undefined)).toString(), 'PROXY UNKNOWN\r\n')
    assert.throws(() => writeProxyHeader('v1', { ...v4, source: { host: 'web', port: 1 } }), /web .* not an IP address/)
  })
})

describe('version 2', () => {
  //  after the signature ── the ends that it names, or why it is none
  for (const [says, rest, expected] of [
    ['IPv4', '21 11 000c c0000207 c6336401 dc04 01bb', v4],
    ['IPv6', '21 21 0024 20010db8000000000000000000000007 00000000000000000000000000000001 0001 ffff', v6],
    ['LOCAL, whatever follows', '20 11 0003 ffffff', undefined],
    ['no family', '21 00 0000', undefined],
    ['a unix socket', `21 31 00d8 ${'00'.repeat(216)}`, undefined],
    ['TLVs that nobody knows', '21 11 0010 c0000207 c6336401 dc04 01bb ee 0001 00', v4],
    ['a header cut off', '21 11 000c c0000207', 'more'],
    ['another version', '11 11 000c c0000207 c6336401 dc04 01bb', 'failed'],
    ['another command', '22 11 000c c0000207 c6336401 dc04 01bb', 'failed'],
    ['another family', '21 41 0000', 'failed'],
    ['a length too short for its family', '21 21 000c c0000207 c6336401 dc04 01bb', 'failed'],
    ['a TLV cut off', '21 11 000e c0000207 c6336401 dc04 01bb 0200', 'failed'],
    ['a TLV past its end', '21 11 0010 c0000207 c6336401 dc04 01bb 02 0002 61', 'failed'],
    ['a wrong checksum', '21 11 0013 c0000207 c6336401 dc04 01bb 03 0004 00000000', 'failed'],
    ['more bytes than are waited for', '21 11 1001', 'failed'],
  ] as const)
    test(`with ${says} is ${JSON.stringify(expected) ?? 'unknown'}`, () =>
      assert.deepEqual(endsOf(readProxyHeader(hex(start + rest))), expected))

  test('is told from other bytes at the first that differs', () => {
    assert.equal(readProxyHeader(hex('0d0a')).kind, 'more')
    assert.equal(readProxyHeader(hex('0d0a0d0a01')).kind, 'failed')
    assert.equal(readProxyHeader(hex('160301')).kind, 'failed')
  })

  test('brings authority, ALPN and unique id, and leaves what follows it', () => {
    const written = writeProxyHeader('v2', v4, { authority: 'web.example', uniqueId: latin1('id-1') })
    const read = readProxyHeader(Buffer.concat([written, latin1('GET /')]))
    assert.deepEqual(read, {
      kind: 'header',
      header: { ends: v4, authority: 'web.example', uniqueId: Uint8Array.from(latin1('id-1')) },
      length: written.length,
    })
    const alpn = readProxyHeader(hex(`${start} 21 11 0011 c0000207 c6336401 dc04 01bb 01 0002 6832`))
    assert.equal(alpn.kind === 'header' && alpn.header.alpn, 'h2')
    const unreadable = readProxyHeader(hex(`${start} 21 11 0011 c0000207 c6336401 dc04 01bb 02 0002 0d0a`))
    assert.equal(unreadable.kind === 'header' && unreadable.header.authority, undefined)
  })

  test('with a right checksum is taken', () => {
    const bytes = hex(`${start} 21 11 0013 c0000207 c6336401 dc04 01bb 03 0004 00000000`)
    const sum = crc32c(bytes, bytes.length - 4)
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(bytes.length - 4, sum)
    assert.deepEqual(endsOf(readProxyHeader(bytes)), v4)
  })

  test('is written as it is read', () => {
    for (const ends of [v4, v6]) assert.deepEqual(endsOf(readProxyHeader(writeProxyHeader('v2', ends))), ends)
    assert.equal(Buffer.from(writeProxyHeader('v2', undefined)).toString('hex'), `${start}20000000`)
  })
})

test('the checksum is that of RFC 3720 appendix B.4', () => {
  assert.equal(crc32c(new Uint8Array(32), 99), 0x8a9136aa)
  assert.equal(crc32c(new Uint8Array(32).fill(0xff), 99), 0x62a8ab43)
})
