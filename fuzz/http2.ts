/** Fuzz target of the HTTP/2 codec: frames in any order, broken in small ways and cut anywhere, while the other side is used as a proxy uses it. Whatever comes, the promises below hold. */

import assert from 'node:assert/strict'
import { clientCodec, forwardable, serverCodec } from '../src/wire/http1.ts'
import { type ClientEvent2, clientCodec2, type Limits2, type Request2, type ServerEvent2, serverCodec2 } from '../src/wire/http2.ts'
import {
  Blocks,
  data,
  frame,
  goaway,
  headers,
  number32,
  ping,
  preface,
  reset,
  settings,
  settingsAck,
  types,
  windowUpdate,
} from '../test/harness/h2-frames.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import { run } from './run.ts'

const limits: Partial<Limits2> = {
  maxHeadBytes: 2_000,
  maxTrailerBytes: 300,
  maxFields: 20,
  maxBlockBytes: 4_000,
  maxBlockFrames: 6,
  maxOpenHeadBytes: 6_000,
  maxStreams: 8,
  maxInformational: 3,
  noiseBurst: 40,
  resetBurst: 10,
  maxReplies: 50,
}

/**
 * 1. Nothing that a peer sends is an exception, whatever the caller did before; `failed` is the last event.
 * 2. How the bytes are cut does not matter.
 * 3. Each stream is told in order: a head, DATA no longer than announced, then its end or its reset, and nothing after it.
 * 4. What is kept is bounded: open streams by their limit, and what is owed without being read by the replies' limit.
 * 5. A request that was taken can be written as HTTP/1 and is read there as the very same request: nothing hides in it.
 */
export function check(seed: number): void {
  const random = new Random(seed)
  const isServer = random.chance(0.6)
  const bytes = mutate(random, Buffer.concat(conversation(random, isServer)), pieces)
  const isEnded = random.chance(0.3)
  // A caller that acts at once may end a stream before what breaks its rules has come: then only the other promises hold.
  const isPrompt = isServer && random.chance(0.3)
  const play = isServer ? (...how: Parameters<typeof playClient>): object => playServer(...how, isPrompt) : playClient
  const whole = play(seed, [bytes], isEnded)
  const cuts: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random.below(random.pick([2, 10, 100, 1_000]))
    cuts.push(bytes.subarray(at, at + size))
    at += size
  }
  const singly = Array.from(bytes, byte => Uint8Array.of(byte))
  for (const pieces of [cuts, singly]) {
    const again = play(seed, pieces, isEnded)
    if (!isPrompt) assert.deepEqual(again, whole)
  }
}

type Told = { what: string; body: string; end: string | undefined }

/** Keeps what was told of each stream, and sees to it that it was told in order. */
class Story {
  readonly streams = new Map<number, Told>()
  failed: string | undefined
  add(event: ServerEvent2 | ClientEvent2): void {
    assert.equal(this.failed, undefined, 'an event after failed')
    if (event.type === 'failed') this.failed = event.failure.detail
    if (!('stream' in event)) return
    const told = this.streams.get(event.stream)
    if (event.type === 'refused') this.streams.set(event.stream, { what: 'refused', body: '', end: event.failure.detail })
    else if (event.type === 'request' || event.type === 'response') {
      if (event.type === 'request') assert.equal(told, undefined, 'a second request on a stream')
      assert.equal(told?.end, undefined, 'a head after the end')
      this.streams.set(event.stream, { what: JSON.stringify(event), body: '', end: undefined })
    } else if (event.type === 'data') {
      assert.equal(told!.end, undefined, 'data after the end')
      told!.body += Buffer.from(event.bytes).toString('latin1')
    } else if (event.type === 'end') {
      assert.equal(told!.end, undefined, 'a second end')
      told!.end = JSON.stringify(event.trailers)
    } else if (event.type === 'reset') {
      const before = told ?? { what: '', body: '', end: undefined }
      this.streams.set(event.stream, { ...before, end: `${before.end ?? ''} reset ${event.code}` })
    }
  }
}

