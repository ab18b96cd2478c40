/** The called side of an HTTP/1.x connection: reads requests, writes responses, one exchange after the other. */

import { noBytes } from '#base/bytes'
import { Failure } from '#base/failure'
import type { Fields, ResponseHead, ServerCodec, ServerCommand, ServerEvent } from './message.ts'
import { field } from './fields.ts'
import { bodilessFraming, framingLine, isBodiless, lengthFor, opensTunnel, requestLength } from './framing.ts'
import { parseRequestLine } from './head.ts'
import { defaultLimits, type Limits } from './limits.ts'
import { type HeadText, plainEnd, Reader } from './read.ts'
import { type Reading, reading, step, type Writing, writing } from './state.ts'
import { fieldLines, statusLine, upgradeLines, Writer } from './write.ts'

type Response = Extract<ServerCommand, { type: 'response' }>

/** Reads requests, writes responses. Limits left out are `defaultLimits`. */
export const serverCodec = (limits: Partial<Limits> = {}): ServerCodec => new Server({ ...defaultLimits, ...limits })

class Server implements ServerCodec {
  readonly #reader: Reader
  readonly #writer = new Writer()
  #reading: Reading = 'head'
  #writing: Writing = 'idle'
  #isClosing = false
  #isWaiting = false
  #hasPeerEnded = false
  // Of the current request.
  #method = ''
  #minor: 0 | 1 = 1
  #upgrade: string | undefined
  #owesContinue = false

  constructor(limits: Limits) {
    this.#reader = new Reader(limits, true)
  }

  get wantsBytes(): boolean {
    return !this.#isWaiting
  }
  get isIdle(): boolean {
    return this.#reading === 'head' && this.#writing === 'idle' && this.#reader.held === 0
  }
  get mustClose(): boolean {
    return this.#isClosing
  }
  get tunnel(): boolean {
    return this.#reading === 'tunnel' || this.#writing === 'tunnel'
  }

  receive(bytes: Uint8Array): ServerEvent[] {
    const events: ServerEvent[] = []
    this.#reader.offer(bytes)
    try {
      this.#read(events)
      if (this.#hasPeerEnded) this.#readEnd(events)
    } catch (thrown) {
      this.#fail(thrown, events)
    }
    this.#reader.keep()
    return events
  }

  receiveEnd(): ServerEvent[] {
    this.#hasPeerEnded = true
    return this.receive(noBytes)
  }

  #read(events: ServerEvent[]): void {
    this.#isWaiting = false
    for (;;) {
      switch (this.#reading) {
        case 'head': {
          const head = this.#reader.head()
          if (head === undefined) return
          events.push(this.#readRequest(head))
          break
        }
        case 'body':
          if (!this.#reader.body(events)) return
          this.#reading = step(reading, this.#reading, 'end')
          break
        case 'done':
          this.#isWaiting = this.#reader.held > 0
          return
        case 'tunnel': {
          const bytes = this.#reader.takeAll()
          if (bytes) events.push({ type: 'data', bytes })
          return
        }
        default:
          this.#reader.discard()
          return
      }
    }
  }

  #readRequest({ line: text, block }: HeadText): ServerEvent {
    const line = parseRequestLine(text)
    const { method, target, minor } = line
    const length = requestLength(line, block)
    this.#method = method
    this.#minor = minor
    this.#isClosing = block.isClosing || (minor === 0 && !block.isKeptAlive)
    this.#upgrade = minor === 1 && length === 0 && method !== 'CONNECT' ? block.upgrade : undefined
    this.#owesContinue = minor === 1 && length !== 0 && block.expectsContinue
    this.#reading = step(reading, this.#reading, 'message')
    this.#writing = step(writing, this.#writing, 'owe')
    this.#reader.expectBody(length)
    return {
      type: 'request',
      head: { method, target, minor, fields: block.fields },
      length,
      expectsContinue: this.#owesContinue,
      upgrade: this.#upgrade,
    }
  }

  /** What it means that nothing more will come, once all that came was read. */
  #readEnd(events: ServerEvent[]): void {
    if (this.#reading === 'tunnel') {
      events.push(plainEnd)
      this.#reading = step(reading, this.#reading, 'end')
    } else if (this.#reading === 'body' || (this.#reading === 'head' && this.#reader.held > 0)) {
      throw new Failure('bad-request', 'RFC 9112 §8: the connection ended inside a request')
    } else if (!this.#isWaiting) {
      // A client may close its half once it has asked; it still gets its answer.
      this.#isClosing = true
      if (this.#reading === 'head') this.#reading = step(reading, this.#reading, 'close')
    }
  }

  #fail(thrown: unknown, events: ServerEvent[]): void {
    if (!(thrown instanceof Failure)) throw thrown
    events.push({ type: 'failed', failure: thrown })
    this.#reading = step(reading, this.#reading, 'fail')
    this.#isClosing = true
    this.#isWaiting = false
    this.#reader.discard()
  }

