/** HTTP/2 as one end of a connection meets it: what RFC 9113 demands, limits, peers that only cost, flow control. One file as a whole: all cases drive the same two ends by the same few lines. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  block,
  Blocks,
  data,
  frame,
  framesOf,
  goaway,
  headers,
  number32,
  ping,
  preface,
  reset,
  settings,
  settingsAck,
  told,
  types,
  windowUpdate,
} from '../../test/harness/h2-frames.ts'
import { type ClientEvent2, clientCodec2, errorCodes, type Limits2, type ServerEvent2, serverCodec2, type ServerCodec2 } from './http2.ts'

const get = [':method', 'GET', ':scheme', 'https', ':path', '/', ':authority', 'a.example']
const post = [':method', 'POST', ...get.slice(2)]
const ok = { status: 200, reason: '', minor: 1, fields: [] } as const

/** A server whose client has said hello; what it said itself is drained. */
function server(limits: Partial<Limits2> = {}, ...hello: readonly Uint8Array[]): ServerCodec2 {
  const codec = serverCodec2(limits)
  codec.receive(Buffer.concat([preface, hello.length === 0 ? settings() : Buffer.concat(hello), settingsAck]))
  codec.drain()
  return codec
}

const owed = (codec: { drain(): Uint8Array[] }): string[] => framesOf(codec.drain()).map(told)
const typesOf = (events: readonly (ServerEvent2 | ClientEvent2)[]): string[] => events.map(event => event.type)

/** What a server makes of one request, as one line. */
function verdict(fields: readonly string[], isEnd = true, ...more: readonly Uint8Array[]): string {
  const codec = server()
  const events = codec.receive(Buffer.concat([headers(1, fields, isEnd), ...more]))
  const bad = events.find(event => event.type === 'refused' || event.type === 'reset' || event.type === 'failed')
  if (bad === undefined) return 'taken'
  const sent = owed(codec).find(text => /^(?:reset|goaway)/.test(text))
  return `${sent}: ${'failure' in bad ? bad.failure?.detail : ''}`
}

