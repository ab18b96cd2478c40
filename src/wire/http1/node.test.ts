/** Against another implementation: what this codec writes, Node's own parser reads the same, and the other way round, over real sockets. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { noBytes } from '#base/bytes'
import { type ClientEvent, clientCodec, type Fields, type RequestHead, type ServerEvent, serverCodec } from '../http1.ts'

type Message = { readonly what: string; readonly fields: Fields; readonly body: string; readonly trailers: Fields }

const name = fc.stringMatching(/^X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}$/)
const value = fc.stringMatching(/^(?:[!-~\xa1-\xff]{1,4}(?:[ \t]?[!-~\xa1-\xff]{1,4}){0,3})?$/)
const fields = fc.array(fc.tuple(name, value), { maxLength: 5 }).map(pairs => pairs.flat())
const message = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'),
  target: fc.stringMatching(/^\/[!-"$-~]{0,20}$/),
  fields,
  trailers: fields,
  isChunked: fc.boolean(),
  pieces: fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 4 }),
})
type Sent = typeof message extends fc.Arbitrary<infer T> ? T : never

const sample = (): Sent[] => fc.sample(message, { numRuns: 150, seed: 7 })
const withoutFraming = (list: Fields): Fields =>
  list.filter((_, at) => !/^(?:host|connection|date|keep-alive|trailer|content-length|transfer-encoding)$/i.test(list[at & ~1]!))
const text = (pieces: readonly Uint8Array[]): string => Buffer.concat(pieces).toString('latin1')

function expected({ method, target, fields, trailers, isChunked, pieces }: Sent): Message {
  return { what: `${method} ${target}`, fields, body: text(pieces), trailers: isChunked ? trailers : [] }
}

test('Node reads the requests that are written here, and its responses are read here', async t => {
  const server = http.createServer({ insecureHTTPParser: false }, async (request, response) => {
    const body: Uint8Array[] = []
    for await (const piece of request) body.push(piece as Uint8Array)
    const seen: Message = {
      what: `${request.method} ${request.url}`,
      fields: withoutFraming(request.rawHeaders),
      body: text(body),
      trailers: request.rawTrailers,
    }
    response.sendDate = false
    response.write('[')
    response.write(JSON.stringify(seen))
    response.addTrailers({ 'X-Sum': '1' })
    response.end(']')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  t.after(() => socket.destroy())
  const client = clientCodec()
  for (const one of sample()) {
    client.send({
      type: 'request',
      head: { method: one.method, target: one.target, minor: 1, fields: ['Host', 'a', ...one.fields] },
      length: one.isChunked ? 'chunked' : text(one.pieces).length,
    })
    for (const bytes of one.pieces) client.send({ type: 'data', bytes })
    client.send({ type: 'end', trailers: one.trailers })
    for (const bytes of client.drain()) socket.write(bytes)
    const events: ClientEvent[] = []
    while (!events.some(event => event.type === 'end' || event.type === 'failed'))
      events.push(...client.receive((await once(socket, 'data'))[0] as Uint8Array))
    const body = text(events.map(event => (event.type === 'data' ? Uint8Array.from(event.bytes) : noBytes)))
    assert.deepEqual(JSON.parse(Buffer.from(body, 'latin1').toString()), [expected(one)])
    assert.deepEqual(events.at(-1), { type: 'end', trailers: ['X-Sum', '1'] })
    assert.equal(client.isIdle, true)
  }
})

test("Node's requests are read here, and it reads the responses that are written here", async t => {
  const server = net.createServer(socket => {
    const codec = serverCodec()
    let head: RequestHead | undefined
    let body: Uint8Array[] = []
    const act = (events: readonly ServerEvent[]): void => {
      for (const event of events) {
        if (event.type === 'request') head = event.head
        else if (event.type === 'data') body.push(Uint8Array.from(event.bytes))
        else if (event.type === 'failed') socket.destroy()
        else {
          const seen: Message = {
            what: `${head!.method} ${head!.target}`,
            fields: withoutFraming(head!.fields),
            body: text(body),
            trailers: event.trailers,
          }
          const bytes = Buffer.from(JSON.stringify(seen))
          const isChunked = seen.body.length % 2 === 1
          codec.send({
            type: 'response',
            head: { status: 200, reason: 'OK', minor: 1, fields: ['X-Answer', 'yes'] },
            length: isChunked ? 'chunked' : bytes.length,
          })
          codec.send({ type: 'data', bytes })
          codec.send({ type: 'end', trailers: ['X-Sum', '1'] })
          body = []
        }
      }
      for (const bytes of codec.drain()) socket.write(bytes)
    }
    socket.on('data', (bytes: Uint8Array) => act(codec.receive(bytes)))
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => {
    agent.destroy()
    server.close()
  })
  for (const one of sample()) {
    const headers = {
      ...Object.fromEntries(pairs(one.fields)),
      ...(one.isChunked ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': String(text(one.pieces).length) }),
    }
    const request = http.request({
      port: (server.address() as net.AddressInfo).port,
      host: '127.0.0.1',
      method: one.method,
      path: one.target,
      headers,
      agent,
    })
    if (one.isChunked) request.addTrailers(pairs(one.trailers))
    for (const bytes of one.pieces) request.write(bytes)
    request.end()
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    const body: Uint8Array[] = []
    for await (const piece of response) body.push(piece as Uint8Array)
    // Headers given to Node as an object hold each name once, the last value winning.
    assert.deepEqual(JSON.parse(Buffer.concat(body).toString()), {
      ...expected(one),
      fields: withoutFraming(Object.entries(Object.fromEntries(pairs(one.fields))).flat()),
    })
    assert.equal(response.headers['x-answer'], 'yes')
    if (response.headers['transfer-encoding']) assert.deepEqual(response.trailers, { 'x-sum': '1' })
  }
})

const pairs = (list: Fields): [string, string][] =>
  list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1]!] as [string, string]] : []))
