/** A client codec and a server codec joined by bytes that are cut anywhere: what one side is told to send is what the other side says it received. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { noBytes } from '#base/bytes'
import { type ClientEvent, clientCodec, type Fields, type Http1Codec, type Length, type ServerEvent, serverCodec } from '../http1.ts'

type Body = { readonly length: 'chunked' | 'counted'; readonly pieces: readonly Uint8Array[]; readonly trailers: Fields }
type Exchange = {
  readonly method: string
  readonly target: string
  readonly fields: Fields
  readonly body: Body
  readonly status: number
  readonly reply: Body & { readonly fields: Fields }
}

const name = fc.stringMatching(/^X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}$/)
const value = fc.array(fc.integer({ min: 0x20, max: 0xff }), { maxLength: 20 }).map(codes =>
  String.fromCharCode(...codes)
    .replaceAll('\x7f', '')
    .replace(/^[ \t]+|[ \t]+$/g, ''),
)
const fields = fc.array(fc.tuple(name, value), { maxLength: 5 }).map(pairs => pairs.flat())
const body = fc.record({
  length: fc.constantFrom('chunked', 'counted'),
  pieces: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }),
  trailers: fields,
}) satisfies fc.Arbitrary<Body>
const exchange: fc.Arbitrary<Exchange> = fc.record({
  method: fc.constantFrom('GET', 'POST', 'HEAD', 'DELETE', 'X-BREW'),
  target: fc.stringMatching(/^\/[!-"$-~]{0,20}$/),
  fields: fields.map(list => ['Host', 'a.example', ...list]),
  body,
  status: fc.constantFrom(200, 204, 304, 404, 500),
  reply: fc.tuple(body, fields).map(([sent, list]) => ({ ...sent, fields: list })),
})

test('however the bytes are cut, both ends tell the same exchanges', () => {
  fc.assert(
    fc.property(
      fc.array(exchange, { minLength: 1, maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
      (exchanges, sizes) => {
        const client = clientCodec()
        const server = serverCodec()
        for (const [index, one] of exchanges.entries()) {
          client.send({
            type: 'request',
            head: { method: one.method, target: one.target, minor: 1, fields: one.fields },
            length: lengthOf(one.body),
          })
          sendBody(client, one.body)
          const asked = carry(client, server, sizes)
          assert.deepEqual(plain(asked), {
            what: `${one.method} ${one.target}`,
            fields: one.fields,
            body: bytesOf(one.body),
            trailers: trailersOf(one.body),
            length: lengthOf(one.body),
          })

          server.send({
            type: 'response',
            head: { status: one.status, reason: 'Why not', minor: 1, fields: one.reply.fields },
            length: lengthOf(one.reply),
          })
          sendBody(server, one.reply)
          const answered = carry(server, client, sizes)
          const isBodiless = one.method === 'HEAD' || one.status === 204 || one.status === 304
          assert.deepEqual(plain(answered), {
            what: `${one.status} Why not`,
            fields: one.reply.fields,
            body: isBodiless ? '' : bytesOf(one.reply),
            trailers: isBodiless ? [] : trailersOf(one.reply),
            length: isBodiless ? 0 : lengthOf(one.reply),
          })
          assert.deepEqual(
            [client.isIdle, server.isIdle, client.mustClose, server.mustClose, client.exchanges],
            [true, true, false, false, index + 1],
          )
        }
      },
    ),
    { numRuns: 300 },
  )
})

test('requests that are pipelined are told one by one, in order', () => {
  fc.assert(
    fc.property(
      fc.array(exchange, { minLength: 2, maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }),
      (exchanges, sizes) => {
        const written = exchanges.map(one => {
          const client = clientCodec()
          client.send({
            type: 'request',
            head: { method: one.method, target: one.target, minor: 1, fields: one.fields },
            length: lengthOf(one.body),
          })
          sendBody(client, one.body)
          return Buffer.concat(client.drain())
        })
        const server = serverCodec()
        const targets: string[] = []
        let isOwed = 0
        const act = (events: readonly ServerEvent[]): void => {
          for (const event of events) {
            assert.notEqual(event.type, 'failed')
            if (event.type === 'request') {
              targets.push(event.head.target)
              assert.equal(++isOwed, 1, 'a request came before the one before it was answered')
            }
            if (event.type !== 'end') continue
            isOwed--
            server.send({ type: 'response', head: { status: 200, reason: '', minor: 1, fields: [] }, length: 0 })
            server.send({ type: 'end' })
          }
          if (!server.wantsBytes) act(server.receive(noBytes))
        }
        for (const piece of cut(Buffer.concat(written), sizes)) act(server.receive(piece))
        assert.deepEqual(
          targets,
          exchanges.map(one => one.target),
        )
      },
    ),
    { numRuns: 100 },
  )
})

const bytesOf = (of: Body): string => Buffer.concat(of.pieces).toString('latin1')
const trailersOf = (of: Body): Fields => (of.length === 'chunked' ? of.trailers : [])
const lengthOf = (of: Body): Length => (of.length === 'chunked' ? 'chunked' : Buffer.concat(of.pieces).length)

function sendBody(codec: ReturnType<typeof clientCodec> | ReturnType<typeof serverCodec>, of: Body): void {
  for (const piece of of.pieces) codec.send({ type: 'data', bytes: piece })
  codec.send({ type: 'end', trailers: of.trailers })
}

function carry<Event>(from: Http1Codec<unknown, never>, to: Http1Codec<Event, never>, sizes: readonly number[]): Event[] {
  return cut(Buffer.concat(from.drain()), sizes).flatMap(piece => to.receive(piece))
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length]!
    pieces.push(bytes.slice(at, at + size))
    at += size
  }
  return pieces
}

/** One message, as events, in the words of what was sent. */
function plain(events: readonly (ServerEvent | ClientEvent)[]): {
  what: string
  fields: Fields
  body: string
  trailers: Fields
  length: Length
} {
  const [first, ...rest] = events
  const last = rest.pop()
  assert.ok(first?.type === 'request' || first?.type === 'response', JSON.stringify(events))
  assert.ok(last?.type === 'end')
  const what = first.type === 'request' ? `${first.head.method} ${first.head.target}` : `${first.head.status} ${first.head.reason}`
  const body = rest.map(event => (event.type === 'data' ? Buffer.from(event.bytes).toString('latin1') : assert.fail(event.type))).join('')
  return { what, fields: withoutFraming(first.head.fields), body, trailers: last.trailers, length: first.length }
}

const withoutFraming = (list: Fields): Fields => list.filter((_, at) => !/^(?:content-length|transfer-encoding)$/i.test(list[at & ~1]!))