describe('what a request must be (RFC 9113 §8), so that HTTP/1 can carry it on', () => {
  for (const [what, fields] of [
    ['no :method', get.slice(2)],
    ['no :path', [...get.slice(0, 4), ':authority', 'a']],
    ['no :scheme', [':method', 'GET', ':path', '/', ':authority', 'a']],
    ['an empty :path', [':method', 'GET', ':scheme', 'http', ':path', '', ':authority', 'a']],
    ['a :path that is a URL', [':method', 'GET', ':scheme', 'http', ':path', 'http://b/', ':authority', 'a']],
    ['a :path with a blank', [':method', 'GET', ':scheme', 'http', ':path', '/ HTTP/1.1\r\nHost: b', ':authority', 'a']],
    ['a :path with a fragment', [':method', 'GET', ':scheme', 'http', ':path', '/#a', ':authority', 'a']],
    ['a * for another method than OPTIONS', [':method', 'GET', ':scheme', 'http', ':path', '*', ':authority', 'a']],
    ['several :path', [...get, ':path', '/b']],
    ['several :method', [':method', 'GET', ...get]],
    ['a :status', [...get, ':status', '200']],
    ['a pseudo-header field that nobody knows', [...get, ':host', 'b']],
    ['a pseudo-header field behind another field', [...get.slice(0, 6), 'a', 'b', ':authority', 'a']],
    ['a method with a blank', [':method', 'GET /', ...get.slice(2)]],
    ['an empty method', [':method', '', ...get.slice(2)]],
    ['a scheme that is none', [':method', 'GET', ':scheme', 'ht tp', ...get.slice(4)]],
    ['an authority with a user', [...get.slice(0, 6), ':authority', 'root@a']],
    ['an authority with a comma', [...get.slice(0, 6), ':authority', 'a,b']],
    ['an empty authority', [...get.slice(0, 6), ':authority', '']],
    ['Host that differs from :authority', [...get, 'host', 'b.example']],
    ['a host with an empty part', [...get.slice(0, 6), ':authority', 'a.example..']],
    ['several Host', [...get.slice(0, 6), 'host', 'a', 'host', 'a']],
    ['an upper-case name', [...get, 'X-A', 'b']],
    ['an empty name', [...get, '', 'b']],
    ['a name with a colon', [...get, 'a:b', 'c']],
    ['a name with a blank', [...get, 'transfer-encoding ', 'chunked']],
    ['a name with CR and LF', [...get, 'a\r\nb', 'c']],
    ['a value with CR and LF', [...get, 'a', 'b\r\ntransfer-encoding: chunked']],
    ['a value with LF', [...get, 'a', 'b\nc']],
    ['a value with NUL', [...get, 'a', 'b\0c']],
    ['a value that begins with a blank', [...get, 'a', ' b']],
    ['a value that ends with a tab', [...get, 'a', 'b\t']],
    ['Connection', [...get, 'connection', 'close']],
    ['Keep-Alive', [...get, 'keep-alive', 'timeout=5']],
    ['Proxy-Connection', [...get, 'proxy-connection', 'close']],
    ['Transfer-Encoding', [...get, 'transfer-encoding', 'chunked']],
    ['Upgrade', [...get, 'upgrade', 'websocket']],
    ['TE other than trailers', [...get, 'te', 'gzip']],
    ['several Content-Length', [...post, 'content-length', '3', 'content-length', '3']],
    ['a Content-Length that is no number', [...post, 'content-length', '+3']],
    ['a Content-Length that is a list', [...post, 'content-length', '3, 3']],
    ['a Content-Length without DATA', [...post, 'content-length', '3']],
    ['CONNECT with a path', [':method', 'CONNECT', ':authority', 'a:1', ':path', '/']],
    ['CONNECT without a port', [':method', 'CONNECT', ':authority', 'a']],
    [':protocol without CONNECT', [...get, ':protocol', 'websocket']],
  ] as const)
    test(`refused with PROTOCOL_ERROR: ${what}`, () => assert.match(verdict(fields), /^reset 1 1: RFC/))

  for (const [what, fields] of [
    ['TE: trailers', [...get, 'te', 'trailers']],
    ['* for OPTIONS', [':method', 'OPTIONS', ':scheme', 'http', ':path', '*', ':authority', 'a']],
    ['Host that says the same as :authority', [...get, 'host', 'A.example']],
    ['Host alone', [...get.slice(0, 6), 'host', 'a']],
    ['no authority at all', get.slice(0, 6)],
    ['CONNECT', [':method', 'CONNECT', ':authority', 'a:1']],
    ['an IPv6 authority', [...get.slice(0, 6), ':authority', '[::1]:80']],
    ['bytes above 127 in a value', [...get, 'a', '\xe4']],
    ['a tab inside a value', [...get, 'a', 'b\tc']],
    ['an empty value', [...get, 'a', '']],
  ] as const)
    test(`taken: ${what}`, () => assert.equal(verdict(fields), 'taken'))

  test('DATA must add up to Content-Length', () => {
    const counted = [...post, 'content-length', '3']
    assert.equal(verdict(counted, false, data(1, 'abc', true)), 'taken')
    assert.equal(verdict(counted, false, data(1, 'ab'), data(1, 'c'), data(1, '', true)), 'taken')
    assert.match(verdict(counted, false, data(1, 'ab', true)), /^reset 1 1: .*add up/)
    assert.match(verdict(counted, false, data(1, 'abcd')), /^reset 1 1: .*add up/)
    assert.match(verdict(counted, false, data(1, 'ab'), headers(1, ['x-t', '1'])), /^reset 1 1: .*add up/)
  })

  test('trailers end the request, hold no pseudo-header field, and lose what may not trail', () => {
    assert.match(verdict(post, false, headers(1, ['x-t', '1'], false)), /^reset 1 1: .*second head/)
    assert.match(verdict(post, false, headers(1, [':path', '/b'])), /^reset 1 1: .*trailers/)
    const codec = server()
    const events = codec.receive(
      Buffer.concat([
        headers(1, post, false),
        headers(1, ['x-t', '1', 'content-length', '5', 'authorization', 'b', 'x-forwarded-for', 'c']),
      ]),
    )
    assert.deepEqual(events.at(-1), { type: 'end', stream: 1, trailers: ['x-t', '1'] })
  })

  test('the head is told as HTTP/1 would tell it: Host first, cookies as one', () => {
    const [request] = server().receive(headers(1, [...get, 'cookie', 'a=1', 'x', 'y', 'cookie', 'b=2', 'expect', '100-continue']))
    assert.ok(request?.type === 'request')
    assert.deepEqual(request.head, {
      method: 'GET',
      target: '/',
      minor: 1,
      fields: ['host', 'a.example', 'cookie', 'a=1; b=2', 'x', 'y', 'expect', '100-continue'],
    })
    assert.deepEqual([request.scheme, request.length, request.protocol, request.expectsContinue], ['https', 0, undefined, true])
  })

  test('an extended CONNECT is told with its protocol and path (RFC 8441)', () => {
    const codec = server()
    const [request] = codec.receive(headers(1, [':method', 'CONNECT', ':protocol', 'websocket', ...get.slice(2)], false))
    assert.ok(request?.type === 'request')
    assert.deepEqual([request.protocol, request.head.target, request.length], ['websocket', '/', 'chunked'])
    codec.send({ type: 'response', stream: 1, head: ok, length: 'chunked' })
    codec.send({ type: 'end', stream: 1 })
    assert.deepEqual(owed(codec), ['headers 1 1 end'])
    assert.deepEqual(
      codec.receive(data(1, 'on', true)).map(event => event.type),
      ['data', 'end'],
      'a tunnel is half-closed, not reset',
    )
  })
})

