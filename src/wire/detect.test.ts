/** What the first bytes of a connection are taken for, with hellos of a real TLS client. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import tls from 'node:tls'
import { beginsHttp2, detect, isForeign } from './detect.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')

for (const [kind, texts] of Object.entries({
  http1: [
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /',
    'POST /a/b?c=d HTTP/1.1\r\n',
    'DELETE /x HTTP/1.0\n',
    'BREW /pot HTTP/1.1\r\n',
    'OPTIONS * HTTP/1.1\r\n',
    'CONNECT a:1 HTTP/1.1\r\n',
    'GET http://a/ HTTP/1.1\r\n',
    'PRI / HTTP/1.1\r\n',
    '\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET / nonsense\r\n',
    'PRI * HTTP/2.0\r\n\r\nSMX',
    'PROPFIND /dav HTTP/1.1\r\nHost: a',
  ],
  http2: ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04'],
  opaque: [
    'PING\r\n',
    '*1\r\n$4\r\nPING\r\n',
    'SET foo bar\r\n',
    'GET foo\r\n',
    'EHLO a.example\r\n',
    'SSH-2.0-OpenSSH_9.2\r\n',
    'get key\r\n',
    '\0\0\0\x08\x04\xd2\x16\x2f',
    '\r\n\r\nGET / HTTP/1.1\r\n',
    '\r\nPING\r\n',
    ' GET / HTTP/1.1\r\n',
    '\x80\x2e\x01',
    `A${'B'.repeat(40)}`,
    '\x16\x02\x01',
    '\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00',
  ],
  more: [
    '',
    '\r',
    '\r\n',
    '\r\nGET ',
    'G',
    'GET',
    'GET ',
    'P',
    'PRI * HTTP/2',
    'PRI * HTTP/2.0\r\n\r\nSM',
    'hello',
    'BREW',
    'BREW /pot',
    'BREW /pot HTTP/1.',
    'GET http://a',
    '\x16',
    '\x16\x03',
    '\x16\x03\x01\x02\x00\x01',
  ],
}))
  for (const text of texts)
    test(`${JSON.stringify(text.slice(0, 40))} is ${kind === 'more' ? 'not decided yet' : kind}`, () =>
      assert.deepEqual(detect(bytes(text)), { kind }))

test('a line without end is opaque once it is long', () => {
  assert.equal(detect(bytes(`BREW /${'a'.repeat(5_000)}`)).kind, 'more')
  assert.equal(detect(bytes(`BREW /${'a'.repeat(9_000)}`)).kind, 'opaque')
})

test('a decision does not change when more bytes come', () => {
  for (const text of [
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'PING\r\nPING\r\n',
    'BREW /pot HTTP/1.1\r\n\r\n',
    'CONNECT a:1 HTTP/1.1\r\n\r\n',
  ]) {
    const kinds = Array.from(text, (_, at) => detect(bytes(text.slice(0, at + 1))).kind).filter(kind => kind !== 'more')
    assert.equal(new Set(kinds).size, 1, text)
  }
})

async function helloOf(options: tls.ConnectionOptions): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = tls.connect({ host: '127.0.0.1', port: (server.address() as net.AddressInfo).port, ...options })
  client.on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  const parts: Buffer[] = []
  for (;;) {
    parts.push((await once(socket, 'data'))[0] as Buffer)
    const hello = Buffer.concat(parts)
    if (hello.length >= 5 + hello.readUInt16BE(3)) {
      socket.destroy()
      client.destroy()
      server.close()
      return hello
    }
  }
}

test('a TLS hello tells the server name and the protocols', async () => {
  const hello = await helloOf({ servername: 'Catalog.Shop.example', ALPNProtocols: ['h2', 'http/1.1'] })
  assert.deepEqual(detect(hello), { kind: 'tls', sni: 'catalog.shop.example', alpn: ['h2', 'http/1.1'] })
  for (let length = 1; length < hello.length; length++) assert.deepEqual(detect(hello.subarray(0, length)), { kind: 'more' })
  assert.equal(detect(Buffer.concat([hello, bytes('\x14\x03\x03\x00\x01\x01')])).sni, 'catalog.shop.example')
})

test('a TLS 1.2 hello without name and protocols is TLS', async () => {
  assert.deepEqual(detect(await helloOf({ maxVersion: 'TLSv1.2', checkServerIdentity: () => undefined })), { kind: 'tls' })
})

/** The same handshake in records of so many bytes. */
function recut(hello: Buffer, size: number): Buffer {
  const body = hello.subarray(5)
  const records: Buffer[] = []
  for (let at = 0; at < body.length; at += size) {
    const part = body.subarray(at, at + size)
    records.push(Buffer.from([0x16, 3, 1, part.length >> 8, part.length & 0xff]), part)
  }
  return Buffer.concat(records)
}

test('a TLS hello in many records tells the same', async () => {
  const hello = await helloOf({ servername: 'a.example', ALPNProtocols: ['h2'] })
  for (const size of [1, 3, 50, 500]) {
    const cut = recut(hello, size)
    assert.deepEqual(detect(cut), { kind: 'tls', sni: 'a.example', alpn: ['h2'] })
    assert.deepEqual(detect(cut.subarray(0, -1)), { kind: 'more' })
  }
})

test('a hello that is cut or garbled inside is TLS without names, or opaque, and never an exception', async () => {
  const hello = await helloOf({ servername: 'a.example', ALPNProtocols: ['h2'] })
  for (let at = 0; at < hello.length; at++)
    for (const byte of [0, 1, 0x7f, 0xff]) {
      const garbled = Buffer.from(hello)
      garbled[at] = byte
      assert.ok(['tls', 'opaque', 'more'].includes(detect(garbled).kind))
    }
})

test('a hello larger than 16 KiB is TLS without names, and is not waited for', () => {
  const record = Buffer.concat([Buffer.from([0x16, 3, 1, 0x40, 0x00, 1, 0x00, 0xff, 0xff]), Buffer.alloc(0x4000 - 4)])
  assert.deepEqual(detect(record), { kind: 'tls' })
  assert.deepEqual(detect(record.subarray(0, 20)), { kind: 'tls' })
})

test('a name that is no host name is left out', async () => {
  const hello = await helloOf({ servername: 'a.example' })
  const at = hello.indexOf('a.example')
  hello[at] = 0
  assert.deepEqual(detect(hello), { kind: 'tls' })
})

test('a first line without a method that is known and without a version is foreign to HTTP', () => {
  const bytes = (text: string) => new TextEncoder().encode(text)
  for (const line of ['INVALID CONNECTION PREFACE\r\n\r\n', 'EHLO mail.example\r\n']) assert.equal(isForeign(bytes(line)), true, line)
  for (const line of ['GET /\r\n', 'FETCH /x HTTP/9.9\r\n', 'B{D / HTTP/1.1\r\n', 'no end yet'])
    assert.equal(isForeign(bytes(line)), false, line)
})

test('HTTP/2 is told from HTTP/1 by three bytes', () => {
  const bytes = (text: string) => new TextEncoder().encode(text)
  assert.deepEqual(
    ['PRI * HTT', 'PR', 'POST / HTTP/1.1', 'PUT'].map(text => beginsHttp2(bytes(text))),
    [true, undefined, false, false],
  )
})
