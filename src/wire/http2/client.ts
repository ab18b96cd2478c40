/** The calling side of an HTTP/2 connection: writes requests, reads responses, many at once. */

import { type Fields, fieldValues } from '../http1.ts'
import type { ClientCodec2, ClientCommand2, ClientEvent2, Length2, Request2 } from './codec.ts'
import { errorCodes, Fault, largestStream } from './codes.ts'
import { Connection } from './connection.ts'
import { isMethod, isPath } from './head/check.ts'
import type { RequestLine2 } from './head/write.ts'
import { defaultLimits, type Limits2 } from './limits.ts'
import { Stream } from './streams/stream.ts'

/** Writes requests, reads responses. Limits left out are `defaultLimits`. */
export const clientCodec2 = (limits: Partial<Limits2> = {}): ClientCodec2 => new Client({ ...defaultLimits, ...limits })

const noFields: Fields = []

class Client extends Connection<ClientEvent2> implements ClientCodec2 {
  constructor(limits: Limits2) {
    super(limits, false)
  }

  get canOpen(): boolean {
    return this.room > 0
  }
  get room(): number {
    if (this.isDraining || this.mustClose || this.streams.last >= largestStream - 1) return 0
    return Math.max(0, Math.min(this.peer.maxStreams, this.limits.maxOpened) - this.streams.live)
  }
  get allowsProtocol(): boolean {
    return this.peer.allowsProtocol
  }

  send(command: ClientCommand2): void {
    this.sendBody(command)
  }

  open(request: Request2): number {
    if (!this.canOpen) throw new Error('HTTP/2 codec: no stream can be opened; see canOpen')
    const { head, length, isEnd = false, protocol } = request
    if (protocol !== undefined && !this.allowsProtocol)
      throw new Error('HTTP/2 codec: the peer takes no extended CONNECT; see allowsProtocol')
    const line = lineOf(request)
    const isTunnel = head.method === 'CONNECT'
    const id = this.streams.last + 2
    const stream = new Stream(id, false, this.peer.initialWindow, this.limits.streamWindow)
    stream.isBodilessRead = head.method === 'HEAD'
    stream.isTunnel = isTunnel
    if (!isTunnel && typeof length === 'number') stream.announced = length
    if (isEnd) {
      if (stream.announced > 0) throw new Error('HTTP/2 codec: a request with a length ends with its head')
      stream.write('end')
    }
    this.heads.request(id, line, head.fields, isTunnel ? undefined : lengthToWrite(head.method, length), isEnd, this.sender.maxFrame)
    this.streams.last = id
    this.streams.add(stream)
    if (isEnd) this.flushed(stream)
    return id
  }

  protected settled(): void {
    this.events.push({ type: 'settings' })
  }

  protected block(id: number, isEnd: boolean, bytes: Uint8Array, from: number, to: number): void {
    if (this.isIdle(id)) throw new Fault(errorCodes.protocolError, 'RFC 9113 §5.1.1: the server opened a stream')
    const stream = this.streams.get(id)
    if (stream === undefined || stream.reading === 'done') {
      this.head.skip(bytes, from, to)
      if (stream === undefined || stream.isClosed) this.stray(id, 'HEADERS')
      else this.broken(stream, errorCodes.streamClosed, 'RFC 9113 §5.1: HEADERS after the end of the message')
    } else if (stream.reading === 'head') this.#response(stream, isEnd, bytes, from, to)
    else this.#trailers(stream, isEnd, bytes, from, to)
  }

  #response(stream: Stream, isEnd: boolean, bytes: Uint8Array, from: number, to: number): void {
    const { head } = this
    head.read(bytes, from, to, 'response')
    const { status, contentLength } = head
    if (head.isTooLarge) return this.broken(stream, errorCodes.enhanceYourCalm, 'the head of the response is larger than the limit')
    const isInformational = status < 200
    if (head.problem === '' && status === 101) head.problem = 'RFC 9113 §8.6: 101, which HTTP/2 does not have'
    if (head.problem === '' && isInformational && isEnd) head.problem = 'RFC 9113 §8.1: an informational response that ends the stream'
    if (head.problem === '' && isInformational && ++stream.informational > this.limits.maxInformational)
      head.problem = `more than ${this.limits.maxInformational} informational responses`
    stream.isTunnel &&= status < 300
    stream.isBodilessRead ||= status === 204 || status === 304
    if (head.problem === '' && isEnd && !stream.isBodilessRead && (contentLength ?? 0) > 0)
      head.problem = 'RFC 9113 §8.1.1: DATA does not add up to Content-Length'
    if (head.problem !== '') return this.broken(stream, errorCodes.protocolError, head.problem)
    const told = { status, reason: '', minor: 1, fields: head.fields } as const
    if (isInformational) {
      stream.read('interim')
      this.events.push({ type: 'informational', stream: stream.id, head: told })
      return
    }
    stream.read('head')
    stream.expected = stream.isBodilessRead ? 0 : stream.isTunnel ? -1 : (contentLength ?? -1)
    const length: Length2 = isEnd || stream.isBodilessRead ? 0 : stream.isTunnel ? 'chunked' : (contentLength ?? 'chunked')
    this.events.push({ type: 'response', stream: stream.id, head: told, length })
    if (isEnd) this.readEnd(stream, noFields)
  }

  #trailers(stream: Stream, isEnd: boolean, bytes: Uint8Array, from: number, to: number): void {
    const { head } = this
    head.read(bytes, from, to, 'trailers')
    if (!isEnd) return this.broken(stream, errorCodes.protocolError, 'RFC 9113 §8.1: a second head in a response')
    if (head.isTooLarge) return this.broken(stream, errorCodes.enhanceYourCalm, 'the trailers are larger than the limit')
    if (head.problem !== '') return this.broken(stream, errorCodes.protocolError, head.problem)
    this.readEnd(stream, head.fields)
  }
}

function lineOf({ head, scheme, protocol }: Request2): RequestLine2 {
  const { method, target, fields } = head
  const hosts = fieldValues(fields, 'host')
  if (hosts.length > 1) throw new Error('HTTP/2 codec: several Host (RFC 9110 §7.2)')
  if (!isMethod(method)) throw new Error('HTTP/2 codec: the method is not a token (RFC 9110 §9.1)')
  const authority = hosts[0] === '' ? undefined : hosts[0]
  if (method === 'CONNECT' && protocol === undefined) {
    if (target === '') throw new Error('HTTP/2 codec: CONNECT without a target (RFC 9113 §8.5)')
    return { method, scheme: undefined, authority: target, path: undefined, protocol }
  }
  const path = pathOf(target)
  if (!isPath(path)) throw new Error('HTTP/2 codec: the path cannot be written (RFC 9113 §8.3.1)')
  return { method, scheme, authority, path, protocol }
}

/** An absolute target is cut down to its path: its host was taken for Host by who routed it. */
function pathOf(target: string): string {
  if (target.charCodeAt(0) === 0x2f || target === '*') return target
  const path = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*(.*)$/.exec(target)?.[1]
  if (path === undefined) throw new Error('HTTP/2 codec: the target is no path (RFC 9113 §8.3.1)')
  return path.startsWith('/') ? path : `/${path}`
}

/** RFC 9110 §8.6: a request without content says so where its method would let one expect content. */
function lengthToWrite(method: string, length: Length2): number | undefined {
  if (typeof length !== 'number') return undefined
  return length === 0 && method !== 'POST' && method !== 'PUT' && method !== 'PATCH' ? undefined : length
}
