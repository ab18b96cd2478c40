/** Promise: the HTTP/2 codec costs each half of a proxy pair less than 5 µs of CPU an exchange. Prints nanoseconds of CPU (garbage collection included) for each step; `node bench/codec-http2.ts`. */

import { forwardable } from '../src/wire/http1.ts'
import { type Request2, clientCodec2, serverCodec2 } from '../src/wire/http2.ts'

const rounds = 100_000
/** Exchanges that one turn of the event loop carries: their bytes leave together. */
const together = 16
const limits = { noiseBurst: 1e9 }

const fieldsOf = (id: string): string[] => [
  'host',
  'catalog.shop:8080',
  'user-agent',
  'wrk/4.2.0 (bench)',
  'accept',
  'application/json',
  'accept-encoding',
  'gzip, deflate, br',
  'x-request-id',
  id,
  'x-forwarded-for',
  '10.0.0.1',
]
const request = (id: string): Request2 => ({
  head: { method: 'GET', target: '/api/v1/items/42?page=2', minor: 1, fields: fieldsOf(id) },
  scheme: 'https',
  length: 0,
  isEnd: true,
})
const same = request('b3c0a1d2')
const different = Array.from({ length: 65_536 }, (_, at) => request((at * 2_654_435_761).toString(16).padStart(12, '0')))
const body = new Uint8Array(1_024).fill(0x61)
const answer = {
  status: 200,
  reason: '',
  minor: 1,
  fields: [
    'content-type',
    'application/json',
    'date',
    'Sat, 21 Nov 2026 10:00:00 GMT',
    'etag',
    '"x"',
    'server',
    'bench',
    'cache-control',
    'no-store',
  ],
} as const

/** Best of five, so that what else the machine does counts least. prepare: not measured. */
function measure<Prepared>(what: string, prepare: (count: number) => Prepared, work: (count: number, prepared: Prepared) => void): void {
  work(rounds / 4, prepare(rounds / 4))
  let best = Number.POSITIVE_INFINITY
  for (let time = 0; time < 5; time++) {
    const prepared = prepare(rounds)
    const began = process.cpuUsage()
    work(rounds, prepared)
    const { user, system } = process.cpuUsage(began)
    best = Math.min(best, ((user + system) * 1_000) / rounds)
  }
  console.log(`${what.padEnd(72)}${best.toFixed(0).padStart(7)} ns`)
}

type Recorded = { readonly asked: Uint8Array[]; readonly answered: Uint8Array[] }

/** What both ends write in so many exchanges, a turn in one array each. */
function record(count: number, ask: (at: number) => Request2): Recorded {
  const client = clientCodec2(limits)
  const server = serverCodec2(limits)
  const asked: Uint8Array[] = []
  const answered: Uint8Array[] = []
  for (let at = 0; at < count; at += together) {
    for (let one = 0; one < together; one++) client.open(ask(at + one))
    const there = Buffer.concat(client.drain())
    asked.push(there)
    for (const event of server.receive(there)) if (event.type === 'end') respond(server, event.stream)
    const back = Buffer.concat(server.drain())
    answered.push(back)
    for (const event of client.receive(back)) if (event.type === 'data') client.consumed(event.stream, event.bytes.length)
  }
  return { asked, answered }
}

function respond(server: ReturnType<typeof serverCodec2>, stream: number): void {
  server.send({ type: 'response', stream, head: answer, length: body.length })
  server.send({ type: 'data', stream, bytes: body })
  server.send({ type: 'end', stream })
}

/** The called side of each exchange: reads the request, writes the response. */
function serve(_count: number, { asked }: Recorded): void {
  const server = serverCodec2(limits)
  for (const bytes of asked) {
    for (const event of server.receive(bytes)) if (event.type === 'end') respond(server, event.stream)
    server.drain()
  }
}

/** The same with the shortest response. */
function serveShort(_count: number, { asked }: Recorded): void {
  const server = serverCodec2(limits)
  const head = { status: 204, reason: '', minor: 1, fields: [] } as const
  for (const bytes of asked) {
    for (const event of server.receive(bytes))
      if (event.type === 'request') server.send({ type: 'response', stream: event.stream, head, length: 0, isEnd: true })
    server.drain()
  }
}

/** The calling side: writes the request, reads the response. */
const call =
  (ask: (at: number) => Request2) =>
  (_count: number, { answered }: Recorded): void => {
    const client = clientCodec2(limits)
    let at = 0
    for (const bytes of answered) {
      for (let one = 0; one < together; one++) client.open(ask(at++))
      client.drain()
      for (const event of client.receive(bytes)) if (event.type === 'data') client.consumed(event.stream, event.bytes.length)
    }
  }

const always = (): Request2 => same
const varied = (at: number): Request2 => different[at % different.length]!

measure('request read (6 fields, all as before); shortest response written', count => record(count, always), serveShort)
measure('request read, one field new each time; shortest response written', count => record(count, varied), serveShort)
measure('request read; response written (5 fields, 1 KiB)', count => record(count, varied), serve)
measure('request written; response read (5 fields, 1 KiB)', count => record(count, varied), call(varied))

measure(
  'hop, h2 to h2: both messages read, forwarded and written anew',
  count => record(count, varied),
  (_count, { asked, answered }) => {
    const down = serverCodec2(limits)
    const up = clientCodec2(limits)
    const streamOf = new Map<number, number>()
    for (let at = 0; at < asked.length; at++) {
      for (const event of down.receive(asked[at]!)) {
        if (event.type === 'request')
          streamOf.set(
            up.open({
              head: { ...event.head, fields: forwardable(event.head.fields) },
              scheme: event.scheme,
              length: event.length,
              isEnd: event.length === 0,
            }),
            event.stream,
          )
      }
      up.drain()
      for (const event of up.receive(answered[at]!)) {
        if (!('stream' in event)) continue
        const stream = streamOf.get(event.stream)!
        if (event.type === 'response')
          down.send({ type: 'response', stream, head: { ...event.head, fields: forwardable(event.head.fields) }, length: event.length })
        else if (event.type === 'data') {
          down.send({ type: 'data', stream, bytes: event.bytes })
          up.consumed(event.stream, event.bytes.length)
        } else if (event.type === 'end') {
          down.send({ type: 'end', stream })
          streamOf.delete(event.stream)
        }
      }
      down.drain()
    }
  },
)

measure(
  '64 KiB of body written, read and consumed, as four frames',
  () => undefined,
  count => {
    const server = serverCodec2(limits)
    const client = clientCodec2(limits)
    client.receive(Buffer.concat(server.drain()))
    server.receive(Buffer.concat(client.drain()))
    const stream = client.open({ ...same, head: { ...same.head, method: 'POST' }, length: 'chunked', isEnd: false })
    const piece = Buffer.alloc(65_536)
    for (let at = 0; at < count; at++) {
      client.send({ type: 'data', stream, bytes: piece })
      for (const bytes of client.drain())
        for (const event of server.receive(bytes)) if (event.type === 'data') server.consumed(stream, event.bytes.length)
      for (const bytes of server.drain()) client.receive(bytes)
    }
  },
)
