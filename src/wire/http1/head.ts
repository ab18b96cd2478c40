/** The head of a message, from text whose lines and characters were checked while it was scanned: first line, fields, and what they say about framing. */

import { Failure } from '#base/failure'
import type { Fields } from './message.ts'
import { listed } from './fields.ts'
import { type Name, nameOf, token } from './names.ts'

/** The fields of one message and what its reader must know of them, found in one pass. Shared between messages with equal fields, so never edited. */
export type Block = {
  readonly fields: Fields
  /** undefined: no Content-Length. */
  readonly contentLength: number | undefined
  readonly isChunked: boolean
  readonly hosts: number
  readonly isClosing: boolean
  readonly isKeptAlive: boolean
  /** What Upgrade offers, when Connection names it, without h2c. */
  readonly upgrade: string | undefined
  readonly expectsContinue: boolean
}

export type RequestLine = { readonly method: string; readonly target: string; readonly minor: 0 | 1 }
export type StatusLine = { readonly status: number; readonly reason: string; readonly minor: 0 | 1 }

/** RFC 9112 §3. The line comes without its CRLF. */
export function parseRequestLine(line: string): RequestLine {
  const afterMethod = line.indexOf(' ')
  const afterTarget = line.lastIndexOf(' ')
  if (afterMethod < 1 || afterTarget === afterMethod)
    throw new Failure('bad-request', 'RFC 9112 §3: the request line is not "method target version"')
  const method = line.slice(0, afterMethod)
  if (!token.test(method)) throw new Failure('bad-request', 'RFC 9110 §9.1: the method is not a token')
  const minor = minorOf(line, afterTarget + 1)
  const target = line.slice(afterMethod + 1, afterTarget)
  checkTarget(method, target)
  return { method, target, minor }
}

/** RFC 9112 §4. A missing space before a missing reason is let pass: nothing can be mistaken for it. */
export function parseStatusLine(line: string): StatusLine {
  const minor = minorOf(line.slice(0, 8), 0)
  const code = line.slice(9, 12)
  if (line[8] !== ' ' || !/^[1-9][0-9][0-9]$/.test(code) || (line.length > 12 && line[12] !== ' '))
    throw new Failure('bad-request', 'RFC 9112 §4: the status line is not "version code reason"')
  return { status: Number(code), reason: line.slice(13), minor }
}

function minorOf(line: string, at: number): 0 | 1 {
  if (line.length - at === 8) {
    if (line.endsWith('HTTP/1.1')) return 1
    if (line.endsWith('HTTP/1.0')) return 0
    if (/HTTP\/[0-9]\.[0-9]$/.test(line))
      throw new Failure('version-not-supported', `RFC 9112 §2.3: ${line.slice(-8)}; HTTP/1.0 and HTTP/1.1 are understood`)
  }
  throw new Failure('bad-request', 'RFC 9112 §2.3: the version is not HTTP/1.0 or HTTP/1.1')
}

/** RFC 9112 §3.2: a path, an absolute URI, the authority for CONNECT, or `*` for OPTIONS; printable ASCII, and no fragment (RFC 9110 §7.1). */
function checkTarget(method: string, target: string): void {
  if (/[^\x21\x22\x24-\x7e]/.test(target))
    throw new Failure('bad-request', 'RFC 9112 §3.2: the request target holds a character that no URI may hold')
  const isValid =
    method === 'CONNECT'
      ? /^(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:[\]]+):[0-9]{1,5}$/.test(target)
      : target.startsWith('/') || (target === '*' && method === 'OPTIONS') || /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#@]+(?:[/?]|$)/.test(target)
  if (!isValid) throw new Failure('bad-request', `RFC 9112 §3.2: the request target has no form that ${method} may use`)
  if (target.charCodeAt(0) !== 47 && /^(?:[^:/]+:\/\/)?(?:\.|[^/?]*\.\.)/.test(target))
    throw new Failure('bad-request', 'RFC 1034 §3.1: a part of the host between dots is empty')
}

/** text: the field lines, each with its CRLF, without the empty line that ends them. */
export function parseBlock(text: string): Block {
  const fields: string[] = []
  let contentLength: number | undefined
  let isChunked = false
  let hosts = 0
  let connection = ''
  let upgrade = ''
  let expectsContinue = false
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\n', at) - 1 // the scan has seen to it that CR stands before every LF
    const colon = text.indexOf(':', at)
    const name = colon < 0 || colon > end ? undefined : nameOf(text.slice(at, colon))
    if (name === undefined) throw new Failure('bad-request', whyNoName(text.slice(at, end)))
    const value = trimmed(text, colon + 1, end)
    fields.push(name.text, value)
    at = end + 2
    if (name.kind === 'plain' || name.kind === 'hop') continue
    if (name.kind === 'host') {
      hosts++
      checkHost(value)
    } else if (name.kind === 'length') {
      if (contentLength !== undefined) throw new Failure('bad-request', 'RFC 9112 §6.3: several Content-Length')
      contentLength = lengthOf(value)
    } else if (name.kind === 'expect') expectsContinue = value.toLowerCase() === '100-continue'
    else if (name.lower === 'connection') connection += `,${value}`
    else if (name.lower === 'upgrade') upgrade += `,${value}`
    else if (name.lower === 'transfer-encoding') {
      if (isChunked) throw new Failure('bad-request', 'RFC 9112 §6.1: several Transfer-Encoding')
      checkCoding(value)
      isChunked = true
    }
  }
  if (isChunked && contentLength !== undefined) throw new Failure('bad-request', 'RFC 9112 §6.3: both Transfer-Encoding and Content-Length')
  const options = connectionOptions(connection)
  return {
    fields,
    contentLength,
    isChunked,
    hosts,
    isClosing: options.includes('close'),
    isKeptAlive: options.includes('keep-alive'),
    upgrade: upgrade !== '' && options.includes('upgrade') ? withoutHttp(upgrade) : undefined,
    expectsContinue,
  }
}