function playServer(seed: number, cuts: readonly Uint8Array[], isEnded: boolean, isPrompt: boolean): object {
  const codec = serverCodec2(limits)
  const story = new Story()
  const requests = new Map<number, Extract<ServerEvent2, { type: 'request' }>>()
  const complete: number[] = []
  /** Whether the stream is open still is the codec's affair. */
  const answer = (stream: number): void => {
    const random = new Random(seed + stream)
    if (random.chance(0.2)) return codec.send({ type: 'reset', stream, code: 8 })
    if (random.chance(0.2)) return
    const body = Buffer.alloc(random.below(3_000))
    const head = { status: random.pick([200, 204, 304, 500]), reason: '', minor: 1, fields: ['x', 'y', 'Server', 'a'] } as const
    codec.send({ type: 'response', stream, head, length: body.length })
    codec.send({ type: 'data', stream, bytes: body })
    codec.send({ type: 'end', stream })
  }
  const act = (events: readonly ServerEvent2[]): void => {
    for (const event of events) {
      story.add(event)
      if (event.type === 'data') codec.consumed(event.stream, event.bytes.length)
      else if (event.type === 'request') requests.set(event.stream, event)
      else if (event.type === 'end') {
        sameAsHttp1(requests.get(event.stream)!, story.streams.get(event.stream)!.body, event.trailers)
        if (isPrompt) answer(event.stream)
        else complete.push(event.stream)
      }
    }
    assert.ok(codec.openStreams <= limits.maxStreams!)
  }
  play(codec, cuts, isEnded, act, () => complete.forEach(answer))
  return { failed: story.failed, streams: [...story.streams] }
}

function playClient(seed: number, cuts: readonly Uint8Array[], isEnded: boolean): object {
  const codec = clientCodec2(limits)
  const story = new Story()
  const random = new Random(seed)
  for (let count = 0; count < 6; count++) {
    const method = random.pick(['GET', 'HEAD', 'POST', 'CONNECT'])
    const head = { method, target: method === 'CONNECT' ? 'a:1' : '/', minor: 1, fields: ['Host', 'a', 'x', 'y'] } as const
    const isEnd = random.chance(0.7)
    const stream = codec.open({ head, scheme: 'https', length: isEnd ? 0 : 'chunked', isEnd } satisfies Request2)
    if (!isEnd) codec.send({ type: 'data', stream, bytes: Buffer.alloc(random.below(100_000)) })
  }
  play(codec, cuts, isEnded, (events: readonly ClientEvent2[]) => {
    for (const event of events) {
      story.add(event)
      if (event.type === 'data') codec.consumed(event.stream, event.bytes.length)
    }
  })
  return { failed: story.failed, streams: [...story.streams] }
}

type Player<Event> = {
  receive(bytes: Uint8Array): Event[]
  receiveEnd(): Event[]
  drain(): Uint8Array[]
  readonly openStreams: number
  readonly wantsDrain: boolean
  readonly mustClose: boolean
}

function play<Event>(
  codec: Player<Event>,
  cuts: readonly Uint8Array[],
  isEnded: boolean,
  act: (events: readonly Event[]) => void,
  last = (): void => {},
): void {
  for (const cut of cuts) {
    const lent = Uint8Array.from(cut)
    act(codec.receive(lent))
    lent.fill(0)
  }
  if (isEnded) act(codec.receiveEnd())
  last()
  let owed = 0
  for (const piece of codec.drain()) owed += piece.length
  assert.ok(owed < 700_000, `${owed} bytes are owed`)
  assert.equal(codec.wantsDrain, false)
}

/** What a proxy writes to a workload that speaks HTTP/1. */
function sameAsHttp1(request: Extract<ServerEvent2, { type: 'request' }>, body: string, trailers: readonly string[]): void {
  const { head, length, protocol } = request
  if (head.method === 'CONNECT' || protocol !== undefined) return
  const client = clientCodec()
  client.send({ type: 'request', head: { ...head, fields: forwardable(head.fields) }, length })
  client.send({ type: 'data', bytes: Buffer.from(body, 'latin1') })
  client.send({ type: 'end', trailers })
  const server = serverCodec()
  const [first, ...rest] = server.receive(Buffer.concat(client.drain()))
  assert.ok(first?.type === 'request', JSON.stringify(first))
  assert.deepEqual([first.head.method, first.head.target, first.length], [head.method, head.target, length])
  const again = rest.map(event => (event.type === 'data' ? Buffer.from(event.bytes).toString('latin1') : '')).join('')
  const last = rest.at(-1)
  assert.ok(last?.type === 'end' && again === body && server.wantsBytes, 'another message hides in it')
  assert.deepEqual(last.trailers, length === 'chunked' ? trailers : [])
}