describe('limits of heads', () => {
  test('a head past the limit is answered 431, and the connection and its header table go on', () => {
    const codec = server({ maxHeadBytes: 500 })
    const blocks = new Blocks()
    const large = [...get, 'x-large', 'y'.repeat(400), 'user-agent', 'stays-in-the-table']
    const events = codec.receive(frame(types.headers, 4, 1, blocks.of(large)))
    assert.ok(events[0]?.type === 'refused' && events[0].failure.code === 'header-too-large')
    assert.deepEqual(
      owed(codec).map(text => text.replace(/ \d+ end$/, '')),
      ['headers 1', 'reset 1 0'],
    )
    const [request] = codec.receive(frame(types.headers, 5, 3, blocks.of([...get, 'user-agent', 'stays-in-the-table'])))
    assert.ok(request?.type === 'request')
    assert.deepEqual(request.head.fields, ['host', 'a.example', 'user-agent', 'stays-in-the-table'])
  })

  test('fields that cost one byte each, out of the table, are counted in full', () => {
    const codec = server({ maxHeadBytes: 16_384 })
    const events = codec.receive(
      frame(
        types.headers,
        5,
        1,
        Buffer.concat([block(get), Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]), Buffer.alloc(4_000, 0x62), Buffer.alloc(4_000, 0xbe)]),
      ),
    )
    assert.deepEqual(typesOf(events), ['refused'])
    assert.equal(codec.mustClose, false)
  })

  test('too many fields are refused, too many trailers reset', () => {
    const many = Array.from({ length: 200 }, (_, at) => [`x-${at}`, '']).flat()
    const [refused] = server().receive(headers(1, [...get, ...many]))
    assert.ok(refused?.type === 'refused' && refused.failure.code === 'header-too-large')
    const codec = server({ maxTrailerBytes: 100 })
    const events = codec.receive(Buffer.concat([headers(1, post, false), headers(1, ['x-t', 'y'.repeat(100)])]))
    assert.deepEqual(typesOf(events), ['request', 'reset'])
    assert.deepEqual(owed(codec), ['reset 1 11'])
  })

  test('heads of open streams are bounded together: past it new streams are refused', () => {
    const codec = server({ maxOpenHeadBytes: 2_000 })
    const large = [...get, 'x', 'y'.repeat(500)]
    assert.deepEqual(
      [1, 3, 5].flatMap(stream => typesOf(codec.receive(headers(stream, large, false)))),
      ['request', 'request', 'refused'],
    )
    assert.deepEqual(owed(codec), ['reset 5 7'])
    codec.send({ type: 'reset', stream: 1, code: errorCodes.cancel })
    assert.deepEqual(typesOf(codec.receive(headers(7, large, false))), ['request'])
  })

  test('more streams than allowed are refused, and the next one that fits is taken', () => {
    const codec = server({ maxStreams: 2 })
    assert.deepEqual(
      [1, 3, 5].flatMap(stream => typesOf(codec.receive(headers(stream, get)))),
      ['request', 'end', 'request', 'end', 'refused'],
    )
    codec.send({ type: 'response', stream: 1, head: ok, length: 0, isEnd: true })
    assert.deepEqual([codec.openStreams, typesOf(codec.receive(headers(7, get)))], [1, ['request', 'end']])
  })
})

/** Sends pieces of hostility until the connection is given up; returns after how many, and the last word. */
function flood(
  piece: (time: number) => Uint8Array,
  limits: Partial<Limits2> = {},
  answer?: (codec: ServerCodec2, events: readonly ServerEvent2[]) => void,
): string {
  const codec = server(limits)
  let bytes = 0
  for (let time = 0; time < 20_000; time++) {
    const events = codec.receive(piece(time))
    answer?.(codec, events)
    const sent = codec.drain()
    for (const each of sent) bytes += each.length
    const last = events.at(-1)
    if (last?.type !== 'failed') continue
    assert.ok(codec.mustClose)
    assert.deepEqual(codec.receive(headers(99_999, get)), [], 'nothing is read any more')
    assert.ok(bytes < 200_000, `${bytes} bytes were answered`)
    return `${time < 100 ? 'at once' : time < 3_000 ? 'soon' : 'late'}: ${framesOf(sent).map(told).at(-1)?.replace(/ \d+ /, ' ')}`
  }
  return 'never'
}

describe('a peer that only costs is told ENHANCE_YOUR_CALM', () => {
  const calm = /^(?:at once|soon): goaway 11$/
  for (const [what, piece] of [
    ['PING', () => ping()],
    ['acknowledged PING', () => ping(true)],
    ['SETTINGS', () => settings([4, 65_535])],
    ['acknowledged SETTINGS', () => settingsAck],
    ['PRIORITY', () => frame(types.priority, 0, 1, number32(0, 0).subarray(0, 5))],
    ['WINDOW_UPDATE', () => windowUpdate(0, 1)],
    ['frames of a type that nobody knows', () => frame(0xee, 0, 0)],
    [
      'streams that it resets at once (CVE-2023-44487)',
      (time: number) => Buffer.concat([headers(time * 2 + 1, get), reset(time * 2 + 1, 8)]),
    ],
    [
      'streams that it makes us reset (CVE-2025-8671)',
      (time: number) => Buffer.concat([headers(time * 2 + 1, post, false), windowUpdate(time * 2 + 1, 0)]),
    ],
    [
      'streams that overflow their window',
      (time: number) => Buffer.concat([headers(time * 2 + 1, post, false), windowUpdate(time * 2 + 1, 0x7fff_ffff)]),
    ],
    ['requests that are malformed', (time: number) => headers(time * 2 + 1, ['a', 'b'])],
    ['requests that are too large', (time: number) => headers(time * 2 + 1, [...get, 'a', 'b'.repeat(9_000)])],
  ] as const)
    test(what, () => assert.match(flood(piece, { maxHeadBytes: 8_192 }), calm))

  test('DATA without bytes', () => {
    assert.match(
      flood(time => (time === 0 ? headers(1, post, false) : data(1, ''))),
      calm,
    )
    assert.match(
      flood(time => (time === 0 ? headers(1, post, false) : frame(types.data, 8, 1, Buffer.from([3, 0, 0, 0])))),
      calm,
      'padding only',
    )
  })

  test('CONTINUATION without end, with and without bytes', () => {
    assert.match(
      flood(time => (time === 0 ? frame(types.headers, 0, 1, block(get)) : frame(types.continuation, 0, 1))),
      calm,
    )
    assert.match(
      flood(time => (time === 0 ? frame(types.headers, 0, 1, block(get)) : frame(types.continuation, 0, 1, Buffer.alloc(16_000, 0x82)))),
      calm,
    )
  })

  test('a settings frame with thousands of settings', () => {
    assert.match(
      flood(() => settings(...Array.from({ length: 2_000 }, (_, at) => [4, at] as const))),
      calm,
    )
  })

  test('replies that are never read', () => {
    const codec = server({ noiseBurst: 1e9, maxReplies: 100 })
    for (let time = 0; time < 100; time++) assert.deepEqual(codec.receive(ping()), [])
    assert.deepEqual(typesOf(codec.receive(ping())), ['failed'])
    assert.ok(Buffer.concat(codec.drain()).length < 3_000)
  })

  test('work that is done, and time, earn it more', () => {
    const answered = (codec: ServerCodec2, events: readonly ServerEvent2[]): void => {
      for (const event of events)
        if (event.type === 'request') codec.send({ type: 'response', stream: event.stream, head: ok, length: 0, isEnd: true })
    }
    const each = (time: number): Uint8Array => Buffer.concat([headers(time * 2 + 1, get), ping(), windowUpdate(0, 1)])
    assert.equal(flood(each, {}, answered), 'never')
    const codec = server()
    codec.tick(0)
    for (let second = 1; second < 200; second++) {
      codec.tick(second * 1_000)
      for (let time = 0; time < 90; time++) assert.deepEqual(codec.receive(ping()), [])
      codec.drain()
    }
  })
})

