/**
 * How a request says which trace it belongs to: read from its fields and written into them, as W3C Trace Context (level 2) and as B3 (openzipkin/b3-propagation).
 * Whatever stands there that is not valid counts as absent: the trace then begins anew, and no request is ever refused for it.
 */

import type { Fields } from './http1.ts'
import { b3Fields, isB3, readB3 } from './trace-context/b3.ts'
import type { Incoming, Outgoing } from './trace-context/trace.ts'
import { isW3c, readW3c, w3cFields } from './trace-context/w3c.ts'

export type { Incoming, Outgoing } from './trace-context/trace.ts'

export type TraceFormat = 'w3c' | 'b3'

/** The first of these formats in which it says something valid. */
export function readTrace(fields: Fields, formats: readonly TraceFormat[]): Incoming | undefined {
  for (const format of formats) {
    const found = format === 'w3c' ? readW3c(fields) : readB3(fields)
    if (found !== undefined) return found
  }
  return undefined
}

/** The fields with this in all of these formats, in place of what stood there in them. */
export function withTrace(fields: Fields, trace: Outgoing, formats: readonly TraceFormat[]): Fields {
  const made: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!
    if (mayBeOurs(name) && formats.some(format => (format === 'w3c' ? isW3c : isB3)(name.toLowerCase()))) continue
    made.push(name, fields[at + 1]!)
  }
  for (const format of formats) made.push(...(format === 'w3c' ? w3cFields(trace) : b3Fields(trace)))
  return made
}

/** By the first letter, for all but a few: b, t, x. */
const mayBeOurs = (name: string): boolean => {
  const first = name.charCodeAt(0) | 0x20
  return first === 0x74 || first === 0x62 || first === 0x78
}
