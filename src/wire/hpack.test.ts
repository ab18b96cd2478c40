import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Failure } from '#base/failure'
import { Decoder, Encoder, Entry, fieldRoom, HeaderName } from './hpack.ts'

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')

function read(decoder: Decoder, block: Uint8Array): string[] {
  const fields: string[] = []
  decoder.decode(block, 0, block.length, { field: ({ name, value }: Entry) => void fields.push(name, value) })
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

const broken = (block: Uint8Array, decoder = new Decoder()): string => {
  try {
    read(decoder, block)
  } catch (thrown) {
    if (thrown instanceof Failure) return thrown.detail
    throw thrown
  }
  return 'nothing is wrong'
}

const ask = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com']
const secure = [':method', 'GET', ':scheme', 'https', ':path', '/index.html', ':authority', 'www.example.com', 'custom-key', 'custom-value']

for (const [kind, blocks] of Object.entries({
  'plain (RFC 7541 C.3)': [
    '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
    '8286 84be 5808 6e6f 2d63 6163 6865',
    '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
  ],
  'Huffman (RFC 7541 C.4)': [
    '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
    '8286 84be 5886 a8eb 1064 9cbf',
    '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
  ],
}))
  test(`the requests of the RFC are read, ${kind}`, () => {
    const decoder = new Decoder()
    assert.deepEqual(
      blocks.map(block => read(decoder, hex(block))),
      [ask, [...ask, 'cache-control', 'no-cache'], secure],
    )
  })

test('the responses of the RFC, in a table of 256 bytes that drives entries out, are read (RFC 7541 C.6)', () => {
  const decoder = new Decoder()
  decoder.allow(256)
  const blocks = [
    '3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
    '4883 640e ffc1 c0bf',
    '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
  ]
  const date = 'Mon, 21 Oct 2013 20:13:21 GMT'
  const location = ['location', 'https://www.example.com']
  assert.deepEqual(
    blocks.map(block => read(decoder, hex(block))),
    [
      [':status', '302', 'cache-control', 'private', 'date', date, ...location],
      [':status', '307', 'cache-control', 'private', 'date', date, ...location],
      [
        ':status',
        '200',
        'cache-control',
        'private',
        'date',
        'Mon, 21 Oct 2013 20:13:22 GMT',
        ...location,
        'content-encoding',
        'gzip',
        'set-cookie',
        'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
      ],
    ],
  )
})

for (const [what, block, says] of [
  ['the index 0', '80', /no table has the index 0/],
  ['an index past the tables', 'be', /no table has the index 62/],
  ['the name of an index past the tables', '7f00 0161', /no table has the index 63/],
  ['an integer past 28 bits', 'ff ffffffff ff00', /too large/],
  ['an integer that does not end', 'ff80', /in the middle/],
  ['a string that is longer than the block', '000161 0561', /in the middle/],
  ['a field without a value', '000161', /in the middle/],
  ['a Huffman string that holds the end of string', '000161 84ffffffff', /end of string/],
  ['Huffman padding of more than seven bits', '000161 821fff', /padding/],
  ['Huffman padding that is not ones', '000161 8118', /padding/],
  ['a table larger than allowed', '3fe21f', /a table of 4097 bytes/],
  ['a table size update behind a field', '8220', /inside a header block/],
] as const)
  test(`refused: ${what}`, () => assert.match(broken(hex(block)), says))

test('a table size update that the settings make necessary must come', () => {
  const decoder = new Decoder()
  decoder.allow(0)
  assert.match(broken(hex('82'), decoder), /is missing/)
  assert.deepEqual(read(decoder, hex('20 82')), [':method', 'GET'])
  assert.deepEqual(read(decoder, hex('82')), [':method', 'GET'])
})

test('fields that stay the same take one byte each from the second message on', () => {
  const encoder = new Encoder()
  const decoder = new Decoder()
  const fields = [...secure, 'user-agent', 'weft', 'x-team', 'blue']
  const lengths = [1, 2, 3].map(() => {
    const block = write(encoder, fields)
    assert.deepEqual(read(decoder, block), fields)
    return block.length
  })
  assert.equal(lengths[2], fields.length / 2)
  assert.ok(lengths[1]! < lengths[0]!)
})

test('values that are new each time, and secrets, stay out of the table; secrets are marked for whoever passes them on', () => {
  const encoder = new Encoder()
  const sizes = (name: string, value: string): number[] => [1, 2, 3].map(() => write(encoder, [name, value]).length)
  for (const [name, value] of [
    ['content-length', '1234'],
    ['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
    [':path', '/search?q=1'],
    ['authorization', 'Bearer abcdefghijklmnopqrstuvwxyz'],
    ['set-cookie', 'a=b'],
    ['cookie', 'sid=short'],
  ] as const) {
    const [first, second, third] = sizes(name, value)
    assert.ok(first === second && second === third && third! > value.length, name)
  }
  for (const [name, value] of [
    ['authorization', 'x'],
    ['set-cookie', 'a=b'],
    ['cookie', 'sid=short'],
  ] as const)
    assert.equal(write(encoder, [name, value])[0]! & 0xf0, 0x10, name)
  assert.deepEqual(sizes('cookie', 'session=a-long-one-that-nobody-guesses').at(-1), 1)
})

test('the reader follows when the peer allows a smaller table, none, and a larger one again', () => {
  const encoder = new Encoder()
  const decoder = new Decoder()
  const exchange = (): number => {
    const block = write(encoder, secure)
    assert.deepEqual(read(decoder, block), secure)
    return block.length
  }
  const allow = (size: number): void => {
    encoder.allow(size)
    decoder.allow(size)
  }
  exchange()
  exchange()
  const small = exchange()
  allow(0)
  assert.ok(exchange() > small)
  allow(100)
  allow(4_096)
  exchange()
  exchange()
  assert.equal(exchange(), small)
})

test('a message that could not be written to its end leaves both tables equal', () => {
  const encoder = new Encoder()
  const decoder = new Decoder()
  read(decoder, write(encoder, secure))
  const into = Buffer.alloc(1_000)
  encoder.field(into, encoder.begin(into, 0), new HeaderName('user-agent'), 'enters the table of the writer only')
  assert.throws(() => encoder.field(into, 0, new HeaderName('x'), 'a\r\nb'), /cannot be written/)
  encoder.abandon()
  for (let time = 0; time < 3; time++) assert.deepEqual(read(decoder, write(encoder, secure)), secure)
})

test('whatever is written is read again, through any tables', () => {
  const name = fc.constantFrom(
    ':path',
    ':authority',
    'user-agent',
    'x-a',
    'x-b',
    'x-long-name-that-repeats',
    'cookie',
    'authorization',
    'content-length',
  )
  const text = fc
    .array(
      fc.integer({ min: 0x21, max: 0xff }).filter(code => code !== 0x7f),
      { maxLength: 60 },
    )
    .map(codes => String.fromCharCode(...codes))
  const value = fc.oneof(fc.constantFrom('a', 'b', 'same', 'x'.repeat(300)), text)
  const message = fc.record({
    fields: fc.array(fc.tuple(name, value), { maxLength: 12 }).map(pairs => pairs.flat()),
    allowed: fc.option(fc.constantFrom(0, 50, 200, 1_000, 4_096), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.array(message, { maxLength: 20 }), messages => {
      const encoder = new Encoder()
      const decoder = new Decoder()
      for (const { fields, allowed } of messages) {
        if (allowed !== undefined) {
          encoder.allow(allowed)
          decoder.allow(allowed)
        }
        assert.deepEqual(read(decoder, write(encoder, fields)), fields)
      }
    }),
    { numRuns: 300 },
  )
})
