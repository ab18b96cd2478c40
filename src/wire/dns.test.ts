/** DNS messages: against Node's resolver over UDP and TCP, against bytes of other servers, and against bytes that nobody should send. */

import assert from 'node:assert/strict'
import dgram from 'node:dgram'
import { promises as dns } from 'node:dns'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  type Answer,
  DnsStream,
  dnsTypes,
  encodeAnswer,
  encodeQuery,
  framed,
  type Incoming,
  parseQuery,
  parseReply,
  type Query,
} from './dns.ts'

const query: Query = {
  id: 0x1234,
  isRecursionDesired: true,
  question: { name: 'catalog.shop.weft', type: dnsTypes.A, class: 1 },
  edns: undefined,
}
const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')

function queryOf(incoming: Incoming): Query {
  assert.ok(incoming.type === 'query', incoming.type)
  return incoming.query
}

test('a query is read as it was written', () => {
  assert.deepEqual(queryOf(parseQuery(encodeQuery(query))), query)
  const extended = { ...query, isRecursionDesired: false, edns: { udpBytes: 4096, wantsDnssec: true } }
  assert.deepEqual(queryOf(parseQuery(encodeQuery(extended))), extended)
})

test('a query has the bytes that RFC 1035 says', () => {
  assert.equal(
    Buffer.from(encodeQuery(query)).toString('hex'),
    '1234 0100 0001 0000 0000 0000 07 636174616c6f67 04 73686f70 04 77656674 00 0001 0001'.replaceAll(' ', ''),
  )
})

test('an answer has the bytes that RFC 1035 says', () => {
  const answer = encodeAnswer(
    { ...query, question: { ...query.question, name: 'a' } },
    { code: 'ok', addresses: ['10.1.2.3'], ttlSeconds: 60, isAuthoritative: true },
  )
  assert.equal(
    Buffer.from(answer).toString('hex'),
    '1234 8580 0001 0001 0000 0000 01 61 00 0001 0001 c00c 0001 0001 0000003c 0004 0a010203'.replaceAll(' ', ''),
  )
})

test('answers carry addresses, or say no in each of its ways', () => {
  const said = (answer: Answer, of: Query = query): unknown => {
    const { id, code, isTruncated, answers, authority, question } = parseReply(encodeAnswer(of, answer))!
    assert.deepEqual([id, question], [of.id, of.question])
    return {
      code,
      isTruncated,
      addresses: answers.map(one => `${one.address} ${one.ttlSeconds}`),
      authority: authority.map(one => `${one.name} ${one.type} ${one.ttlSeconds}`),
    }
  }
  const empty = { isTruncated: false, addresses: [], authority: [] }
  const soa = { zone: 'weft', primary: 'ns.weft', mailbox: 'root.weft', serial: 1, ttlSeconds: 5, minimumSeconds: 5 }
  const v6 = { ...query, question: { ...query.question, type: dnsTypes.AAAA } }
  assert.deepEqual(said({ code: 'ok', addresses: ['10.0.0.1', '240.0.0.2'], ttlSeconds: 30 }), {
    ...empty,
    code: 'ok',
    addresses: ['10.0.0.1 30', '240.0.0.2 30'],
  })
  assert.deepEqual(said({ code: 'ok', addresses: ['fd00::1', '::ffff:10.0.0.1'], ttlSeconds: 1 }, v6), {
    ...empty,
    code: 'ok',
    addresses: ['fd00::1 1', '::ffff:a00:1 1'],
  })
  assert.deepEqual(said({ code: 'ok' }, v6), { ...empty, code: 'ok' })
  assert.deepEqual(said({ code: 'ok', soa }), { ...empty, code: 'ok', authority: ['weft 6 5'] })
  assert.deepEqual(said({ code: 'no-such-name', soa }), { ...empty, code: 'no-such-name', authority: ['weft 6 5'] })
  assert.deepEqual(said({ code: 'server-failure' }), { ...empty, code: 'server-failure' })
  assert.deepEqual(said({ code: 'refused' }), { ...empty, code: 'refused' })
})

test('an address of the wrong kind is a bug', () => {
  assert.throws(() => encodeAnswer(query, { code: 'ok', addresses: ['fd00::1'] }), /does not answer/)
  assert.throws(() => encodeAnswer(query, { code: 'ok', addresses: ['10.0.0.256'] }), /does not answer/)
})

test('an answer that does not fit is truncated: 512 bytes, what the asker takes, 1232 at most', () => {
  const addresses = Array.from({ length: 100 }, (_, at) => `10.0.0.${at}`)
  const length = (udpBytes?: number, max?: number): [number, boolean] => {
    const bytes = encodeAnswer(
      { ...query, edns: udpBytes === undefined ? undefined : { udpBytes, wantsDnssec: false } },
      { code: 'ok', addresses },
      max,
    )
    return [bytes.length, parseReply(bytes)!.isTruncated]
  }
  assert.deepEqual(length(), [35, true])
  assert.deepEqual(length(65_535), [46, true])
  assert.deepEqual(length(undefined, 65_535), [1_635, false])
  assert.equal(
    encodeAnswer({ ...query, edns: { udpBytes: 1_000, wantsDnssec: false } }, { code: 'ok', addresses: addresses.slice(0, 50) }).length,
    846,
  )
})