describe('flow control', () => {
  const ask = (codec: ServerCodec2): void => {
    codec.receive(headers(1, get))
    codec.send({ type: 'response', stream: 1, head: ok, length: 'chunked' })
  }

  test('no more is sent than the windows of stream and connection let through; the rest follows as they open', () => {
    const codec = server({}, settings([4, 10]))
    ask(codec)
    assert.equal(codec.isWritable(1), true)
    codec.send({ type: 'data', stream: 1, bytes: Buffer.alloc(25) })
    codec.send({ type: 'end', stream: 1, trailers: ['x-t', '1'] })
    assert.deepEqual(owed(codec), ['headers 1 1', 'data 1 10'])
    assert.equal(codec.wantsDrain, false)
    codec.receive(windowUpdate(1, 5))
    assert.deepEqual(owed(codec), ['data 1 5'])
    codec.receive(settings([4, 19]))
    assert.deepEqual(owed(codec), ['settings ack', 'data 1 9'])
    codec.receive(windowUpdate(1, 1))
    const [last, trailers] = framesOf(codec.drain())
    assert.deepEqual([told(last!), trailers!.type, trailers!.flags], ['data 1 1', types.headers, 5])
    assert.equal(codec.openStreams, 0)
  })

  test('what waits for the window of its own stream does not keep other streams from being filled', () => {
    const codec = server({}, settings([4, 10]))
    ask(codec)
    codec.send({ type: 'data', stream: 1, bytes: Buffer.alloc(100_000) })
    assert.deepEqual(owed(codec), ['headers 1 1', 'data 1 10'])
    assert.equal(codec.queued(1), 99_990)
    codec.receive(headers(3, get))
    codec.send({ type: 'response', stream: 3, head: ok, length: 'chunked' })
    assert.deepEqual([codec.isWritable(1), codec.isWritable(3)], [false, true])
  })

  test('who was told to wait before the end hears when all is written', () => {
    const codec = server({}, settings([4, 10]))
    ask(codec)
    codec.send({ type: 'data', stream: 1, bytes: Buffer.alloc(20) })
    assert.equal(codec.isWritable(1), false)
    codec.send({ type: 'end', stream: 1 })
    codec.drain()
    assert.deepEqual(typesOf(codec.receive(windowUpdate(1, 5))), [])
    codec.drain()
    codec.receive(windowUpdate(1, 5))
    assert.deepEqual(owed(codec), ['data 1 5 end'])
    assert.deepEqual(typesOf(codec.receive(new Uint8Array(0))), ['writable'])
  })

  test('a window that a setting made negative waits, and is no error (RFC 9113 §6.9.2)', () => {
    const codec = server({}, settings([4, 10]))
    ask(codec)
    codec.send({ type: 'data', stream: 1, bytes: Buffer.alloc(20) })
    codec.drain()
    codec.receive(settings([4, 3]))
    codec.receive(windowUpdate(1, 7))
    assert.deepEqual(owed(codec), ['settings ack'])
    codec.receive(windowUpdate(1, 1))
    assert.deepEqual(owed(codec), ['data 1 1'])
  })

  test('a stream whose window is closed does not hold the others up, and those take turns', () => {
    const codec = server({}, settings([4, 100_000]))
    for (const stream of [1, 3, 5]) {
      codec.receive(headers(stream, get))
      codec.send({ type: 'response', stream, head: ok, length: 'chunked' })
      codec.send({ type: 'data', stream, bytes: Buffer.alloc(stream === 1 ? 40_000 : 20_000) })
    }
    codec.receive(settings([4, 30_000]))
    const turns = owed(codec).filter(text => text.startsWith('data'))
    assert.deepEqual(
      turns,
      ['data 1 16384', 'data 3 16384', 'data 5 16384', 'data 1 13616', 'data 3 2767'],
      'until the 65,535 of the connection are used up',
    )
    codec.receive(windowUpdate(0, 100_000))
    assert.deepEqual(owed(codec), ['data 5 3616', 'data 3 849'])
  })

  test('drain takes as much of bodies as there is room for; heads and control frames always', () => {
    const codec = server()
    ask(codec)
    codec.send({ type: 'data', stream: 1, bytes: Buffer.alloc(50_000) })
    codec.receive(ping())
    assert.deepEqual(framesOf(codec.drain(0)).map(told), ['headers 1 1', 'ping ack'])
    assert.deepEqual(framesOf(codec.drain(1)).map(told), ['data 1 16384'])
    assert.equal(codec.wantsDrain, true)
    assert.deepEqual(owed(codec), ['data 1 16384', 'data 1 16384', 'data 1 848'])
  })

  test('isWritable says no when much is queued or a window is closed, and `writable` follows once', () => {
    const codec = server({}, settings([4, 40_000]))
    ask(codec)
    codec.send({ type: 'data', stream: 1, bytes: Buffer.alloc(30_000) })
    assert.equal(codec.isWritable(1), true)
    codec.send({ type: 'data', stream: 1, bytes: Buffer.alloc(10_000) })
    assert.equal(codec.isWritable(1), false)
    codec.drain()
    assert.equal(codec.hasEvents, false, 'the window of the stream is closed')
    assert.deepEqual(codec.receive(windowUpdate(1, 100_000)), [{ type: 'writable', stream: 1 }])
    codec.send({ type: 'data', stream: 1, bytes: Buffer.alloc(80_000) })
    assert.equal(codec.isWritable(1), false)
    codec.receive(windowUpdate(0, 1_000_000))
    codec.drain()
    assert.equal(codec.hasEvents, true, 'drain() emptied the queue')
    assert.deepEqual(codec.receive(new Uint8Array(0)), [{ type: 'writable', stream: 1 }])
    assert.deepEqual(codec.receive(new Uint8Array(0)), [])
  })

  test('pieces above 4 KiB are handed out as they were given; lent ones that cannot leave are copied', () => {
    const codec = server({}, settings([4, 5_000]))
    ask(codec)
    codec.drain()
    const piece = Buffer.alloc(5_000, 1)
    codec.send({ type: 'data', stream: 1, bytes: piece, isLent: true })
    const pieces = codec.drain()
    assert.equal(pieces.length, 2)
    assert.equal(pieces[1], piece)
    const lent = Buffer.alloc(3, 1)
    codec.send({ type: 'data', stream: 1, bytes: lent, isLent: true })
    assert.deepEqual(codec.drain(), [])
    lent.fill(9)
    codec.receive(windowUpdate(1, 5))
    assert.deepEqual([...Buffer.concat(codec.drain()).subarray(9)], [1, 1, 1])
  })

  test('what is consumed is given back half a window at a time; what is not, closes the window of its stream only', () => {
    const codec = server({ streamWindow: 65_535, connectionWindow: 100_000 })
    codec.receive(Buffer.concat([headers(1, post, false), headers(3, post, false)]))
    const piece = Buffer.alloc(16_000)
    codec.receive(data(1, piece))
    codec.consumed(1, 16_000)
    assert.deepEqual(owed(codec), [])
    codec.receive(data(1, piece))
    codec.consumed(1, 16_000)
    codec.receive(data(1, Buffer.alloc(768)))
    codec.consumed(1, 768)
    assert.deepEqual(owed(codec), ['windowUpdate 1 32768'])
    for (let time = 0; time < 4; time++) codec.receive(data(3, piece))
    assert.deepEqual(owed(codec), ['windowUpdate 0 64768'], 'nobody read stream 3, and the connection goes on')
    assert.deepEqual(typesOf(codec.receive(data(3, piece))), ['reset'])
    assert.deepEqual(owed(codec), ['reset 3 3'])
    assert.deepEqual(typesOf(codec.receive(data(1, 'on'))), ['data'])
  })

  test('more than the connection may hold unread closes the window of the connection until it is read', () => {
    const codec = server({ streamWindow: 65_535, connectionWindow: 100_000, maxHeldBytes: 150_000 })
    for (const stream of [1, 3]) {
      codec.receive(headers(stream, post, false))
      for (let time = 0; time < 3; time++) codec.receive(data(stream, Buffer.alloc(15_000)))
    }
    assert.deepEqual(owed(codec), [])
    codec.consumed(1, 30_000)
    assert.deepEqual(owed(codec), [])
    codec.consumed(3, 30_000)
    assert.deepEqual(owed(codec), ['windowUpdate 0 90000'])
  })

  test('what a reset stream was holding is given back', () => {
    const codec = server({ streamWindow: 65_535, connectionWindow: 100_000, maxHeldBytes: 150_000 })
    for (const stream of [1, 3, 5, 7, 9]) {
      codec.receive(headers(stream, post, false))
      for (let time = 0; time < 3; time++) codec.receive(data(stream, Buffer.alloc(16_000)))
      codec.send({ type: 'reset', stream, code: errorCodes.cancel })
      codec.receive(data(stream, Buffer.alloc(16_000)))
      codec.drain()
    }
    assert.equal(codec.mustClose, false)
  })

  test('a body that has ended stays accounted for until it is read', () => {
    const codec = server({ streamWindow: 65_535, connectionWindow: 100_000, maxHeldBytes: 120_000 })
    codec.receive(
      Buffer.concat([
        headers(1, post, false),
        data(1, Buffer.alloc(16_000)),
        data(1, Buffer.alloc(16_000)),
        data(1, Buffer.alloc(16_000)),
        data(1, Buffer.alloc(8_000), true),
      ]),
    )
    codec.send({ type: 'response', stream: 1, head: ok, length: 0, isEnd: true })
    assert.equal(codec.openStreams, 0)
    codec.drain()
    codec.consumed(1, 40_000)
    assert.deepEqual(owed(codec), ['windowUpdate 0 56000'])
  })
})