  send(command: ServerCommand): void {
    switch (command.type) {
      case 'informational':
        return this.#inform(command.head)
      case 'response':
        return opensTunnel(this.#method, command.head.status) ? this.#switch(command) : this.#respond(command)
      case 'data':
        if (this.#writing === 'tunnel') this.#writer.raw(command.bytes)
        else if (this.#writing === 'body') this.#writer.data(command.bytes)
        else throw new Error(`HTTP/1 codec: data while the response is "${this.#writing}"`)
        return
      case 'end':
        return this.#end(command.trailers ?? [])
    }
  }

  drain(): Uint8Array[] {
    return this.#writer.drain()
  }

  #inform(head: ResponseHead): void {
    if (head.status < 100 || head.status > 199 || head.status === 101) throw new Error(`HTTP/1 codec: ${head.status} is not informational`)
    this.#writing = step(writing, this.#writing, 'interim')
    if (this.#minor === 0) return // RFC 9110 §15.2
    if (head.status === 100) this.#owesContinue = false
    this.#writer.text(`${statusLine(head)}${fieldLines(head.fields)}\r\n`)
  }

  #respond({ head, length, close, isRestUnread }: Response): void {
    if (head.status < 200) throw new Error(`HTTP/1 codec: ${head.status} is not a final status`)
    const lines = statusLine(head) + fieldLines(head.fields)
    if (this.#writing === 'idle') this.#answerUnasked()
    this.#writing = step(writing, this.#writing, 'message')
    const framed = isBodiless(this.#method, head.status) ? 'none' : lengthFor(this.#minor, length)
    // Where a body waits for a 100 that never came, it may follow or not, so the next request could not be found (RFC 9110 §10.1.1).
    const isLast = this.#reading === 'body' && (this.#owesContinue || isRestUnread === true)
    if (close || framed === 'close' || isLast) this.#isClosing = true
    const framing = framed === 'none' ? bodilessFraming(head, length) : framingLine(framed)
    const connection = this.#isClosing ? 'Connection: close\r\n' : this.#minor === 0 ? 'Connection: keep-alive\r\n' : ''
    this.#writer.text(`${lines}${framing}${connection}\r\n`)
    this.#writer.beginBody(framed)
  }

  /** An answer to an idle or broken connection (408, 503, 400) is the last one: what comes after cannot be told from what it answers. */
  #answerUnasked(): void {
    this.#isClosing = true
    this.#method = ''
    this.#minor = 1
    this.#owesContinue = false
  }

  #switch({ head, upgrade }: Response): void {
    const protocol = upgrade ?? field(head.fields, 'upgrade') ?? this.#upgrade
    if (head.status === 101 && this.#upgrade === undefined) throw new Error('HTTP/1 codec: 101 to a request that offered no upgrade')
    const lines = statusLine(head) + fieldLines(head.fields) + (head.status === 101 ? upgradeLines(protocol!) : '')
    this.#writing = step(writing, this.#writing, 'switch')
    this.#reading = step(reading, this.#reading, 'switch')
    this.#isClosing = true
    this.#writer.text(`${lines}\r\n`)
  }

  #end(trailers: Fields): void {
    if (this.#writing === 'body') this.#writer.endBody(trailers)
    this.#writing = step(writing, this.#writing, 'end')
    if (this.#reading === 'done' && !this.#isClosing) {
      this.#reading = step(reading, this.#reading, 'again')
      this.#writing = step(writing, this.#writing, 'next')
    } else if (this.#reading !== 'tunnel') {
      this.#isClosing = true // also where the request has not ended: its rest is not waited for
      this.#reading = step(reading, this.#reading, 'close')
      this.#isWaiting = false
      this.#reader.discard()
    }
  }
}