test('EDNS comes back when it was asked with, and only then', () => {
  const plain = encodeAnswer(query, { code: 'ok' })
  const extended = encodeAnswer({ ...query, edns: { udpBytes: 4_096, wantsDnssec: true } }, { code: 'ok' })
  assert.equal(plain[11], 0)
  assert.equal(Buffer.from(extended.subarray(-11)).toString('hex'), '00 0029 04d0 00008000 0000'.replaceAll(' ', ''))
})

test('the case of a name is kept, as resolvers check it', () => {
  const mixed = { ...query, question: { ...query.question, name: 'CaTaLoG.sHoP' } }
  assert.equal(queryOf(parseQuery(encodeQuery(mixed))).question.name, 'CaTaLoG.sHoP')
  assert.equal(parseReply(encodeAnswer(mixed, { code: 'ok', addresses: ['10.0.0.1'] }))!.answers[0]!.name, 'CaTaLoG.sHoP')
})

test('a label may hold any byte, written so that it means one name only', () => {
  const strange = { ...query, question: { ...query.question, name: 'a\\046b\\032\\255.c\\092' } }
  assert.deepEqual(queryOf(parseQuery(encodeQuery(strange))), strange)
})

test('the root is the empty name', () => {
  assert.equal(queryOf(parseQuery(encodeQuery({ ...query, question: { ...query.question, name: '' } }))).question.name, '')
})

test('text that is no name is a bug', () => {
  for (const name of ['a..b', '.a', 'a'.repeat(64), `${'a.'.repeat(127)}aa`, 'Ā', 'a\\b', 'a\\999'])
    assert.throws(() => encodeQuery({ ...query, question: { ...query.question, name } }), /DNS: /, name)
  assert.doesNotThrow(() => encodeQuery({ ...query, question: { ...query.question, name: 'a.'.repeat(127) } }))
})

test('a reply of another server is read: an alias and addresses, names compressed', () => {
  const reply = parseReply(
    hex(
      `dead 8180 0001 0002 0001 0000
      03 777777 07 6578616d706c65 03 636f6d 00 0001 0001
      c00c 0005 0001 00000e10 0006 03 636463 c010
      c02d 0001 0001 0000003c 0004 5db8d822
      c010 0006 0001 00000e10 0018 01 61 c010 01 62 c010 00000001 00000002 00000003 00000004`.replace('0018', '0018'),
    ),
  )!
  assert.deepEqual(
    [reply.id, reply.code, ...reply.answers.map(one => [one.name, one.type, one.target ?? one.address, one.ttlSeconds])],
    [0xdead, 'ok', ['www.example.com', 5, 'cdc.example.com', 3600], ['cdc.example.com', 1, '93.184.216.34', 60]],
  )
  assert.equal(reply.authority[0]?.name, 'example.com')
})

const question = '01 61 00 0001 0001'
for (const [what, bytes, outcome] of [
  ['too short for a header', '1234 0100 0001', 'drop'],
  ['a reply', `1234 8100 0001 0000 0000 0000 ${question}`, 'drop'],
  ['another operation', `1234 2800 0001 0000 0000 0000 ${question}`, 'not-implemented'],
  ['no question', '1234 0100 0000 0000 0000 0000', 'format-error'],
  ['two questions', `1234 0100 0002 0000 0000 0000 ${question} ${question}`, 'format-error'],
  ['a truncated query', `1234 0300 0001 0000 0000 0000 ${question}`, 'format-error'],
  ['a name that points at itself', '1234 0100 0001 0000 0000 0000 c00c 0001 0001', 'format-error'],
  ['a name that points forward', '1234 0100 0001 0000 0000 0000 c010 0001 0001 00', 'format-error'],
  ['a name that points into the header', '1234 0100 0001 0000 0000 0000 c000 0001 0001', 'format-error'],
  ['a label of a reserved kind', '1234 0100 0001 0000 0000 0000 41 61 00 0001 0001', 'format-error'],
  ['a label past the end', '1234 0100 0001 0000 0000 0000 05 61', 'format-error'],
  ['a name without end', '1234 0100 0001 0000 0000 0000 01 61', 'format-error'],
  ['a name longer than 255 bytes', `1234 0100 0001 0000 0000 0000 ${'01 61'.repeat(128)} 00 0001 0001`, 'format-error'],
  ['a question without class', '1234 0100 0001 0000 0000 0000 01 61 00 0001', 'format-error'],
  ['two EDNS records', `1234 0100 0001 0000 0000 0002 ${question} ${'00 0029 0200 00000000 0000'.repeat(2)}`, 'format-error'],
  ['EDNS version 1', `1234 0100 0001 0000 0000 0001 ${question} 00 0029 0200 00010000 0000`, 'bad-version'],
  ['a record past the end', `1234 0100 0001 0000 0000 0001 ${question} 00 0029 0200 00000000 0005 00`, 'format-error'],
  ['more records than there are bytes', `1234 0100 0001 ffff ffff ffff ${question}`, 'format-error'],
] as const)
  test(`${what} is refused: ${outcome}`, () => {
    const incoming = parseQuery(hex(bytes))
    if (outcome === 'drop') return assert.equal(incoming.type, 'drop')
    assert.ok(incoming.type === 'refuse')
    const reply = parseReply(incoming.reply)!
    assert.deepEqual([incoming.code, reply.id, reply.code, reply.answers.length], [outcome, 0x1234, outcome, 0])
  })

