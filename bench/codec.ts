/** Promise: the HTTP/1 codec costs a proxy less than 5 µs of CPU a request, both messages read and written anew. Prints nanoseconds of CPU (garbage collection included) for each step; `node bench/codec.ts`. */

import { clientCodec, forwardable, serverCodec } from '../src/wire/http1.ts'

const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const rounds = 200_000

const head = (id: string): string =>
  `GET /api/v1/items/42?page=2 HTTP/1.1\r\nHost: catalog.shop:8080\r\nUser-Agent: wrk/4.2.0 (bench)\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate, br\r\nX-Request-Id: ${id}\r\nConnection: keep-alive\r\n\r\n`
const same = Array.from({ length: 1_024 }, () => latin1(head('b3c0a1d2')))
const different = Array.from({ length: 65_536 }, (_, at) => latin1(head((at * 2_654_435_761).toString(16).padStart(12, '0'))))
const body = new Uint8Array(1_024).fill(0x61)
const answers = Array.from({ length: 1_024 }, (_, at) =>
  Buffer.concat([
    latin1(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\nDate: Sat, 21 Nov 2026 10:00:${String(at % 60).padStart(2, '0')} GMT\r\nETag: "x"\r\nServer: bench\r\nCache-Control: no-store\r\n\r\n`,
    ),
    body,
  ]),
)
const answerFields = [
  'Content-Type',
  'application/json',
  'Date',
  'Sat, 21 Nov 2026 10:00:00 GMT',
  'ETag',
  '"x"',
  'Server',
  'bench',
  'Cache-Control',
  'no-store',
]
const end = { type: 'end' } as const

/** Best of five, so that what else the machine does counts least. */
function measure(what: string, run: (count: number) => void): void {
  run(rounds / 4)
  let best = Number.POSITIVE_INFINITY
  for (let time = 0; time < 5; time++) {
    const began = process.cpuUsage()
    run(rounds)
    const { user, system } = process.cpuUsage(began)
    best = Math.min(best, ((user + system) * 1_000) / rounds)
  }
  console.log(`${what.padEnd(72)}${best.toFixed(0).padStart(7)} ns`)
}

/** A whole exchange on the called side: the cheapest possible answer belongs to each. */
function read(requests: readonly Uint8Array[]): (count: number) => void {
  return count => {
    const codec = serverCodec()
    for (let at = 0; at < count; at++) {
      codec.receive(requests[at % requests.length]!)
      codec.send({ type: 'response', head: { status: 204, reason: '', minor: 1, fields: [] }, length: 0 })
      codec.send(end)
      codec.drain()
    }
  }
}

measure('request read, fields as in one before; 204 written', read(same))
measure('request read, one field new each time; 204 written', read(different))

measure('request written (6 fields)', count => {
  const fields = [
    'Host',
    'catalog.shop:8080',
    'User-Agent',
    'wrk/4.2.0 (bench)',
    'Accept',
    'application/json',
    'Accept-Encoding',
    'gzip, deflate, br',
    'X-Request-Id',
    'b3c0a1d2',
    'X-Forwarded-For',
    '10.0.0.1',
  ]
  const answer = latin1('HTTP/1.1 204 \r\n\r\n')
  const codec = clientCodec()
  for (let at = 0; at < count; at++) {
    codec.send({ type: 'request', head: { method: 'GET', target: '/api/v1/items/42?page=2', minor: 1, fields }, length: 0 })
    codec.send(end)
    codec.drain()
    codec.receive(answer)
  }
})

measure('response read (6 fields, 1 KiB); the shortest request written', count => {
  const codec = clientCodec()
  for (let at = 0; at < count; at++) {
    codec.send({ type: 'request', head: { method: 'GET', target: '/', minor: 1, fields: ['Host', 'a'] }, length: 0 })
    codec.send(end)
    codec.drain()
    codec.receive(answers[at % answers.length]!)
  }
})

measure('response written (5 fields, 1 KiB); the shortest request read', count => {
  const codec = serverCodec()
  const asked = latin1('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  for (let at = 0; at < count; at++) {
    codec.receive(asked)
    codec.send({ type: 'response', head: { status: 200, reason: 'OK', minor: 1, fields: answerFields }, length: body.length })
    codec.send({ type: 'data', bytes: body })
    codec.send(end)
    codec.drain()
  }
})

/** What a proxy does with the codec, without sockets. */
function hop(requests: readonly Uint8Array[]): (count: number) => void {
  return count => {
    const down = serverCodec()
    const up = clientCodec()
    for (let at = 0; at < count; at++) {
      for (const event of down.receive(requests[at % requests.length]!)) {
        if (event.type === 'request')
          up.send({ type: 'request', head: { ...event.head, fields: forwardable(event.head.fields) }, length: event.length })
        else if (event.type === 'end') up.send(end)
      }
      up.drain()
      for (const event of up.receive(answers[at % answers.length]!)) {
        if (event.type === 'response')
          down.send({ type: 'response', head: { ...event.head, fields: forwardable(event.head.fields) }, length: event.length })
        else if (event.type === 'data') down.send(event)
        else if (event.type === 'end') down.send(end)
      }
      down.drain()
    }
  }
}

measure('one hop: request and response read, stripped and written, fields known', hop(same))
measure('one hop: the same, one request field new each time', hop(different))
