/** Whole exchanges: what is written, in which order, and what becomes of the connection. What is read is in http1/cases.test.ts. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noBytes } from '#base/bytes'
import { type ClientCommand, clientCodec, type Fields, type Http1Codec, type Length, type ServerCommand, serverCodec } from './http1.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const text = (drained: readonly Uint8Array[]): string => Buffer.concat(drained).toString('latin1')
const types = (events: readonly { readonly type: string }[]): string[] => events.map(event => event.type)

const response = (
  status: number,
  length: Length,
  fields: Fields = [],
  more: { close?: boolean; isRestUnread?: boolean; upgrade?: string } = {},
): ServerCommand => ({
  type: 'response',
  head: { status, reason: 'Why', minor: 1, fields },
  length,
  ...more,
})
const request = (
  method: string,
  length: Length,
  fields: Fields = ['Host', 'a'],
  more: { close?: boolean; upgrade?: string } = {},
): ClientCommand => ({
  type: 'request',
  head: { method, target: '/', minor: 1, fields },
  length,
  ...more,
})
const end = { type: 'end' } as const
const data = (of: string): { type: 'data'; bytes: Uint8Array } => ({ type: 'data', bytes: bytes(of) })

/** A server that has read this. */
function asked(input = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'): ReturnType<typeof serverCodec> {
  const server = serverCodec()
  server.receive(bytes(input))
  return server
}

function told<Command>(codec: Http1Codec<unknown, Command>, ...commands: readonly Command[]): string {
  for (const command of commands) codec.send(command)
  return text(codec.drain())
}

test('a response with a length is written with its fields as they were given, and the connection stays', () => {
  const server = asked()
  assert.equal(
    told(server, response(200, 2, ['X-CaSe', 'v', 'Content-Length', '7']), data('ok'), end),
    'HTTP/1.1 200 Why\r\nX-CaSe: v\r\nContent-Length: 2\r\n\r\nok',
  )
  assert.deepEqual([server.isIdle, server.mustClose, server.wantsBytes], [true, false, true])
})

test('framing and connection fields that came with a message are not written again', () => {
  const fields = [
    'Transfer-Encoding',
    'chunked',
    'Connection',
    'x',
    'Keep-Alive',
    'y',
    'Upgrade',
    'z',
    'Proxy-Connection',
    'w',
    'X-Kept',
    '1',
  ]
  assert.equal(told(asked(), response(200, 0, fields), end), 'HTTP/1.1 200 Why\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n')
  assert.equal(told(clientCodec(), request('GET', 0, ['Host', 'a', ...fields]), end), 'GET / HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\n\r\n')
})

test('a host with an empty part is refused, in Host and in the target', () => {
  const verdict = (line: string, host: string): string => {
    const [event] = serverCodec().receive(bytes(`${line} HTTP/1.1\r\nHost: ${host}\r\n\r\n`))
    return event?.type === 'failed' ? event.failure.detail : (event?.type ?? '')
  }
  for (const host of ['a.example..', '.a', 'a..b:80', '..', '.']) {
    assert.match(verdict('GET /', host), /dots is empty/, host)
    assert.match(verdict(`GET http://${host}/`, 'a'), /dots is empty/, host)
  }
  for (const target of ['/', '/a..b', 'http://a.example./..', 'http://a/?b=..'])
    assert.equal(verdict(`GET ${target}`, 'a.example.:80'), 'request', target)
})