describe('the life of streams', () => {
  test('a response without body is one frame, whether that is known at once or not', () => {
    const codec = server()
    for (const stream of [1, 3]) codec.receive(headers(stream, get))
    codec.send({ type: 'response', stream: 1, head: ok, length: 0, isEnd: true })
    codec.send({ type: 'response', stream: 3, head: ok, length: 0 })
    codec.send({ type: 'end', stream: 3 })
    assert.deepEqual(
      framesOf(codec.drain()).map(({ type, flags, stream }) => [type, flags, stream]),
      [
        [1, 5, 1],
        [1, 5, 3],
      ],
    )
  })

  test('a response that ends first ends the request too, with NO_ERROR; what is on the way is thrown away', () => {
    const codec = server()
    codec.receive(headers(1, post, false))
    codec.send({ type: 'response', stream: 1, head: ok, length: 2 })
    codec.send({ type: 'data', stream: 1, bytes: Buffer.from('no') })
    codec.send({ type: 'end', stream: 1 })
    assert.deepEqual(owed(codec).slice(1), ['data 1 2 end', 'reset 1 0'])
    assert.deepEqual(codec.receive(Buffer.concat([data(1, 'late'), data(1, '', true)])), [])
    codec.consumed(1, 4)
    codec.send({ type: 'data', stream: 1, bytes: Buffer.from('x') })
    assert.deepEqual(codec.drain(), [])
  })

  test('the bodies of answers to HEAD and of 204 and 304 are dropped; their length is told but for 204', () => {
    for (const [method, status, fields, length, told] of [
      ['HEAD', 200, ['content-length', '7'], 0, '7'],
      ['HEAD', 200, [], 9, '9'],
      ['HEAD', 200, ['content-length', '7'], 'chunked', '7'],
      ['GET', 304, ['content-length', '7'], 0, '7'],
      ['GET', 204, ['content-length', '7'], 0, undefined],
      ['GET', 200, ['content-length', '7'], 3, '3'],
    ] as const) {
      const { client, exchange } = pair()
      const stream = client.open({ head: { method, target: '/', minor: 1, fields: ['Host', 'a'] }, scheme: 'http', length: 0, isEnd: true })
      const { events } = exchange(codec => {
        codec.send({ type: 'response', stream, head: { ...ok, status, fields }, length })
        codec.send({ type: 'data', stream, bytes: Buffer.from('abc') })
        codec.send({ type: 'end', stream })
      })
      const response = events.find(event => event.type === 'response')
      assert.ok(response?.type === 'response')
      const at = response.head.fields.indexOf('content-length')
      assert.equal(at < 0 ? undefined : response.head.fields[at + 1], told, `${method} ${status}`)
      assert.equal(events.filter(event => event.type === 'data').length, status === 200 && method === 'GET' ? 1 : 0)
      assert.equal(events.at(-1)?.type, 'end')
    }
  })

  test('a reset is told both ways, and what still comes for the stream is ignored by who sent it', () => {
    const codec = server()
    codec.receive(Buffer.concat([headers(1, post, false), headers(3, post, false)]))
    codec.send({ type: 'reset', stream: 1, code: errorCodes.cancel })
    assert.deepEqual(owed(codec), ['reset 1 8'])
    assert.deepEqual(codec.receive(Buffer.concat([data(1, 'late'), headers(1, ['x-t', '1']), windowUpdate(1, 5), reset(1, 8)])), [])
    assert.deepEqual(codec.receive(reset(3, 8)), [{ type: 'reset', stream: 3, code: 8, isSafe: false, failure: undefined }])
    codec.send({ type: 'response', stream: 3, head: ok, length: 0 })
    codec.send({ type: 'end', stream: 3 })
    codec.send({ type: 'reset', stream: 3, code: 8 })
    assert.deepEqual(owed(codec), [], 'a caller that did not know yet does no harm')
  })

  test('what a caller does out of order is an Error', () => {
    const codec = server()
    codec.receive(headers(1, post, false))
    assert.throws(() => codec.send({ type: 'data', stream: 1, bytes: Buffer.from('a') }), /data while the message is "head"/)
    assert.throws(() => codec.send({ type: 'response', stream: 5, head: ok, length: 0 }), /there is no stream 5/)
    codec.send({ type: 'response', stream: 1, head: ok, length: 3 })
    assert.throws(() => codec.send({ type: 'response', stream: 1, head: ok, length: 3 }), /a response while/)
    assert.throws(() => codec.send({ type: 'data', stream: 1, bytes: Buffer.from('abcd') }), /more data/)
    codec.send({ type: 'data', stream: 1, bytes: Buffer.from('ab') })
    assert.throws(() => codec.send({ type: 'end', stream: 1 }), /1 bytes of the announced length are missing/)
  })

  test('a head that cannot be written leaves the stream as it was and both tables equal', () => {
    const { client, server: codec, exchange } = pair()
    const ask = (): number =>
      client.open({ head: { method: 'GET', target: '/', minor: 1, fields: ['Host', 'a'] }, scheme: 'http', length: 0, isEnd: true })
    const stream = ask()
    const { events } = exchange(() => {
      assert.throws(
        () => codec.send({ type: 'response', stream, head: { ...ok, fields: ['server', 'new in the table', 'a', 'b\r\nc'] }, length: 0 }),
        /cannot be written/,
      )
      assert.throws(() => codec.send({ type: 'response', stream, head: { ...ok, fields: ['a b', 'c'] }, length: 0 }), /is not a field name/)
      codec.send({ type: 'response', stream, head: { ...ok, status: 500, fields: ['server', 'weft'] }, length: 0, isEnd: true })
    })
    const again = ask()
    const { events: more } = exchange(() =>
      codec.send({ type: 'response', stream: again, head: { ...ok, fields: ['server', 'weft'] }, length: 0, isEnd: true }),
    )
    for (const [list, status] of [
      [events, 500],
      [more, 200],
    ] as const) {
      const response = list.find(event => event.type === 'response')
      assert.ok(response?.type === 'response')
      assert.deepEqual([response.head.status, response.head.fields], [status, ['server', 'weft', 'content-length', '0']])
    }
  })

  test('Connection and its like are not written, TE but for trailers neither, and blanks around values are cut off', () => {
    const { client, exchange } = pair()
    client.open({
      head: {
        method: 'GET',
        target: 'http://a.example/x?y',
        minor: 1,
        fields: [
          'Host',
          'a',
          'Connection',
          'x',
          'Keep-Alive',
          '5',
          'Upgrade',
          'h2c',
          'Transfer-Encoding',
          'chunked',
          'TE',
          'gzip, trailers',
          'Content-Length',
          '5',
          'X-A',
          ' b ',
        ],
      },
      scheme: 'http',
      length: 0,
      isEnd: true,
    })
    const { asked } = exchange(() => {})
    assert.ok(asked[0]?.type === 'request')
    assert.deepEqual([asked[0].head.target, asked[0].head.fields], ['/x?y', ['host', 'a', 'te', 'trailers', 'x-a', 'b']])
  })
})