const nothing: readonly string[] = []
const onlyKeepAlive: readonly string[] = ['keep-alive']

function connectionOptions(connection: string): readonly string[] {
  if (connection === '') return nothing
  return connection === ',keep-alive' ? onlyKeepAlive : listed(connection.toLowerCase())
}

/** Field lines at the end of a chunked body (RFC 9112 §7.1.2). Those that would frame, route or authenticate a message are dropped: RFC 9110 §6.5.1. */
export function parseTrailers(text: string): Fields {
  const trailers: string[] = []
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\n', at) - 1 // the scan has seen to it that CR stands before every LF
    const colon = text.indexOf(':', at)
    const name = colon < 0 || colon > end ? undefined : nameOf(text.slice(at, colon))
    if (name === undefined) throw new Failure('bad-request', whyNoName(text.slice(at, end)))
    if (mayTrail(name)) trailers.push(name.text, trimmed(text, colon + 1, end))
    at = end + 2
  }
  return trailers
}

/** RFC 9110 §6.5.1: what would frame, route or authenticate a message, or says what its content is, has no meaning behind it. */
const neverTrailing: ReadonlySet<string> = new Set(
  [
    // Routing, and what changes what is asked for.
    'forwarded host max-forwards cache-control pragma range expect te if-match if-none-match if-modified-since if-unmodified-since if-range',
    // Authentication.
    'authorization cookie set-cookie www-authenticate proxy-authenticate proxy-authorization',
    // What the content is, and what the answer means.
    'content-length content-encoding content-type content-range transfer-encoding trailer age date expires location retry-after vary warning',
  ].flatMap(names => names.split(' ')),
)

/** lower: the name in lower case. */
export const isNeverTrailing = (lower: string): boolean => neverTrailing.has(lower) || lower.startsWith('x-forwarded-')

export const mayTrail = (name: Name): boolean => name.kind === 'plain' && !isNeverTrailing(name.lower)

/** Optional white space around a value (RFC 9110 §5.5) is not part of it. */
function trimmed(text: string, from: number, to: number): string {
  while (from < to && isBlank(text.charCodeAt(from))) from++
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09

function whyNoName(line: string): string {
  if (isBlank(line.charCodeAt(0))) return 'RFC 9112 §5.2: a field line is folded'
  const colon = line.indexOf(':')
  if (colon < 0) return 'RFC 9112 §5: a field line has no colon'
  if (colon === 0) return 'RFC 9112 §5: a field has no name'
  return isBlank(line.charCodeAt(colon - 1)) ? 'RFC 9112 §5.1: white space before the colon' : 'RFC 9110 §5.1: a field name is not a token'
}

function lengthOf(value: string): number {
  const length = /^[0-9]{1,16}$/.test(value) ? Number(value) : Number.NaN
  if (!Number.isSafeInteger(length)) throw new Failure('bad-request', 'RFC 9112 §6.2: Content-Length is not a number')
  return length
}

function checkCoding(value: string): void {
  const codings = value.toLowerCase()
  if (codings === 'chunked') return
  if (/^(?:(?:gzip|x-gzip|deflate|compress|x-compress)[ \t]*,[ \t]*)+chunked$/.test(codings))
    throw new Failure('not-implemented', `RFC 9112 §6.1: Transfer-Encoding ${codings}; only "chunked" is understood`)
  throw new Failure('bad-request', 'RFC 9112 §6.1: Transfer-Encoding is not exactly "chunked"')
}

/** RFC 9110 §7.2, RFC 3986 §3.2.2. A comma, which a host name could hold, is refused: it is what two Host lines become when somebody joined them. */
function checkHost(value: string): void {
  if (value === lastHost) return
  if (!/^(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?$/.test(value))
    throw new Failure('bad-request', 'RFC 9112 §3.2: Host is not a host name with an optional port')
  if (emptyLabel.test(value)) throw new Failure('bad-request', 'RFC 1034 §3.1: a part of Host between dots is empty')
  if (value.length <= 255) lastHost = value
}

/** A name may end in one dot. What has more is no name, and would be another to whoever compares it. */
export const emptyLabel = /^\.|\.\./

let lastHost = ''

/**
 * RFC 9113 §3.1 withdrew the upgrade to cleartext HTTP/2, and that to TLS (RFC 2817) nobody speaks: whoever offers these is served as if it had not. In both
 * requests would follow that no proxy sees.
 */
function withoutHttp(offers: string): string | undefined {
  const rest = listed(offers).filter(offer => !namesHttp(offer))
  return rest.length === 0 ? undefined : rest.join(', ')
}

/** Whether the protocol of an upgrade (RFC 9110 §7.8), in whatever case and version, is HTTP or TLS; drafts of HTTP/2 too. */
export const namesHttp = (protocol: string): boolean => /^\s*(?:h2c?|h3|https?|tls)(?:-[0-9]+)?(?![!#$%&'*+\-.^_`|~0-9a-z])/i.test(protocol)