function conversation(random: Random, isServer: boolean): Uint8Array[] {
  const blocks = new Blocks()
  const parts: Uint8Array[] = isServer ? [preface, settings()] : [settings([3, 100])]
  if (random.chance(0.8)) parts.push(settingsAck)
  let stream = 1
  for (let count = random.below(20); count > 0; count--) {
    if (random.chance(0.5)) stream += 2
    parts.push(...step(random, blocks, random.chance(0.9) ? stream : random.below(12), isServer))
  }
  return parts
}

function step(random: Random, blocks: Blocks, stream: number, isServer: boolean): Uint8Array[] {
  const isEnd = random.chance(0.5)
  const message = (): readonly string[] => [
    ...head(random, isServer),
    ...Array.from({ length: random.below(4) }, () => random.pick(lines)).flat(),
  ]
  switch (random.below(13)) {
    case 0:
    case 1:
    case 2:
      return [frame(types.headers, isEnd ? 5 : 4, stream, blocks.of(message().map(text => text.replaceAll(/[\r\n\0]/g, ''))))]
    case 3:
      return [headers(stream, message(), isEnd)]
    case 4: {
      const block = blocks.of(message().map(text => text.replaceAll(/[\r\n\0]/g, '')))
      const cut = random.below(block.length)
      return [
        frame(types.headers, isEnd ? 1 : 0, stream, block.subarray(0, cut)),
        frame(types.continuation, random.chance(0.8) ? 4 : 0, stream, block.subarray(cut)),
      ]
    }
    case 5:
    case 6:
      return [data(stream, Buffer.alloc(random.pick([0, 1, 3, 5, 500]), 'b'), isEnd)]
    case 7:
      return [frame(types.data, isEnd ? 9 : 8, stream, Buffer.from([random.below(6), 1, 2, 3, 0, 0, 0]))]
    case 8:
      return [headers(stream, ['x-t', '1', ...random.pick([[], ['content-length', '5'], [':path', '/']])], random.chance(0.8))]
    case 9:
      return [reset(stream, random.below(14))]
    case 10:
      return [windowUpdate(random.chance(0.5) ? 0 : stream, random.pick([0, 1, 1_000, 0x7fff_ffff]))]
    case 11:
      return [random.pick([ping(), ping(true), settings([random.below(10), random.pick([0, 1, 100, 65_535, 0x7fff_ffff])]), settingsAck])]
    default:
      return [
        random.pick([
          goaway(random.below(9), random.below(3)),
          frame(types.priority, 0, stream, number32(stream, 0).subarray(0, 5)),
          frame(random.below(256), random.below(256), stream, Buffer.alloc(random.below(9))),
        ]),
      ]
  }
}

const head = (random: Random, isServer: boolean): string[] =>
  isServer
    ? [
        ':method',
        random.pick(['GET', 'POST', 'HEAD', 'CONNECT']),
        ':scheme',
        'https',
        ':path',
        random.pick(['/', '/a?b', '*', '']),
        ':authority',
        random.pick(['a', 'b.example:80', 'a,b']),
      ]
    : [':status', random.pick(['200', '204', '304', '100', '101', '103', '500', '99'])]

const lines = [
  ['x', 'y'],
  ['cookie', 'a=b'],
  ['host', 'a'],
  ['content-length', '3'],
  ['content-length', '5'],
  ['te', 'trailers'],
  ['expect', '100-continue'],
  ['x-long', 'z'.repeat(700)],
  ['x-\xe4', '\xe4'],
  ['x', 'a\r\nb: c'],
  ['transfer-encoding', 'chunked'],
  ['connection', 'close'],
  [':protocol', 'websocket'],
  ['', ''],
]

/** Bytes that mean something in a place, to be put into others. */
const pieces = [
  Buffer.from([0]),
  Buffer.from([1]),
  Buffer.from([255]),
  Buffer.from([0, 0, 0]),
  Buffer.from([0x82, 0x86, 0x84, 0x41]),
  Buffer.from([0x40, 0x01, 0x0d]),
  number32(1),
  number32(0x7fff_ffff),
  settings(),
  ping(),
  reset(1, 8),
  windowUpdate(0, 1),
  frame(types.continuation, 4, 1),
  Buffer.from('GET / HTTP/1.1\r\n\r\n'),
]

if (import.meta.main) run('http2', check)
