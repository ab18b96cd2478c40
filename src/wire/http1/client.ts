/** The calling side of an HTTP/1.x connection: writes requests, reads responses, one exchange after the other. */

import { Failure } from '#base/failure'
import type { ClientCodec, ClientCommand, ClientEvent, Fields } from './message.ts'
import { field, fieldValues } from './fields.ts'
import { opensTunnel, requestFraming, responseLength } from './framing.ts'
import { parseStatusLine } from './head.ts'
import { defaultLimits, type Limits } from './limits.ts'
import { type HeadText, plainEnd, Reader } from './read.ts'
import { type Reading, reading, step, type Writing, writing } from './state.ts'
import { fieldLines, requestLine, upgradeLines, Writer } from './write.ts'

type Request = Extract<ClientCommand, { type: 'request' }>

/** Writes requests, reads responses. Limits left out are `defaultLimits`. */
export const clientCodec = (limits: Partial<Limits> = {}): ClientCodec => new Client({ ...defaultLimits, ...limits })

class Client implements ClientCodec {
  readonly #reader: Reader
  readonly #writer = new Writer()
  readonly #maxInformational: number
  #reading: Reading = 'idle'
  #writing: Writing = 'idle'
  #isClosing = false
  #exchanges = 0
  // Of the current request.
  #method = ''
  #upgrade: string | undefined
  #isAnswered = false
  #informational = 0
  #endsWithConnection = false

  constructor(limits: Limits) {
    this.#reader = new Reader(limits, false)
    this.#maxInformational = limits.maxInformational
  }

  get wantsBytes(): boolean {
    return true
  }
  get isIdle(): boolean {
    return this.#reading === 'idle' && this.#writing === 'idle'
  }
  get mustClose(): boolean {
    return this.#isClosing
  }
  get tunnel(): boolean {
    return this.#reading === 'tunnel' || this.#writing === 'tunnel'
  }
  get exchanges(): number {
    return this.#exchanges
  }
  get isAnswered(): boolean {
    return this.#isAnswered
  }

  receive(bytes: Uint8Array): ClientEvent[] {
    const events: ClientEvent[] = []
    this.#reader.offer(bytes)
    if (bytes.length > 0) this.#isAnswered = true
    try {
      this.#read(events)
    } catch (thrown) {
      this.#fail(thrown, events)
    }
    this.#reader.keep()
    return events
  }