test('whatever bytes come, reading ends without an exception', () => {
  const seeds = [
    encodeQuery({ ...query, edns: { udpBytes: 1232, wantsDnssec: true } }),
    encodeAnswer(query, { code: 'ok', addresses: ['10.0.0.1'] }),
  ]
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 80 }),
        fc
          .tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(60), fc.nat(255))))
          .map(([seed, edits]) => edits.reduce((made, [at, byte]) => made.with(at % made.length, byte), Uint8Array.from(seed))),
      ),
      bytes => {
        parseQuery(bytes)
        parseReply(bytes)
      },
    ),
    { numRuns: 2_000 },
  )
})

test('many pointers cost no more than the message is long', () => {
  const header = hex('1234 8180 0000 0200 0000 0000')
  const records = Array.from({ length: 512 }, (_, at) =>
    at === 0 ? hex('00 0001 0001 00000000 0000') : hex(`c00c 0010 0001 00000000 0000`),
  )
  const began = process.cpuUsage().user
  parseReply(Buffer.concat([header, ...records]))
  assert.ok(process.cpuUsage().user - began < 1_000_000)
})

test('a stream is cut into messages however it comes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1 }),
      (messages, sizes) => {
        const bytes = Buffer.concat(messages.map(framed))
        const stream = new DnsStream()
        const got: Uint8Array[] = []
        for (let at = 0, index = 0; at < bytes.length; index++) {
          const size = sizes[index % sizes.length]!
          got.push(...stream.receive(bytes.subarray(at, at + size)))
          at += size
        }
        assert.deepEqual(
          got.map(one => Buffer.from(one).toString('hex')),
          messages.map(one => Buffer.from(one).toString('hex')),
        )
        assert.equal(stream.isInside, false)
      },
    ),
  )
})

test("Node's resolver asks and understands, over UDP and, where the answer is long, over TCP", async t => {
  const many = Array.from({ length: 120 }, (_, at) => `10.0.1.${at}`)
  const answerTo = (incoming: Incoming, max?: number): Uint8Array => {
    const asked = queryOf(incoming)
    const { name, type } = asked.question
    const known: Record<string, readonly string[]> = { 'one.weft': ['10.0.0.1'], 'many.weft': many }
    const found = known[name.toLowerCase()]
    if (found === undefined) return encodeAnswer(asked, { code: 'no-such-name' }, max)
    return encodeAnswer(asked, { code: 'ok', addresses: type === dnsTypes.A ? found : [], ttlSeconds: 7 }, max)
  }
  // UDP and TCP must share a port, which another process may have taken for one of them.
  let tcp: net.Server
  let udp: dgram.Socket
  for (;;) {
    udp = dgram.createSocket('udp4').bind(0, '127.0.0.1')
    await once(udp, 'listening')
    tcp = net.createServer(socket => {
      const stream = new DnsStream()
      socket.on('data', (bytes: Uint8Array) => {
        for (const message of stream.receive(bytes)) socket.write(framed(answerTo(parseQuery(message), 65_535)))
      })
      socket.on('error', () => {})
    })
    const listening = new Promise<boolean>(resolve => tcp.once('listening', () => resolve(true)).once('error', () => resolve(false)))
    tcp.listen(udp.address().port, '127.0.0.1')
    if (await listening) break
    udp.close()
  }
  t.after(() => {
    udp.close()
    tcp.close()
  })
  udp.on('message', (bytes, from) => udp.send(answerTo(parseQuery(bytes)), from.port, from.address))
  const resolver = new dns.Resolver()
  resolver.setServers([`127.0.0.1:${udp.address().port}`])
  assert.deepEqual(await resolver.resolve4('one.weft', { ttl: true }), [{ address: '10.0.0.1', ttl: 7 }])
  assert.deepEqual((await resolver.resolve4('many.weft')).toSorted(), many.toSorted())
  await assert.rejects(resolver.resolve6('one.weft'), { code: 'ENODATA' })
  await assert.rejects(resolver.resolve4('none.weft'), { code: 'ENOTFOUND' })
})