/** A client and a server joined by bytes. `exchange` carries what is asked, lets the server answer, and carries that. */
function pair(limits: Partial<Limits2> = {}): {
  client: ReturnType<typeof clientCodec2>
  server: ServerCodec2
  exchange(answer: (server: ServerCodec2) => void): { asked: ServerEvent2[]; events: ClientEvent2[] }
} {
  const client = clientCodec2(limits)
  const codec = serverCodec2(limits)
  const carry = <Event>(from: { drain(): Uint8Array[] }, to: { receive(bytes: Uint8Array): Event[] }): Event[] =>
    to.receive(Buffer.concat(from.drain()))
  carry(client, codec)
  carry(codec, client)
  carry(client, codec)
  return {
    client,
    server: codec,
    exchange(answer) {
      const asked = carry(client, codec)
      answer(codec)
      return { asked, events: carry(codec, client) }
    },
  }
}

describe('a client', () => {
  const request = { head: { method: 'GET', target: '/', minor: 1, fields: ['Host', 'a'] }, scheme: 'http', length: 0, isEnd: true } as const
  /** A client whose server has said hello. */
  function client(...hello: readonly Uint8Array[]): ReturnType<typeof clientCodec2> {
    const codec = clientCodec2()
    codec.receive(hello.length === 0 ? settings() : Buffer.concat(hello))
    codec.drain()
    return codec
  }
  const answer = [':status', '200']

  test('opens as many streams as the server lets it', () => {
    const codec = client(settings([3, 2]))
    assert.deepEqual([codec.open(request), codec.open(request), codec.canOpen], [1, 3, false])
    assert.throws(() => codec.open(request), /canOpen/)
    codec.receive(headers(1, answer))
    assert.equal(codec.canOpen, true)
    assert.deepEqual(typesOf(codec.receive(settings([3, 0]))), ['settings'])
    assert.equal(codec.canOpen, false)
  })

  test('opens no more streams than one connection should carry, where the server sets no limit', () => {
    const codec = client()
    let opened = 0
    for (; codec.canOpen; opened++) codec.open(request)
    assert.equal(opened, 500)
  })

  test('learns from REFUSED_STREAM and from GOAWAY which requests were not looked at', () => {
    const codec = client()
    for (let time = 0; time < 4; time++) codec.open(request)
    assert.deepEqual(codec.receive(reset(1, errorCodes.refusedStream)), [
      { type: 'reset', stream: 1, code: 7, isSafe: true, failure: undefined },
    ])
    assert.deepEqual(
      codec.receive(goaway(3, 0)).map(event => (event.type === 'reset' ? `${event.stream} ${event.isSafe}` : event.type)),
      ['goaway', '5 true', '7 true'],
    )
    assert.deepEqual([codec.canOpen, codec.isDraining, codec.mustClose, codec.openStreams], [false, true, false, 1])
    assert.deepEqual(typesOf(codec.receive(headers(3, answer))), ['response', 'end'])
    assert.equal(codec.mustClose, true)
  })

  test('is told when the server does not want the rest of the request', () => {
    const codec = client()
    codec.open({ ...request, length: 'chunked', isEnd: false })
    assert.deepEqual(
      codec
        .receive(Buffer.concat([headers(1, answer), reset(1, 0)]))
        .map(event => (event.type === 'reset' ? `reset ${event.code}` : event.type)),
      ['response', 'end', 'reset 0'],
    )
    codec.send({ type: 'data', stream: 1, bytes: Buffer.from('more') })
    codec.send({ type: 'end', stream: 1 })
    assert.deepEqual(
      framesOf(codec.drain()).map(({ type }) => type),
      [types.headers],
    )
  })

  for (const [what, frames, code] of [
    ['no :status', [headers(1, ['a', 'b'])], 1],
    ['a :status that is none', [headers(1, [':status', '20'])], 1],
    ['a request as response', [headers(1, get)], 1],
    ['101', [headers(1, [':status', '101'])], 1],
    ['a 1xx that ends the stream', [headers(1, [':status', '103'])], 1],
    ['DATA before the head', [data(1, 'a')], 1],
    ['DATA that is more than announced', [headers(1, [...answer, 'content-length', '1'], false), data(1, 'ab')], 1],
    ['a second head', [headers(1, answer, false), headers(1, answer, false)], 1],
    ['upper-case names', [headers(1, [...answer, 'A', 'b'])], 1],
    ['a head past the limit', [headers(1, [...answer, 'a', 'b'.repeat(15_000), 'c', 'b'.repeat(700)])], 11],
    ['33 informational responses', Array.from({ length: 33 }, () => headers(1, [':status', '103'], false)), 1],
  ] as const)
    test(`resets a stream with ${what}`, () => {
      const codec = clientCodec2({ maxHeadBytes: 15_000 })
      codec.receive(settings())
      codec.open(request)
      codec.drain()
      const last = codec.receive(Buffer.concat(frames)).at(-1)
      assert.ok(last?.type === 'reset' && last.code === code && last.failure?.code === 'upstream-invalid', JSON.stringify(last))
      assert.deepEqual([owed(codec), codec.mustClose], [[`reset 1 ${code}`], false])
    })

  for (const [what, bytes, code] of [
    ['PUSH_PROMISE', frame(types.push, 4, 1, number32(2)), 1],
    ['a stream of the server', headers(2, answer), 1],
    ['a response to nothing', headers(9, answer), 1],
    ['DATA for nothing', data(9, 'a'), 1],
    ['SETTINGS_ENABLE_PUSH', settings([2, 1]), 1],
    ['HTTP/1', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 6],
  ] as const)
    test(`ends the connection for ${what}`, () => {
      const codec = client()
      codec.open(request)
      codec.drain()
      assert.deepEqual(typesOf(codec.receive(bytes)), ['failed'])
      assert.deepEqual([owed(codec), codec.mustClose, codec.canOpen], [[`goaway 0 ${code}`], true, false])
    })

  test('opens an extended CONNECT only where the server takes them', () => {
    const websocket = {
      ...request,
      head: { ...request.head, method: 'CONNECT' },
      protocol: 'websocket',
      length: 'chunked',
      isEnd: false,
    } as const
    assert.throws(() => client().open(websocket), /allowsProtocol/)
    const codec = client(settings([8, 1]))
    assert.equal(codec.allowsProtocol, true)
    codec.open(websocket)
    assert.deepEqual(typesOf(codec.receive(headers(1, answer, false))), ['response'])
    codec.send({ type: 'data', stream: 1, bytes: Buffer.from('frame') })
    assert.equal(owed(codec).at(-1), 'data 1 5')
  })

  test('that is hung up on fails with the streams that were open, and not without', () => {
    const codec = client()
    codec.open(request)
    const [failed] = codec.receiveEnd()
    assert.ok(failed?.type === 'failed' && failed.failure.code === 'upstream-reset')
    assert.deepEqual([client().receiveEnd(), codec.receiveEnd()], [[], []])
  })
})

