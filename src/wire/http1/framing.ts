/** How long a message's body is and how that is said: RFC 9112 §6, read from the head of one message and written into the head of another. */

import { Failure } from '#base/failure'
import type { Length, ResponseHead } from './message.ts'
import { field } from './fields.ts'
import type { Block, RequestLine, StatusLine } from './head.ts'

export function requestLength({ method, target, minor }: RequestLine, block: Block): number | 'chunked' {
  if (block.hosts > 1 || (minor === 1 && block.hosts === 0))
    throw new Failure('bad-request', `RFC 9112 §3.2: ${block.hosts === 0 ? 'no' : 'several'} Host`)
  const length = declaredLength(minor, block) ?? 0
  if (method === 'CONNECT' && length !== 0) throw new Failure('bad-request', 'RFC 9110 §9.3.6: CONNECT has no content')
  if (method === 'CONNECT' && block.hosts === 1 && !isHostOf(target, field(block.fields, 'host') ?? ''))
    throw new Failure('misdirected', 'RFC 9112 §3.2: Host differs from the target of CONNECT')
  return length
}

/** Without a port it is let pass: no two programs understand another host. */
function isHostOf(target: string, host: string): boolean {
  const [named, asked] = [target.toLowerCase(), host.toLowerCase()]
  return asked === named || asked === named.replace(/:[0-9]+$/, '')
}

/** RFC 9112 §6.3: `none` for what never has a body, whatever its fields say. */
export function responseLength(method: string, { status, minor }: StatusLine, block: Block): Length | 'none' {
  const length = declaredLength(minor, block) ?? 'close'
  return isBodiless(method, status) ? 'none' : length
}

function declaredLength(minor: 0 | 1, block: Block): number | 'chunked' | undefined {
  if (!block.isChunked) return block.contentLength
  // RFC 9112 §6.1: HTTP/1.0 knows no codings, so who sent this or who passed it on did not understand it.
  if (minor === 0) throw new Failure('bad-request', 'RFC 9112 §6.1: Transfer-Encoding in HTTP/1.0')
  return 'chunked'
}

export const isBodiless = (method: string, status: number): boolean => method === 'HEAD' || status === 204 || status === 304

/** CONNECT that is accepted, or Upgrade: what follows is no longer HTTP. */
export const opensTunnel = (method: string, status: number): boolean =>
  status === 101 || (method === 'CONNECT' && status >= 200 && status < 300)

/** A client of HTTP/1.0 can only be told a number or be hung up on; one of HTTP/1.1 need not be hung up on. */
export function lengthFor(minor: 0 | 1, length: Length): Length {
  if (typeof length === 'number') return length
  return minor === 0 ? 'close' : 'chunked'
}

export function framingLine(length: Length): string {
  if (length === 'close') return ''
  return length === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : `Content-Length: ${length}\r\n`
}

/** RFC 9110 §8.6: the answers to HEAD and 304 may say how long the body would have been; 204 must not. */
export function bodilessFraming({ status, fields }: ResponseHead, length: Length): string {
  if (status === 204) return ''
  const told = typeof length === 'number' && length > 0 ? String(length) : field(fields, 'content-length')
  return told !== undefined && /^[0-9]{1,16}$/.test(told) ? `Content-Length: ${told}\r\n` : ''
}

/** RFC 9110 §8.6: a request without content says so where its method would let one expect content. */
export function requestFraming(method: string, length: Length): string {
  if (length === 'close') throw new Error('HTTP/1 codec: a request cannot last until the connection ends (RFC 9112 §6.3)')
  if (length === 0 && method !== 'POST' && method !== 'PUT' && method !== 'PATCH') return ''
  return framingLine(length)
}