test('trailers lose what may stand before a body only', () => {
  const server = serverCodec()
  const body =
    '0\r\nX-Sum: 1\r\nX-Forwarded-For: 10.9.9.9\r\nForwarded: for=a\r\nx-forwarded-client-cert: a\r\nIf-Match: a\r\nExpires: 0\r\n\r\n'
  const events = server.receive(bytes(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`))
  assert.deepEqual(events.at(-1), { type: 'end', trailers: ['X-Sum', '1'] })
})

test('a chunked response carries its pieces and its trailers, without those that trailers may not be', () => {
  const trailers = { type: 'end', trailers: ['X-Sum', '1', 'Content-Length', '9'] } as const
  const written = told(asked(), response(200, 'chunked'), data('hello'), data(''), data('0123456789abcdef'), trailers)
  assert.equal(
    written,
    'HTTP/1.1 200 Why\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\n\r\n',
  )
})

test('a body that would end with the connection is chunked for a client that understands it', () => {
  const server = asked()
  assert.match(told(server, response(200, 'close'), data('x'), end), /Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n$/)
  assert.equal(server.mustClose, false)
})

test('HTTP/1.0 is never sent chunks: its body ends with the connection', () => {
  const server = asked('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
  assert.equal(told(server, response(200, 'chunked'), data('x'), end), 'HTTP/1.1 200 Why\r\nConnection: close\r\n\r\nx')
  assert.equal(server.mustClose, true)
})

test('HTTP/1.0 is told when its connection stays', () => {
  const server = asked('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
  assert.equal(told(server, response(200, 0), end), 'HTTP/1.1 200 Why\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n')
  assert.equal(server.mustClose, false)
})

test('HTTP/1.0 is not sent informational responses', () => {
  assert.match(
    told(
      asked('GET / HTTP/1.0\r\n\r\n'),
      { type: 'informational', head: { status: 103, reason: '', minor: 1, fields: [] } },
      response(200, 0),
    ),
    /^HTTP\/1.1 200/,
  )
})

test('the answer to HEAD keeps the length that the body would have had, and no body', () => {
  const head = 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n'
  assert.equal(told(asked(head), response(200, 0, ['content-length', '12']), end), 'HTTP/1.1 200 Why\r\nContent-Length: 12\r\n\r\n')
  assert.equal(told(asked(head), response(200, 5), data('hello'), end), 'HTTP/1.1 200 Why\r\nContent-Length: 5\r\n\r\n')
  assert.equal(told(asked(head), response(200, 'chunked'), data('hello'), end), 'HTTP/1.1 200 Why\r\n\r\n')
})

test('204 says no length, 304 may', () => {
  assert.equal(told(asked(), response(204, 0, ['Content-Length', '3']), end), 'HTTP/1.1 204 Why\r\n\r\n')
  assert.equal(told(asked(), response(304, 0, ['Content-Length', '3']), end), 'HTTP/1.1 304 Why\r\nContent-Length: 3\r\n\r\n')
})

test('a length in the fields that is no number is not repeated', () => {
  assert.equal(told(asked(), response(304, 0, ['Content-Length', '3, 3']), end), 'HTTP/1.1 304 Why\r\n\r\n')
})

test('what was asked to be closed is closed, and said so', () => {
  const server = asked('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  assert.match(told(server, response(200, 0), end), /Connection: close\r\n/)
  assert.equal(server.mustClose, true)
  assert.deepEqual(server.receive(bytes('GET / HTTP/1.1\r\nHost: a\r\n\r\n')), [])
})

test('a draining server closes after the response', () => {
  const server = asked()
  assert.match(told(server, response(200, 0, [], { close: true }), end), /Connection: close\r\n/)
  assert.equal(server.mustClose, true)
})

test('a pipelined request waits until the response before it is complete', () => {
  const server = serverCodec()
  const one = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
  assert.deepEqual(types(server.receive(bytes(one + one + one.slice(0, 9)))), ['request', 'end'])
  assert.equal(server.wantsBytes, false)
  assert.deepEqual(server.receive(noBytes), [])
  told(server, response(200, 1), data('x'))
  assert.deepEqual(server.receive(noBytes), [])
  told(server, end)
  assert.equal(server.wantsBytes, false)
  assert.deepEqual(types(server.receive(noBytes)), ['request', 'end'])
  told(server, response(200, 0), end)
  assert.deepEqual(server.receive(noBytes), [])
  assert.deepEqual([server.wantsBytes, server.isIdle], [true, false])
  assert.deepEqual(types(server.receive(bytes(one.slice(9)))), ['request', 'end'])
})

test('a peer that pipelined and closed its half gets all its answers', () => {
  const one = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
  const server = asked(one + one)
  assert.deepEqual(server.receiveEnd(), [])
  assert.equal(server.mustClose, false)
  assert.doesNotMatch(told(server, response(200, 0), end), /close/)
  assert.deepEqual(types(server.receive(noBytes)), ['request', 'end'])
  assert.equal(server.mustClose, true)
  assert.match(told(server, response(200, 0), end), /Connection: close/)
})

test('an early response ends the connection, as the rest of the request is not waited for', () => {
  const server = asked('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc')
  assert.equal(server.mustClose, false)
  told(server, response(413, 0), end)
  assert.equal(server.mustClose, true)
  assert.deepEqual(server.receive(bytes('defghij')), [])
})

test('an early response says that it is the last one where the rest of the request is read by nobody', () => {
  const begun = asked('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc')
  assert.match(told(begun, response(413, 0, [], { isRestUnread: true }), end), /Connection: close/)
  const whole = asked('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
  assert.doesNotMatch(told(whole, response(413, 0, [], { isRestUnread: true }), end), /close/)
  assert.equal(whole.mustClose, false)
})

test('a response that overtakes its request keeps the connection when the request ends in time', () => {
  const server = asked('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab')
  told(server, response(200, 'chunked'), data('ab'))
  assert.deepEqual(types(server.receive(bytes('cd'))), ['data', 'end'])
  told(server, end)
  assert.deepEqual([server.mustClose, server.isIdle], [false, true])
})

test('who waits for 100 and gets a final answer is told that the connection ends', () => {
  const waiting = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n'
  const refused = asked(waiting)
  assert.match(told(refused, response(401, 0), end), /Connection: close/)
  const continued = asked(waiting)
  assert.equal(
    told(continued, { type: 'informational', head: { status: 100, reason: 'Continue', minor: 1, fields: [] } }),
    'HTTP/1.1 100 Continue\r\n\r\n',
  )
  continued.receive(bytes('abc'))
  assert.doesNotMatch(told(continued, response(200, 0), end), /close/)
})

test('a broken request is answered once, and the connection ends', () => {
  const server = serverCodec()
  assert.deepEqual(types(server.receive(bytes('GET / HTTP/1.1\r\n\r\n'))), ['failed'])
  assert.match(told(server, response(400, 3), data('bad'), end), /^HTTP\/1.1 400 Why\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbad$/)
  assert.deepEqual([server.mustClose, server.wantsBytes, server.isIdle], [true, true, false])
  assert.deepEqual(server.receive(bytes('GET / HTTP/1.1\r\nHost: a\r\n\r\n')), [])
})

test('a request that breaks in its body is answered when no response had begun', () => {
  const server = asked('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz')
  assert.match(told(server, response(400, 0), end), /400.*Connection: close/s)
})

test('an idle connection can be given up with a response', () => {
  const server = serverCodec()
  assert.match(told(server, response(408, 0), end), /408.*Connection: close/s)
  assert.equal(server.mustClose, true)
})

test('giving up after a HEAD sends a whole response', () => {
  const server = asked('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n')
  told(server, response(200, 0), end)
  assert.match(told(server, response(408, 2), data('no'), end), /no$/)
})

test('an upgrade becomes a tunnel both ways', () => {
  const client = clientCodec()
  const server = serverCodec()
  const offered = server.receive(
    bytes(told(client, request('GET', 0, ['Host', 'a', 'Sec-WebSocket-Key', 'x'], { upgrade: 'websocket' }), end)),
  )
  assert.equal(offered[0]?.type === 'request' && offered[0].upgrade, 'websocket')
  assert.deepEqual(server.receive(bytes('early')), [])
  const accepted = told(server, response(101, 0, ['Sec-WebSocket-Accept', 'y', 'Upgrade', 'websocket']), data('hi'))
  assert.equal(accepted, 'HTTP/1.1 101 Why\r\nSec-WebSocket-Accept: y\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi')
  assert.deepEqual([server.tunnel, server.mustClose], [true, true])
  assert.deepEqual(types(server.receive(noBytes)), ['data'])
  assert.deepEqual(types(client.receive(bytes(accepted))), ['response', 'data'])
  assert.equal(client.tunnel, true)
  assert.equal(told(client, data('raw\r\n')), 'raw\r\n')
  assert.deepEqual(types(server.receiveEnd()), ['end'])
  assert.equal(told(server, data('still'), end), 'still')
  assert.deepEqual(types(client.receiveEnd()), ['end'])
})

test('an upgrade that is declined leaves an ordinary connection', () => {
  const server = asked('GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n')
  told(server, response(200, 0), end)
  assert.deepEqual([server.tunnel, server.mustClose, server.isIdle], [false, false, true])
})

test('101 cannot be answered to a request that offered no upgrade', () => {
  assert.throws(() => asked().send(response(101, 0)), /offered no upgrade/)
})

test('CONNECT becomes a tunnel, with what came early, or an ordinary answer', () => {
  const server = asked('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nearly')
  assert.equal(server.wantsBytes, false)
  assert.equal(told(server, response(200, 0, ['Content-Length', '3'])), 'HTTP/1.1 200 Why\r\n\r\n')
  assert.deepEqual(
    server.receive(noBytes).map(event => event.type === 'data' && text([event.bytes])),
    ['early'],
  )
  const refused = asked('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n')
  told(refused, response(403, 0), end)
  assert.deepEqual([refused.tunnel, refused.isIdle], [false, true])
})

test('a request without content says so where its method lets one expect content', () => {
  for (const [method, says] of [
    ['GET', false],
    ['DELETE', false],
    ['POST', true],
    ['PUT', true],
    ['PATCH', true],
  ] as const)
    assert.equal(told(clientCodec(), request(method, 0), end).includes('Content-Length: 0'), says, method)
})

test('a request without Host is given an empty one, and two are refused', () => {
  assert.equal(told(clientCodec(), request('GET', 0, []), end), 'GET / HTTP/1.1\r\nHost: \r\n\r\n')
  assert.throws(() => clientCodec().send(request('GET', 0, ['Host', 'a', 'hosT', 'b'])), /several Host/)
})

test('TE is named by Connection, as it is for the next hop', () => {
  assert.match(
    told(clientCodec(), request('GET', 0, ['Host', 'a', 'TE', 'trailers'], { close: true })),
    /TE: trailers\r\nConnection: close, te\r\n/,
  )
})

test('a connection is used again after a complete exchange', () => {
  const client = clientCodec()
  told(client, request('GET', 0), end)
  assert.deepEqual([client.exchanges, client.isAnswered, client.isIdle], [0, false, false])
  client.receive(bytes('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'))
  assert.deepEqual([client.exchanges, client.isAnswered, client.isIdle, client.mustClose], [1, true, true, false])
  told(client, request('GET', 0), end)
  assert.equal(client.isAnswered, false)
  const failed = client.receiveEnd()[0]
  assert.deepEqual([failed?.type === 'failed' && failed.failure.code, client.exchanges > 0 && !client.isAnswered], ['upstream-reset', true])
})

test('a response that overtakes its request ends the connection, unless the request ends before it', () => {
  const overtaken = clientCodec()
  told(overtaken, request('POST', 5), data('he'))
  assert.deepEqual(types(overtaken.receive(bytes('HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n'))), ['response', 'end'])
  assert.equal(overtaken.mustClose, true)
  told(overtaken, data('llo'), end)
  assert.deepEqual([overtaken.isIdle, overtaken.mustClose], [false, true])
  const kept = clientCodec()
  told(kept, request('POST', 5), data('he'))
  kept.receive(bytes('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n'))
  told(kept, data('llo'), end)
  kept.receive(bytes('x'))
  assert.deepEqual([kept.isIdle, kept.mustClose], [true, false])
})

test('a second request waits for its turn: sending it too early is a bug', () => {
  const client = clientCodec()
  told(client, request('GET', 0), end)
  assert.throws(() => client.send(request('GET', 0)), /impossible while/)
})

test('commands out of order are bugs and change nothing', () => {
  const server = serverCodec()
  assert.throws(() => server.send(end), /impossible/)
  assert.throws(() => server.send(data('x')), /idle/)
  assert.throws(() => server.send({ type: 'informational', head: { status: 103, reason: '', minor: 1, fields: [] } }), /impossible/)
  assert.deepEqual(types(server.receive(bytes('GET / HTTP/1.1\r\nHost: a\r\n\r\n'))), ['request', 'end'])
  told(server, response(200, 3))
  assert.throws(() => server.send(response(200, 3)), /impossible/)
  assert.throws(() => server.send(data('four')), /more data/)
  assert.throws(() => server.send(end), /3 bytes/)
})

test('what could end a line is not written, wherever it stands', () => {
  for (const evil of ['a\r\nX: y', 'a\nb', 'a\rb', 'a\0b', 'a\x7f', 'aĊX: y', 'a\u{1f600}']) {
    assert.throws(() => asked().send(response(200, 0, ['X', evil])), /cannot be written/, JSON.stringify(evil))
    assert.throws(() => asked().send(response(200, 0, [evil, 'x'])), /not a field name/)
    assert.throws(
      () => asked().send({ type: 'response', head: { status: 200, reason: evil, minor: 1, fields: [] }, length: 0 }),
      /cannot be written/,
    )
    assert.throws(
      () =>
        clientCodec().send({ type: 'request', head: { method: 'GET', target: `/${evil}`, minor: 1, fields: ['Host', 'a'] }, length: 0 }),
      /cannot be written/,
    )
    assert.throws(
      () => clientCodec().send({ type: 'request', head: { method: evil, target: '/', minor: 1, fields: ['Host', 'a'] }, length: 0 }),
      /cannot be written/,
    )
    assert.throws(() => clientCodec().send(request('GET', 0, ['Host', 'a'], { upgrade: evil })), /cannot be written/)
    const chunked = asked()
    chunked.send(response(200, 'chunked'))
    assert.throws(() => chunked.send({ type: 'end', trailers: ['X', evil] }), /cannot be written/)
  }
  for (const name of ['', ' a', 'a ', 'a:', 'a b', 'ä'])
    assert.throws(() => asked().send(response(200, 0, [name, 'x'])), /not a field name/)
  assert.throws(
    () => clientCodec().send({ type: 'request', head: { method: 'GET', target: '/a b', minor: 1, fields: ['Host', 'a'] }, length: 0 }),
    /cannot be written/,
  )
})

test('a response that was refused to be written leaves room for another', () => {
  const server = asked()
  assert.throws(() => server.send(response(200, 0, ['X', 'a\r\nb'])))
  assert.match(told(server, response(500, 0), end), /^HTTP\/1.1 500/)
})

test('a head and small pieces of body are one array, a large piece is passed on as it is', () => {
  const server = asked()
  const large = new Uint8Array(20_000)
  server.send(response(200, 'chunked'))
  server.send(data('small'))
  server.send({ type: 'data', bytes: large })
  server.send(data('small'))
  server.send(end)
  const drained = server.drain()
  assert.equal(drained.length, 3)
  assert.equal(drained[1], large)
  assert.deepEqual(server.drain(), [])
})

test('what is incomplete survives that its buffer is used again', () => {
  const server = serverCodec()
  for (const piece of ['GET /one HT', 'TP/1.1\r\nHo', 'st: a\r\n\r\n']) {
    const shared = bytes(piece)
    const events = server.receive(shared)
    shared.fill(0x21)
    if (events[0]?.type === 'request') assert.deepEqual(events[0].head.fields, ['Host', 'a'])
  }
  assert.equal(server.wantsBytes, true)
  assert.match(told(server, response(200, 0), end), /200/)
})