describe('the end of a connection', () => {
  test('a server leaves in two steps, and what came between them is served', () => {
    const codec = server()
    codec.receive(headers(1, get))
    codec.send({ type: 'goaway', code: errorCodes.noError })
    const [first, probe] = framesOf(codec.drain())
    assert.deepEqual([told(first!), probe!.type], [`goaway ${0x7fff_ffff} 0`, types.ping])
    assert.deepEqual([codec.isDraining, typesOf(codec.receive(headers(3, get)))], [true, ['request', 'end']])
    codec.receive(frame(types.ping, 1, 0, probe!.payload))
    assert.deepEqual(owed(codec), ['goaway 3 0'])
    assert.deepEqual(
      codec.receive(Buffer.concat([headers(5, post, false), data(5, 'a')])),
      [],
      'too late; the client knows that it may send it elsewhere',
    )
    for (const stream of [1, 3]) {
      assert.equal(codec.mustClose, false)
      codec.send({ type: 'response', stream, head: ok, length: 0, isEnd: true })
    }
    assert.equal(codec.mustClose, true)
  })

  test('a second goaway does not wait for the round trip', () => {
    const codec = server()
    codec.send({ type: 'goaway', code: 0 })
    codec.send({ type: 'goaway', code: 0 })
    assert.deepEqual([owed(codec).at(-1), codec.mustClose], ['goaway 0 0', true])
  })

  test('a goaway with an error is the end at once', () => {
    const codec = server()
    codec.receive(headers(1, get))
    codec.send({ type: 'goaway', code: errorCodes.enhanceYourCalm })
    codec.send({ type: 'response', stream: 1, head: ok, length: 0, isEnd: true })
    assert.deepEqual([owed(codec), codec.mustClose], [['goaway 1 11'], true])
  })

  test('a client that sends no more is still answered what it asked completely', () => {
    const codec = server()
    codec.receive(Buffer.concat([headers(1, get), headers(3, post, false)]))
    assert.deepEqual(codec.receiveEnd(), [{ type: 'reset', stream: 3, code: 8, isSafe: false, failure: undefined }])
    assert.equal(codec.mustClose, false)
    codec.send({ type: 'response', stream: 1, head: ok, length: 0, isEnd: true })
    assert.equal(codec.mustClose, true)
  })

  test('pings of the caller come back with their token', () => {
    const codec = server()
    codec.send({ type: 'ping', token: 4_000_000_000 })
    const [sent] = framesOf(codec.drain())
    assert.deepEqual(codec.receive(frame(types.ping, 1, 0, sent!.payload)), [{ type: 'pong', token: 4_000_000_000 }])
  })

  test('a client that speaks HTTP/1 to a server of HTTP/2 is told so in HTTP/2', () => {
    const codec = serverCodec2()
    assert.deepEqual(typesOf(codec.receive(Buffer.from('GET / HTTP/1.1\r\n\r\n'))), ['failed'])
    assert.equal(owed(codec).at(-1), 'goaway 0 1')
  })
})
