/** A client codec and a server codec joined by bytes that are cut anywhere, many exchanges at once: what one side is told to send is what the other side says it received. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Fields } from '../http1.ts'
import { type ClientEvent2, clientCodec2, type Http2Codec, type Length2, type ServerEvent2, serverCodec2 } from '../http2.ts'

type Body = { readonly isCounted: boolean; readonly pieces: readonly Uint8Array[]; readonly trailers: Fields }
type Exchange = {
  readonly method: string
  readonly target: string
  readonly fields: Fields
  readonly body: Body
  readonly status: number
  readonly reply: Body & { readonly fields: Fields }
}

const name = fc.oneof(
  fc.constantFrom('x-a', 'x-b', 'user-agent', 'etag', 'authorization'),
  fc.stringMatching(/^x-[a-z0-9!#$%&'*+.^_`|~-]{1,12}$/),
)
const value = fc.oneof(
  fc.constantFrom('same', 'other', 'v'.repeat(200)),
  fc.array(fc.integer({ min: 0x20, max: 0xff }), { maxLength: 20 }).map(codes =>
    String.fromCharCode(...codes)
      .replaceAll('\x7f', '')
      .replace(/^ +| +$/g, ''),
  ),
)
const fields = fc.array(fc.tuple(name, value), { maxLength: 6 }).map(pairs => pairs.flat())
const trailers = fields.map(list => list.filter((_, at) => list[at & ~1] !== 'authorization'))
const body = fc.record({
  isCounted: fc.boolean(),
  pieces: fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.integer({ min: 1, max: 20_000 }).map(size => new Uint8Array(size).fill(size)),
    ),
    { maxLength: 4 },
  ),
  trailers,
}) satisfies fc.Arbitrary<Body>
const exchange: fc.Arbitrary<Exchange> = fc.record({
  method: fc.constantFrom('GET', 'POST', 'HEAD', 'DELETE', 'X-BREW'),
  target: fc.stringMatching(/^\/[!"$-~]{0,20}$/),
  fields: fields.map(list => ['host', 'a.example', ...list]),
  body,
  status: fc.constantFrom(200, 204, 304, 404, 500),
  reply: fc.tuple(body, fields).map(([sent, list]) => ({ ...sent, fields: list })),
})

/** What is known of a stream once its message has ended. */
type Message = { what: string; fields: Fields; length: Length2; body: Uint8Array[]; trailers: Fields | undefined }

test('however the bytes are cut, however small the windows, both ends tell the same exchanges', () => {
  fc.assert(
    fc.property(
      fc.array(exchange, { minLength: 1, maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(65_535, 100_000),
      (exchanges, sizes, rooms, window) => {
        const limits = { streamWindow: window, connectionWindow: window }
        const client = clientCodec2(limits)
        const server = serverCodec2(limits)
        const asked = new Map<number, Message>()
        const answered = new Map<number, Message>()
        const given = new Map<number, Exchange>()
        for (const one of exchanges) {
          const head = { method: one.method, target: one.target, minor: 1, fields: one.fields } as const
          const isEmpty = one.body.pieces.length === 0 && one.body.trailers.length === 0
          const stream = client.open({ head, scheme: 'https', length: lengthOf(one.body), isEnd: isEmpty })
          given.set(stream, one)
          if (!isEmpty) sendBody(client, stream, one.body)
        }
        for (
          let round = 0;
          answered.size < exchanges.length || [...answered.values()].some(message => message.trailers === undefined);
          round++
        ) {
          assert.ok(round < 2_000, 'the exchanges do not come to their end')
          carry(client, server, sizes, rooms[round % rooms.length]!, events => {
            note(server, asked, events)
            for (const event of events) {
              if (event.type !== 'end') continue
              const one = given.get(event.stream)!
              server.send({
                type: 'response',
                stream: event.stream,
                head: { status: one.status, reason: '', minor: 1, fields: one.reply.fields },
                length: lengthOf(one.reply),
              })
              sendBody(server, event.stream, one.reply)
            }
          })
          carry(server, client, sizes, rooms[round % rooms.length]!, events => note(client, answered, events))
        }
        for (const [stream, one] of given) {
          assert.deepEqual(plain(asked.get(stream)!), {
            what: `${one.method} ${one.target}`,
            fields: one.fields,
            length: toldLength(one),
            body: bytesOf(one.body),
            trailers: one.body.trailers,
          })
          const isBodiless = one.method === 'HEAD' || one.status === 204 || one.status === 304
          const { length, ...answer } = plain(answered.get(stream)!)
          assert.deepEqual(answer, {
            what: String(one.status),
            fields: one.reply.fields,
            body: isBodiless ? '' : bytesOf(one.reply),
            trailers: isBodiless ? [] : one.reply.trailers,
          })
          if (!isBodiless && bytesOf(one.reply) !== '') assert.equal(length, lengthOf(one.reply))
        }
        assert.deepEqual([client.openStreams, server.openStreams, client.mustClose, server.mustClose], [0, 0, false, false])
      },
    ),
    { numRuns: 150 },
  )
})

const bytesOf = (of: Body): string => Buffer.concat(of.pieces).toString('latin1')
const lengthOf = (of: Body): Length2 => (of.isCounted ? Buffer.concat(of.pieces).length : 'chunked')

/** A request without content says so by its end, or where its method lets one expect content by its length. */
function toldLength({ method, body: of }: Exchange): Length2 {
  if (bytesOf(of) === '' && of.trailers.length === 0) return 0
  return lengthOf(of) === 0 && method !== 'POST' ? 'chunked' : lengthOf(of)
}

function sendBody(codec: ReturnType<typeof clientCodec2> | ReturnType<typeof serverCodec2>, stream: number, of: Body): void {
  for (const bytes of of.pieces) codec.send({ type: 'data', stream, bytes })
  codec.send({ type: 'end', stream, trailers: of.trailers })
}

/** Drains one side into the other until nothing more comes, telling the events of each cut. */
function carry<Event>(
  from: Http2Codec<unknown, never>,
  to: Http2Codec<Event, never>,
  sizes: readonly number[],
  room: number,
  act: (events: Event[]) => void,
): void {
  const bytes = Buffer.concat(from.drain(room))
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length]!
    act(to.receive(Uint8Array.prototype.slice.call(bytes, at, at + size)))
    at += size
  }
}

function note(codec: Http2Codec<unknown, never>, messages: Map<number, Message>, events: readonly (ServerEvent2 | ClientEvent2)[]): void {
  for (const event of events) {
    if (event.type === 'request')
      messages.set(event.stream, begun(`${event.head.method} ${event.head.target}`, event.head.fields, event.length))
    else if (event.type === 'response') messages.set(event.stream, begun(String(event.head.status), event.head.fields, event.length))
    else if (event.type === 'data') {
      messages.get(event.stream)!.body.push(event.bytes)
      codec.consumed(event.stream, event.bytes.length)
    } else if (event.type === 'end') messages.get(event.stream)!.trailers = event.trailers
    else assert.equal(event.type, 'settings', JSON.stringify(event))
  }
}

const begun = (what: string, list: Fields, length: Length2): Message => ({ what, fields: list, length, body: [], trailers: undefined })
const plain = ({ body, fields: list, ...message }: Message): Omit<Message, 'body'> & { body: string } => ({
  ...message,
  fields: list.filter((_, at) => list[at & ~1] !== 'content-length'),
  body: Buffer.concat(body).toString('latin1'),
})
