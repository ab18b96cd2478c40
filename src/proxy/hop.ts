/**
 * What HTTP/2 between two Weft proxies would lose of an HTTP/1 message, in fields that never leave the mesh: the case of its field names, and that it was
 * HTTP/1 at all. Both ends agree on it by ALPN, so no other client or server ever meets it.
 */

import type { Fields } from '#wire/http1'

/** HTTP/2 (RFC 9113) with the fields of this file. */
export const hopAlpn = 'weft'

const field = 'x-weft-http1'
/** The usual form, `Content-Type`, of every name; other forms are spelled out. */
const titled = '-'

const titles = new Map<string, string>()
const lowers = new Map<string, string>()
const maxKnown = 4_096

function titleOf(name: string): string {
  let title = titles.get(name)
  if (title === undefined) {
    title = name.replaceAll(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase())
    if (titles.size < maxKnown) titles.set(name, title)
  }
  return title
}

function lowerOf(name: string): string {
  let lower = lowers.get(name)
  if (lower === undefined) {
    lower = name.toLowerCase()
    if (lowers.size < maxKnown) lowers.set(name, lower)
  }
  return lower
}

/** Adds what the next Weft proxy must know to write this HTTP/1 message as it was. */
export function wrapHttp1(fields: Fields): Fields {
  let isTitled = true
  let spelled = ''
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!
    const lower = lowerOf(name)
    if (isTitled && titleOf(lower) !== name) isTitled = false
    if (lower !== name) spelled += spelled === '' ? name : `,${name}`
  }
  return [...fields, field, isTitled ? titled : spelled]
}

/** The message as its own proxy read it. Without the field it was HTTP/2. */
export function unwrap(fields: Fields): { readonly fields: Fields; readonly isHttp1: boolean } {
  const at = fields.lastIndexOf(field)
  if (at < 0 || at % 2 === 1) return { fields, isHttp1: false }
  const said = fields[at + 1]!
  const rest = fields.slice()
  ;(rest as string[]).splice(at, 2)
  return { fields: said === '' ? rest : restored(rest as string[], said), isHttp1: true }
}

function restored(fields: string[], said: string): Fields {
  if (said === titled) {
    for (let at = 0; at < fields.length; at += 2) fields[at] = titleOf(fields[at]!)
    return fields
  }
  const names = new Map(said.split(',').map(name => [name.toLowerCase(), name]))
  for (let at = 0; at < fields.length; at += 2) fields[at] = names.get(fields[at]!) ?? fields[at]!
  return fields
}
