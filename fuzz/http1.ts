/** Fuzz target of the HTTP/1.x codec: valid messages broken in small ways, cut anywhere. Whatever comes, the promises below hold. */

import assert from 'node:assert/strict'
import { type ClientEvent, clientCodec, forwardable, type Length, type ServerEvent, serverCodec } from '../src/wire/http1.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import { run } from './run.ts'

const none = new Uint8Array(0)
const limits = { maxLineBytes: 300, maxHeadBytes: 1_200, maxFields: 12, maxTrailerBytes: 200, maxExtensionBytes: 60, maxInformational: 3 }

/**
 * 1. Nothing but a `failed` event comes of bad bytes: no exception, no endless loop.
 * 2. How the bytes are cut does not matter.
 * 3. What was read, forwarded and written again is read as the very same message: nothing hides in it.
 */
export function check(seed: number): void {
  const random = new Random(seed)
  const isRequest = random.chance(0.5)
  const bytes = mutate(
    random,
    Buffer.from(Array.from({ length: 1 + random.below(3) }, () => message(random, isRequest)).join(''), 'latin1'),
    pieces,
  )
  const isEnded = random.chance(0.5)
  const method = random.pick(['GET', 'GET', 'HEAD', 'CONNECT', 'POST'])
  const read = isRequest ? readRequests : (pieces: readonly Uint8Array[], ended: boolean): Message[] => readResponses(pieces, ended, method)
  const whole = read([bytes], isEnded)
  assert.deepEqual(read(cut(random, bytes), isEnded), whole)
  assert.deepEqual(
    read(
      Array.from(bytes, byte => Uint8Array.of(byte)),
      isEnded,
    ),
    whole,
  )
  for (const one of whole) if (isRequest) sameRequestAgain(one)
}

/** What was read of one message: its head as given, its body as one text, and how it ended. */
type Message = {
  head: Extract<ServerEvent, { type: 'request' }> | Exclude<ClientEvent, { type: 'data' | 'end' | 'failed' }> | undefined
  body: string
  end: readonly string[] | string | undefined
}

class Messages {
  readonly list: Message[] = []
  add(event: ServerEvent | ClientEvent): void {
    assert.notEqual(typeof this.#last()?.end, 'string', 'an event after failed')
    if (event.type === 'request' || event.type === 'response' || event.type === 'informational')
      this.list.push({ head: event, body: '', end: event.type === 'informational' ? [] : undefined })
    else if (event.type === 'failed') this.list.push({ head: undefined, body: '', end: `${event.failure.code}: ${event.failure.detail}` })
    else if (event.type === 'data') this.#last()!.body += Buffer.from(event.bytes).toString('latin1')
    else this.#last()!.end = event.trailers
  }
  #last(): Message | undefined {
    return this.list.at(-1)
  }
}

function readRequests(pieces: readonly Uint8Array[], isEnded: boolean): Message[] {
  const codec = serverCodec(limits)
  const messages = new Messages()
  const act = (events: readonly ServerEvent[]): void => {
    for (const event of events) {
      messages.add(event)
      if (event.type !== 'end' || codec.tunnel) continue
      codec.send({ type: 'response', head: { status: 204, reason: '', minor: 1, fields: [] }, length: 0 })
      if (!codec.tunnel) codec.send({ type: 'end' })
      if (!codec.wantsBytes) act(codec.receive(none))
    }
  }
  for (const piece of pieces) {
    const lent = Uint8Array.from(piece)
    act(codec.receive(lent))
    lent.fill(0)
  }
  if (isEnded) act(codec.receiveEnd())
  codec.drain()
  return messages.list
}

function readResponses(pieces: readonly Uint8Array[], isEnded: boolean, method: string): Message[] {
  const codec = clientCodec(limits)
  const messages = new Messages()
  codec.send({
    type: 'request',
    head: { method, target: method === 'CONNECT' ? 'a:1' : '/', minor: 1, fields: ['Host', 'a'] },
    length: 0,
    upgrade: method === 'GET' ? 'websocket' : undefined,
  })
  codec.send({ type: 'end' })
  for (const piece of pieces) {
    const lent = Uint8Array.from(piece)
    for (const event of codec.receive(lent)) messages.add(event)
    lent.fill(0)
  }
  if (isEnded) for (const event of codec.receiveEnd()) messages.add(event)
  return messages.list
}

