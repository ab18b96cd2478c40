/** Which strings may be a value, a method, a path … in a head: no more than HTTP/1 can carry. */

import { isWritable } from '../../hpack.ts'
import { emptyLabel } from '../../http1.ts'

/** RFC 9113 §8.2.1 and RFC 9110 §5.5: no control character, no white space at either end. */
export function isField(value: string): boolean {
  if (value === '') return true
  if (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1))) return false
  return isWritable(value)
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09

/** RFC 9110 §9.1. */
export const isMethod = (value: string): boolean => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(value)

/** RFC 3986 §3.1, in lower case. */
export const isScheme = (value: string): boolean => value === 'https' || value === 'http' || /^[a-z][a-z0-9+.-]*$/.test(value)

/** RFC 3986 §3.3: printable ASCII, and no fragment (RFC 9110 §7.1). */
export function isPath(value: string): boolean {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at)
    if (code <= 0x20 || code >= 0x7f || code === 0x23) return false
  }
  return true
}

/** RFC 3986 §3.2.2, without user information (RFC 9113 §8.3.1) and without a comma, which is what two Host lines become when somebody joined them. */
export function isAuthority(value: string): boolean {
  if (value === last) return true
  const isValid =
    /^(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?$/.test(value) && !emptyLabel.test(value)
  if (isValid && value.length <= 255) last = value
  return isValid
}

let last = ''
