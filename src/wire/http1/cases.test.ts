/** The cases of test/cases/http1: bytes ── events, each given whole, byte by byte and in odd pieces. `--refresh` writes what comes out back into the files. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { noBytes } from '#base/bytes'
import { type ClientEvent, clientCodec, type ServerEvent, serverCodec } from '../http1.ts'

type Case = { readonly name: string; readonly asked: string; readonly input: string; readonly expected: readonly string[] }
type Pieces = (bytes: Uint8Array) => Uint8Array[]

const folder = new URL('../../../test/cases/http1/', import.meta.url)
const tell = { 'requests.txt': tellRequests, 'responses.txt': tellResponses }
const cuts: Record<string, Pieces> = {
  whole: bytes => [bytes],
  'byte by byte': bytes => pieces(bytes, [1]),
  'in odd pieces': bytes => pieces(bytes, [7, 1, 13, 2]),
}

test('a case is named once', () => {
  for (const file of Object.keys(tell)) {
    const names = casesOf(readFileSync(new URL(file, folder), 'utf8')).map(one => one.name)
    assert.deepEqual(
      names.filter((name, at) => names.indexOf(name) !== at),
      [],
    )
  }
})

function casesOf(text: string): Case[] {
  return text
    .split(/^= /m)
    .slice(1)
    .map(part => {
      const [name = '', ...lines] = part.split('\n')
      const dash = lines.indexOf('-')
      const asked = lines[0]!.startsWith('? ') ? lines[0]!.slice(2) : 'GET /'
      return {
        name,
        asked,
        input: lines.slice(lines[0]!.startsWith('? ') ? 1 : 0, dash).join(''),
        expected: lines.slice(dash + 1).filter(line => line !== ''),
      }
    })
}

function refreshed(text: string, run: (one: Case, cut: Pieces) => string[]): string {
  const [head = '', ...parts] = text.split(/^= /m)
  const cases = casesOf(text)
  return (
    head +
    parts
      .map((part, at) => `= ${part.slice(0, part.indexOf('\n-\n') + 3)}${run(cases[at]!, cuts.whole!).join('\n')}\n\n`)
      .join('')
      .replace(/\n+$/, '\n')
  )
}

/** Steps of a case: bytes, and where "(end)" stands, the end. */
function stepsOf(input: string): { bytes: Uint8Array; isEnd: boolean } {
  const isEnd = input.endsWith('(end)')
  const repeated = (isEnd ? input.slice(0, -5) : input).replace(/\(([0-9]+) × (.*?)\)/g, (_, count: string, text: string) =>
    text.repeat(Number(count)),
  )
  const plain = repeated.replace(/\\(?:x([0-9a-f]{2})|([rnt0\\]))/g, (_, hex: string | undefined, letter: string) =>
    hex ? String.fromCharCode(Number.parseInt(hex, 16)) : { r: '\r', n: '\n', t: '\t', '0': '\0', '\\': '\\' }[letter]!,
  )
  return { bytes: Buffer.from(plain, 'latin1'), isEnd }
}

function pieces(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const cut: Uint8Array[] = []
  for (let at = 0, index = 0; at < bytes.length; at += sizes[index++ % sizes.length]!)
    cut.push(bytes.slice(at, at + sizes[index % sizes.length]!))
  return cut
}

function tellRequests({ input }: Case, cut: Pieces): string[] {
  const codec = serverCodec()
  const told = new Told()
  const act = (events: ServerEvent[]): void => {
    for (const event of events) {
      told.add(event)
      if (event.type === 'end' && !codec.tunnel) {
        codec.send({ type: 'response', head: { status: 204, reason: '', minor: 1, fields: [] }, length: 0 })
        codec.send({ type: 'end' })
        codec.drain()
        if (!codec.wantsBytes) act(codec.receive(noBytes))
      }
    }
  }
  const { bytes, isEnd } = stepsOf(input)
  for (const piece of cut(bytes)) {
    const lent = Uint8Array.from(piece)
    const events = codec.receive(lent)
    act(events)
    lent.fill(0x21) // whoever reads from a socket uses its buffer again
  }
  if (isEnd) act(codec.receiveEnd())
  return told.lines(codec.mustClose)
}

function tellResponses({ asked, input }: Case, cut: Pieces): string[] {
  const codec = clientCodec()
  const told = new Told()
  const [method = '', target = '', upgrade] = asked.split(' ')
  codec.send({ type: 'request', head: { method, target, minor: 1, fields: ['Host', 'a'] }, length: 0, upgrade })
  codec.send({ type: 'end' })
  codec.drain()
  const { bytes, isEnd } = stepsOf(input)
  for (const piece of cut(bytes)) {
    const lent = Uint8Array.from(piece)
    for (const event of codec.receive(lent)) told.add(event)
    lent.fill(0x21)
  }
  if (isEnd) for (const event of codec.receiveEnd()) told.add(event)
  return told.lines(codec.mustClose)
}

/** Events as lines; neighbouring data counts as one, however it was cut. */
class Told {
  #lines: string[] = []
  #data = ''
  add(event: ServerEvent | ClientEvent): void {
    if (event.type === 'data') {
      this.#data += Buffer.from(event.bytes).toString('latin1')
      return
    }
    this.#flush()
    this.#lines.push(lineOf(event))
  }
  #flush(): void {
    if (this.#data !== '') this.#lines.push(`data ${JSON.stringify(this.#data)}`)
    this.#data = ''
  }
  lines(mustClose: boolean): string[] {
    this.#flush()
    return mustClose ? [...this.#lines, 'must close'] : this.#lines
  }
}

function lineOf(event: Exclude<ServerEvent | ClientEvent, { type: 'data' }>): string {
  switch (event.type) {
    case 'request': {
      const { method, target, minor, fields } = event.head
      return `request ${method} ${target} 1.${minor} length=${event.length}${event.expectsContinue ? ' expects-continue' : ''}${event.upgrade ? ` upgrade=${event.upgrade}` : ''} ${JSON.stringify(fields)}`
    }
    case 'informational':
      return `informational ${event.head.status} ${JSON.stringify(event.head.fields)}`
    case 'response':
      return `response ${event.head.status} ${JSON.stringify(event.head.reason)} 1.${event.head.minor} length=${event.length}${event.keepsAlive ? ' keeps-alive' : ''} ${JSON.stringify(event.head.fields)}`
    case 'end':
      return event.trailers.length > 0 ? `end ${JSON.stringify(event.trailers)}` : 'end'
    case 'failed':
      return `failed ${event.failure.code}: ${event.failure.detail}`
  }
}

// Last, because a refresh runs at once and needs the class above.
for (const [file, run] of Object.entries(tell)) {
  const text = readFileSync(new URL(file, folder), 'utf8')
  if (process.argv.includes('--refresh')) writeFileSync(new URL(file, folder), refreshed(text, run))
  else
    for (const one of casesOf(text))
      test(`${file}: ${one.name}`, () => {
        assert.ok(one.expected.length > 0 || one.input === '(end)', 'this case has no events yet: refresh the file')
        for (const [how, cut] of Object.entries(cuts)) assert.deepEqual(run(one, cut), one.expected, how)
      })
}