function sameRequestAgain({ head, body, end }: Message): void {
  if (head?.type !== 'request' || end === undefined || typeof end === 'string' || head.head.method === 'CONNECT') return
  const client = clientCodec()
  client.send({ type: 'request', head: { ...head.head, fields: forwardable(head.head.fields) }, length: head.length })
  client.send({ type: 'data', bytes: Buffer.from(body, 'latin1') })
  client.send({ type: 'end', trailers: end })
  const written = Buffer.concat(client.drain())
  const again = readRequests([written], true)
  assert.equal(again.length, 1, 'one request was read and another number written')
  const [same] = again
  assert.ok(same?.head?.type === 'request')
  assert.deepEqual([same.head.head.method, same.head.head.target, same.body, same.end], [head.head.method, head.head.target, body, end])
  assert.equal(same.head.length, head.length satisfies Length)
}

function message(random: Random, isRequest: boolean): string {
  const first = isRequest
    ? `${random.pick(['GET', 'POST', 'HEAD', 'OPTIONS', 'CONNECT', 'BREW'])} ${random.pick(['/', '/a?b', '*', 'http://a/b', 'a:1', '/%00', '//x/../y'])} HTTP/1.${random.pick(['1', '1', '1', '0'])}`
    : `HTTP/1.${random.pick(['1', '1', '0'])} ${random.pick(['200', '204', '304', '100', '101', '103', '500'])} ${random.pick(['OK', '', 'a b'])}`
  const fields = Array.from({ length: random.below(5) }, () => random.pick(lines))
  const length = random.below(12)
  const framing = random.pick(['', `Content-Length: ${length}`, 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'])
  const body = framing === '' ? '' : framing.startsWith('C') ? 'b'.repeat(length) : chunks(random)
  return `${[first, ...(isRequest ? ['Host: a'] : []), ...fields, ...(framing === '' ? [] : [framing])].join('\r\n')}\r\n\r\n${body}`
}

const lines = [
  'X: y',
  'Accept: */*',
  'Connection: close',
  'Connection: keep-alive',
  'Connection: upgrade, x',
  'Upgrade: websocket',
  'Upgrade: h2c',
  'Expect: 100-continue',
  'X:\t ä ',
  'TE: trailers',
  'Content-Length: 3',
  'Transfer-Encoding: gzip, chunked',
  'Host: b',
  'X-Long: '.padEnd(400, 'z'),
]

const chunks = (random: Random): string =>
  `${Array.from({ length: random.below(4) }, () => {
    const size = 1 + random.below(20)
    return `${size.toString(16)}${random.pick(['', '', ';x', ';a="b c"'])}\r\n${'c'.repeat(size)}\r\n`
  }).join('')}0\r\n${random.pick(['', '', 'X-T: 1\r\n', 'Content-Length: 5\r\n'])}\r\n`

/** Bytes that mean something in a place, to be put into others. */
const pieces = [
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  ' ',
  '\t',
  '\0',
  ':',
  ';',
  ',',
  '0',
  'f',
  '0x',
  '+',
  '-',
  '_',
  '\x7f',
  '\xa0',
  '\x85',
  '"',
  'chunked',
  '\r\n ',
  'GET / HTTP/1.1\r\n',
  '0\r\n\r\n',
  '99999999999999999999',
  '\x16\x03\x01',
].map(text => Buffer.from(text, 'latin1'))

function cut(random: Random, bytes: Uint8Array): Uint8Array[] {
  const cuts: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random.below(random.pick([2, 10, 100]))
    cuts.push(bytes.subarray(at, at + size))
    at += size
  }
  return cuts
}

if (import.meta.main) run('http1', check)
