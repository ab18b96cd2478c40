/** The called side of an HTTP/2 connection: reads requests, writes responses, many at once. */

import type { Fields, ResponseHead } from '../http1.ts'
import { field } from '../http1.ts'
import type { Length2, ServerCodec2, ServerCommand2, ServerEvent2 } from './codec.ts'
import { errorCodes, Fault } from './codes.ts'
import { Connection } from './connection.ts'
import { writeReset } from './frames/write.ts'
import { defaultLimits, type Limits2 } from './limits.ts'
import { Stream } from './streams/stream.ts'
import { Failure } from '#base/failure'

/** Reads requests, writes responses. Limits left out are `defaultLimits`. */
export const serverCodec2 = (limits: Partial<Limits2> = {}): ServerCodec2 => new Server({ ...defaultLimits, ...limits })

type Response = Extract<ServerCommand2, { type: 'response' }>

const noFields: Fields = []

class Server extends Connection<ServerEvent2> implements ServerCodec2 {
  constructor(limits: Limits2) {
    super(limits, true)
  }

  send(command: ServerCommand2): void {
    if (command.type === 'response') this.#response(command)
    else if (command.type === 'informational') this.#informational(command.stream, command.head)
    else this.sendBody(command)
  }

  #informational(id: number, { status, fields }: ResponseHead): void {
    const stream = this.streams.known(id)
    if (stream === undefined) return
    if (status < 100 || status > 199 || status === 101) throw new Error(`HTTP/2 codec: ${status} is not informational`)
    if (stream.writing !== 'head') throw new Error(`HTTP/2 codec: an informational response while the response is "${stream.writing}"`)
    this.heads.response(id, status, fields, undefined, false, this.sender.maxFrame)
    stream.write('interim')
  }

  #response({ stream: id, head, length, isEnd = false }: Response): void {
    const stream = this.streams.known(id)
    if (stream === undefined) return
    const { status, fields } = head
    if (!Number.isInteger(status) || status < 200 || status > 999)
      throw new Error(`HTTP/2 codec: a response of status ${status} cannot be written`)
    if (stream.writing !== 'head') throw new Error(`HTTP/2 codec: a response while the response is "${stream.writing}"`)
    const isTunnel = stream.isTunnel && status < 300
    stream.isBodilessWritten ||= status === 204 || status === 304
    const announced = !stream.isBodilessWritten && !isTunnel && typeof length === 'number' ? length : -1
    if (isEnd && announced > 0) throw new Error('HTTP/2 codec: a response with a length ends with its head')
    this.heads.response(id, status, fields, isTunnel ? undefined : lengthToWrite(stream, head, length), isEnd, this.sender.maxFrame)
    stream.write('head')
    stream.isTunnel = isTunnel
    stream.announced = announced
    if (isEnd) stream.write('end')
    if (isEnd) this.flushed(stream)
  }

  protected settled(): void {}

  protected block(id: number, isEnd: boolean, bytes: Uint8Array, from: number, to: number): void {
    if ((id & 1) === 0) throw new Fault(errorCodes.protocolError, 'RFC 9113 §5.1.1: a client opened a stream with an even number')
    const stream = this.streams.get(id)
    if (stream !== undefined) this.#trailers(stream, isEnd, bytes, from, to)
    else if (id <= this.streams.last) {
      this.head.skip(bytes, from, to)
      if (this.streams.how(id) === undefined)
        throw new Fault(errorCodes.protocolError, 'RFC 9113 §5.1.1: a stream number smaller than one before')
      this.stray(id, 'HEADERS')
    } else this.#request(id, isEnd, bytes, from, to)
  }

  #request(id: number, isEnd: boolean, bytes: Uint8Array, from: number, to: number): void {
    this.streams.last = id
    const { head, limits } = this
    if (id > this.lastServed) return head.skip(bytes, from, to)
    head.read(bytes, from, to, 'request')
    if (head.isTooLarge) return this.#tooLarge(id, isEnd)
    if (this.streams.live >= limits.maxStreams)
      return this.#refuse(id, errorCodes.refusedStream, `more than ${limits.maxStreams} streams at once`)
    if (this.streams.headBytes + head.size > limits.maxOpenHeadBytes)
      return this.#refuse(id, errorCodes.refusedStream, `more than ${limits.maxOpenHeadBytes} bytes of heads at once`)
    const { contentLength, method, fields, protocol } = head
    if (head.problem === '' && contentLength !== undefined && contentLength > 0) {
      if (isEnd) head.problem = 'RFC 9113 §8.1.1: DATA does not add up to Content-Length'
      else if (method === 'CONNECT') head.problem = 'RFC 9110 §9.3.6: CONNECT has no content'
    }
    if (head.problem !== '') return this.#refuse(id, errorCodes.protocolError, head.problem)

    const stream = new Stream(id, true, this.peer.initialWindow, limits.streamWindow)
    stream.headBytes = head.size
    this.streams.add(stream)
    this.guard.worked(2)
    stream.expected = contentLength ?? -1
    stream.isBodilessWritten = method === 'HEAD'
    stream.isTunnel = method === 'CONNECT'
    const length: Length2 = isEnd ? 0 : (contentLength ?? 'chunked')
    const target = method === 'CONNECT' && protocol === undefined ? (head.authority ?? '') : head.path
    this.events.push({
      type: 'request',
      stream: id,
      head: { method, target, minor: 1, fields },
      scheme: head.scheme,
      length,
      protocol,
      expectsContinue: head.expectsContinue,
    })
    if (isEnd) this.readEnd(stream, noFields)
  }

  #trailers(stream: Stream, isEnd: boolean, bytes: Uint8Array, from: number, to: number): void {
    const { head } = this
    head.read(bytes, from, to, 'trailers')
    if (stream.isClosed) return this.stray(stream.id, 'HEADERS')
    if (stream.reading === 'done')
      return this.broken(stream, errorCodes.streamClosed, 'RFC 9113 §5.1: HEADERS after the end of the message')
    if (!isEnd) return this.broken(stream, errorCodes.protocolError, 'RFC 9113 §8.1: a second head in a request')
    if (head.isTooLarge) return this.broken(stream, errorCodes.enhanceYourCalm, 'the trailers are larger than the limit')
    if (head.problem !== '') return this.broken(stream, errorCodes.protocolError, head.problem)
    this.readEnd(stream, head.fields)
  }

  /** RFC 6585 §5. The rest of the request is not wanted. */
  #tooLarge(id: number, isEnd: boolean): void {
    this.guard.reset()
    this.guard.reply()
    this.heads.response(id, 431, noFields, 0, true, this.sender.maxFrame)
    if (!isEnd) writeReset(this.output, id, errorCodes.noError)
    this.streams.refused(id)
    this.events.push({ type: 'refused', stream: id, failure: new Failure('header-too-large', '') })
  }

  #refuse(id: number, code: 1 | 7, detail: string): void {
    this.guard.reset()
    this.guard.reply()
    writeReset(this.output, id, code)
    this.streams.refused(id)
    this.events.push({ type: 'refused', stream: id, failure: new Failure(code === 7 ? 'overload' : 'bad-request', detail) })
  }
}

/** RFC 9110 §8.6: the answers to HEAD and 304 may say how long the body would have been; 204 must not. */
function lengthToWrite(stream: Stream, { status, fields }: ResponseHead, length: Length2): number | string | undefined {
  if (status === 204) return undefined
  if (!stream.isBodilessWritten) return typeof length === 'number' ? length : undefined
  const told = typeof length === 'number' && length > 0 ? String(length) : field(fields, 'content-length')
  return told !== undefined && /^[0-9]{1,15}$/.test(told) ? told : undefined
}
