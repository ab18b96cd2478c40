/** Reading and changing header fields: the flat array of names and values, never edited in place. */

import type { Fields } from './message.ts'
import { mayBeSpecial, nameOf } from './names.ts'

const same = (name: string, lowerName: string): boolean =>
  name === lowerName || (name.length === lowerName.length && name.toLowerCase() === lowerName)

/** The first value of that name, which must be given in lower case. */
export function field(fields: Fields, lowerName: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) if (same(fields[at]!, lowerName)) return fields[at + 1]
  return undefined
}

/** Every value of that name in order, one for each field line: a list within one value is not taken apart. */
export function fieldValues(fields: Fields, lowerName: string): string[] {
  const values: string[] = []
  for (let at = 0; at < fields.length; at += 2) if (same(fields[at]!, lowerName)) values.push(fields[at + 1]!)
  return values
}

/** All values of that name replaced by one, which stands where the first stood, or at the end. The name is compared without case and written as given. */
export function withField(fields: Fields, name: string, value: string): Fields {
  const lower = name.toLowerCase()
  const changed: string[] = []
  let isPlaced = false
  for (let at = 0; at < fields.length; at += 2) {
    if (!same(fields[at]!, lower)) changed.push(fields[at]!, fields[at + 1]!)
    else if (!isPlaced) {
      changed.push(name, value)
      isPlaced = true
    }
  }
  if (!isPlaced) changed.push(name, value)
  return changed
}

/** The same array when there is nothing to take out. */
export function withoutField(fields: Fields, lowerName: string): Fields {
  if (field(fields, lowerName) === undefined) return fields
  return fields.filter((_, at) => !same(fields[at & ~1]!, lowerName))
}

/** The members of a comma-separated list (RFC 9110 §5.6.1), trimmed, empty ones left out. */
export const listed = (value: string): string[] =>
  value
    .split(',')
    .map(member => member.trim())
    .filter(member => member !== '')

/**
 * What of a message's fields may go on to the next hop (RFC 9110 §7.6.1): all but Connection and those that it names, Keep-Alive, Proxy-Connection,
 * Transfer-Encoding, Upgrade, Proxy-Authenticate, Proxy-Authorization, and TE but for `trailers`. Returns the same array when nothing is dropped.
 * Host and Content-Length stay even where Connection names them: no peer may make a proxy forget them.
 */
export function forwardable(fields: Fields): Fields {
  let first = 0
  while (first < fields.length && !isHop(fields[first]!)) first += 2
  if (first >= fields.length) return fields
  const dropped = namedByConnection(fields)
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const text = fields[at]!
    if (isHop(text)) {
      if (same(text, 'te') && asksForTrailers(fields[at + 1]!)) kept.push(text, 'trailers')
    } else if (dropped === undefined || nameOf(text)?.kind !== 'plain' || !dropped.has(text.toLowerCase())) kept.push(text, fields[at + 1]!)
  }
  return kept
}

function isHop(text: string): boolean {
  if (!mayBeSpecial(text)) return false
  const kind = nameOf(text)?.kind
  return kind === 'hop' || kind === 'frame'
}

function namedByConnection(fields: Fields): Set<string> | undefined {
  let names: Set<string> | undefined
  for (const value of fieldValues(fields, 'connection')) {
    if (value === 'keep-alive' || value === 'close') continue
    for (const option of listed(value.toLowerCase())) if (option !== 'close' && option !== 'keep-alive') (names ??= new Set()).add(option)
  }
  return names
}

const asksForTrailers = (te: string): boolean => listed(te.toLowerCase()).includes('trailers')
