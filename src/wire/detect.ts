/** What a connection speaks, told from its first bytes: HTTP/1, HTTP/2, TLS (with the name and protocols that its client asks for) or anything else. */

import { readClientHello } from './detect/client-hello.ts'
import type { Detected } from './detect/detected.ts'

export type { Detected } from './detect/detected.ts'

/** Longest first line that is waited for before the bytes count as opaque. */
const maxLineBytes = 8_192

/** RFC 9113 §3.4. */
const preface = bytesOf('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

const emptyLine = bytesOf('\r\n')

const knownMethods = ['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'PATCH', 'OPTIONS', 'CONNECT', 'TRACE'].map(method => bytesOf(`${method} `))

const LF = 10

/** bytes: everything that came so far on this connection, from its first byte. Never throws. */
export function detect(bytes: Uint8Array): Detected {
  if (bytes.length === 0) return { kind: 'more' }
  if (bytes[0] === 0x16) return readClientHello(bytes)
  if (agrees(bytes, preface)) return { kind: bytes.length >= preface.length ? 'http2' : 'more' }
  // RFC 9112 §2.2: one empty line may stand before a request line.
  if (!agrees(bytes, emptyLine)) return { kind: requestLine(bytes) }
  return { kind: bytes.length <= emptyLine.length ? 'more' : requestLine(bytes.subarray(emptyLine.length)) }
}

/** Whether an HTTP connection begins in version 2; undefined: more bytes must tell. No method begins with PRI (RFC 9113 §3.4). */
export function beginsHttp2(bytes: Uint8Array): boolean | undefined {
  const start = preface.subarray(0, 3)
  if (!agrees(bytes, start)) return false
  return bytes.length < start.length ? undefined : true
}

/** Whether a first line is HTTP of no version and by no method: who sends it would not understand an answer in HTTP either. */
export function isForeign(all: Uint8Array): boolean {
  const bytes = all.length >= emptyLine.length && agrees(all, emptyLine) ? all.subarray(emptyLine.length) : all
  const end = bytes.indexOf(LF)
  if (end < 0 || knownMethods.some(method => agrees(bytes, method))) return false
  return !String.fromCharCode(...bytes.subarray(0, Math.min(end, maxLineBytes))).includes('HTTP/')
}

/** Redis, SMTP and others begin with text too, so a line that only looks like HTTP is HTTP when it names the version, or begins with a known method and a path. */
function requestLine(bytes: Uint8Array): 'http1' | 'opaque' | 'more' {
  for (const method of knownMethods) {
    if (!agrees(bytes, method)) continue
    if (bytes.length <= method.length) return 'more'
    if (bytes[method.length] === 0x2f) return 'http1'
  }
  const end = bytes.indexOf(LF)
  const line = String.fromCharCode(...bytes.subarray(0, Math.min(end < 0 ? bytes.length : end, maxLineBytes)))
  if (end < 0)
    return bytes.length < maxLineBytes && /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}(?: [\x21-\x7e]*(?: [HTP/0-9.]*\r?)?)?$/.test(line)
      ? 'more'
      : 'opaque'
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} [\x21-\x7e]+ HTTP\/[0-9]\.[0-9]\r?$/.test(line) ? 'http1' : 'opaque'
}

/** Whether one begins with the other, as far as both go. */
function agrees(bytes: Uint8Array, start: Uint8Array): boolean {
  const count = Math.min(bytes.length, start.length)
  for (let at = 0; at < count; at++) if (bytes[at] !== start[at]) return false
  return true
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
