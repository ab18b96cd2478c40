/** The cookies of this proxy (RFC 6265): read from a request, written for an answer; and the value that names an endpoint, as Envoy has it. */

import type { Fields } from '#wire/http1'

/** The value of the first cookie of that name, without quotes. */
export function cookieIn(fields: Fields, name: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at]!.length !== 6 || fields[at]!.toLowerCase() !== 'cookie') continue
    for (const pair of fields[at + 1]!.split(';')) {
      const equals = pair.indexOf('=')
      if (equals > 0 && pair.slice(0, equals).trim() === name)
        return pair
          .slice(equals + 1)
          .trim()
          .replace(/^"(.*)"$/, '$1')
    }
  }
  return undefined
}

/** ttlMs: 0: until the browser closes. path: empty: that of the request. Pages' scripts do not see it. */
export const setCookie = (name: string, value: string, ttlMs: number, path: string): string =>
  `${name}=${value}${path === '' ? '' : `; Path=${path}`}${ttlMs > 0 ? `; Max-Age=${Math.ceil(ttlMs / 1000)}` : ''}; HttpOnly`

/** The message `envoy.Cookie { string address = 1; uint64 expires = 2 }` in base64. until: ms since the epoch; 0: for ever. */
export function sessionValue(address: string, until: number): string {
  let bytes = `\n${String.fromCharCode(address.length)}${address}`
  if (until > 0) {
    bytes += '\x10'
    let seconds = Math.ceil(until / 1000)
    for (; seconds > 127; seconds = Math.floor(seconds / 128)) bytes += String.fromCharCode((seconds % 128) | 128)
    bytes += String.fromCharCode(seconds)
  }
  return btoa(bytes)
}

/** The address; undefined where it is none, or its time is over. now: ms since the epoch. */
export function readSession(value: string, now: number): string | undefined {
  let bytes: string
  try {
    bytes = atob(value)
  } catch {
    return undefined
  }
  if (bytes.charCodeAt(0) !== 10) return bytes // an older Envoy wrote the address alone
  const end = 2 + bytes.charCodeAt(1)
  if (bytes.length === end) return bytes.slice(2)
  if (bytes.charCodeAt(end) !== 16) return undefined
  let [seconds, unit] = [0, 1]
  for (let at = end + 1; at < bytes.length && at < end + 9; at++, unit *= 128) seconds += (bytes.charCodeAt(at) & 127) * unit
  return seconds * 1000 > now ? bytes.slice(2, end) : undefined
}