  receiveEnd(): ClientEvent[] {
    const events: ClientEvent[] = []
    this.#isClosing = true
    if (this.#reading === 'tunnel' || (this.#reading === 'body' && this.#endsWithConnection)) {
      events.push(plainEnd)
      this.#reading = step(reading, this.#reading, 'end')
      this.#finish()
    } else if (this.#reading === 'head' || this.#reading === 'body') {
      const where =
        this.#reading === 'body'
          ? 'inside the body of the response'
          : this.#isAnswered
            ? 'inside the head of the response'
            : 'before a byte of the response'
      this.#fail(new Failure('upstream-reset', `RFC 9112 §8: the connection ended ${where}`), events)
    } else if (this.#reading === 'idle') this.#reading = step(reading, this.#reading, 'close')
    return events
  }

  #read(events: ClientEvent[]): void {
    if (this.#reading === 'idle' && this.#reader.held > 0)
      throw new Failure('upstream-invalid', 'RFC 9112 §9.2: bytes came that answer no request')
    for (;;) {
      switch (this.#reading) {
        case 'head': {
          const head = this.#reader.head()
          if (head === undefined) return
          events.push(this.#readResponse(head))
          break
        }
        case 'body':
          if (!this.#reader.body(events)) return
          this.#reading = step(reading, this.#reading, 'end')
          this.#finish()
          break
        case 'tunnel': {
          const bytes = this.#reader.takeAll()
          if (bytes) events.push({ type: 'data', bytes })
          return
        }
        case 'idle':
        case 'done':
          // Whether they came with a response or after it, they may be taken for the answer to a request that is sent later.
          if (this.#reader.held > 0) throw new Failure('upstream-invalid', 'RFC 9112 §9.2: bytes came that answer no request')
          return
        default:
          this.#reader.discard()
          return
      }
    }
  }

  #readResponse({ line: text, block }: HeadText): ClientEvent {
    const line = parseStatusLine(text)
    const { status } = line
    const head = { ...line, fields: block.fields }
    if (status < 200 && status !== 101) {
      if (++this.#informational > this.#maxInformational)
        throw new Failure('upstream-invalid', `more than ${this.#maxInformational} informational responses`)
      this.#reading = step(reading, this.#reading, 'interim')
      return { type: 'informational', head }
    }
    if (status === 101 && this.#upgrade === undefined)
      throw new Failure('upstream-invalid', 'RFC 9110 §15.2.2: 101 to a request that offered no upgrade')
    if (opensTunnel(this.#method, status)) {
      this.#reading = step(reading, this.#reading, 'switch')
      this.#writing = step(writing, this.#writing, 'switch')
      this.#isClosing = true
      return { type: 'response', head, length: 0, keepsAlive: false }
    }
    const length = responseLength(this.#method, line, block)
    this.#endsWithConnection = length === 'close'
    // A 204 that announces a body contradicts itself: what follows may be that body.
    const isDoubtful = status === 204 && (block.isChunked || (block.contentLength ?? 0) > 0)
    const keepsAlive = length !== 'close' && !isDoubtful && !block.isClosing && (line.minor === 1 || block.isKeptAlive)
    if (!keepsAlive) this.#isClosing = true
    this.#reading = step(reading, this.#reading, 'message')
    const framed = length === 'none' ? 0 : length
    this.#reader.expectBody(framed)
    return { type: 'response', head, length: framed, keepsAlive }
  }

  #fail(thrown: unknown, events: ClientEvent[]): void {
    if (!(thrown instanceof Failure)) throw thrown
    const failure = thrown.code === 'upstream-reset' ? thrown : new Failure('upstream-invalid', thrown.detail)
    events.push({ type: 'failed', failure })
    this.#reading = step(reading, this.#reading, 'fail')
    this.#isClosing = true
    this.#reader.discard()
  }

  send(command: ClientCommand): void {
    switch (command.type) {
      case 'request':
        return this.#request(command)
      case 'data':
        if (this.#writing === 'tunnel') this.#writer.raw(command.bytes)
        else if (this.#writing === 'body') this.#writer.data(command.bytes)
        else throw new Error(`HTTP/1 codec: data while the request is "${this.#writing}"`)
        return
      case 'end':
        if (this.#writing === 'body') this.#writer.endBody(command.trailers ?? [])
        this.#writing = step(writing, this.#writing, 'end')
        return this.#finish()
    }
  }

  drain(): Uint8Array[] {
    return this.#writer.drain()
  }

  #request({ head, length, close, upgrade }: Request): void {
    const { method, fields } = head
    const framing = requestFraming(method, length)
    const text = `${requestLine(head)}${hostLine(fields)}${fieldLines(fields)}${framing}${connectionLines(fields, close, upgrade)}\r\n`
    this.#reading = step(reading, this.#reading, 'ask')
    this.#writing = step(writing, this.#writing, 'message')
    this.#method = method
    this.#upgrade = upgrade
    this.#isAnswered = false
    this.#informational = 0
    if (close) this.#isClosing = true
    this.#writer.text(text)
    this.#writer.beginBody(length)
  }

  /** The next exchange begins when both messages are complete; a response that overtook its request is the last one. */
  #finish(): void {
    if (this.#reading !== 'done') return
    if (this.#writing !== 'done') {
      this.#isClosing = true
      return
    }
    this.#exchanges++
    this.#reading = step(reading, this.#reading, this.#isClosing ? 'close' : 'next')
    this.#writing = step(writing, this.#writing, 'next')
  }
}

/** RFC 9112 §3.2: exactly one Host, empty where there is no authority (a request of HTTP/1.0 may have had none). */
function hostLine(fields: Fields): string {
  const hosts = fieldValues(fields, 'host').length
  if (hosts > 1) throw new Error('HTTP/1 codec: several Host (RFC 9112 §3.2)')
  return hosts === 0 ? 'Host: \r\n' : ''
}

function connectionLines(fields: Fields, close: boolean | undefined, upgrade: string | undefined): string {
  if (upgrade !== undefined) return upgradeLines(upgrade)
  // RFC 9110 §10.1.4: TE is for the next hop and must be named as such.
  const names = field(fields, 'te') === undefined ? (close ? 'close' : '') : close ? 'close, te' : 'te'
  return names === '' ? '' : `Connection: ${names}\r\n`
}
