/** W3C Trace Context, level 2 (https://www.w3.org/TR/trace-context-2/): traceparent and tracestate. */

import type { Fields } from '../http1.ts'
import type { Incoming, Outgoing } from './trace.ts'
import { valuesOf } from './fields.ts'
import { isSpanId, isTraceId } from './ids.ts'

export const isW3c = (lower: string): boolean => lower === 'traceparent' || lower === 'tracestate'

/** Undefined where there is no traceparent, several, or one that is not valid: tracestate is then not looked at. */
export function readW3c(fields: Fields): Incoming | undefined {
  const parents = valuesOf(fields, 'traceparent')
  if (parents.length !== 1) return undefined
  const parent = parentOf(parents[0]!.trim())
  return parent === undefined ? undefined : { ...parent, state: stateOf(valuesOf(fields, 'tracestate')) }
}

/** `VERSION-TRACE-PARENT-FLAGS` in lower case. Of a later version what this one has is read, where more follows it is after a dash. */
function parentOf(text: string): (Required<Pick<Incoming, 'traceId' | 'spanId'>> & Pick<Incoming, 'isSampled' | 'isRandom'>) | undefined {
  const [all, version, traceId, spanId, flags] = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/.exec(text) ?? []
  if (all === undefined || version === 'ff') return undefined
  // Of version 00 nothing may follow, not even the dash.
  if (version === '00' && text.length !== 55) return undefined
  if (!isTraceId(traceId!) || !isSpanId(spanId!)) return undefined
  const bits = Number.parseInt(flags!, 16)
  return { traceId: traceId!, spanId: spanId!, isSampled: (bits & 1) === 1, ...((bits & 2) === 0 ? {} : { isRandom: true as const }) }
}

const key = /^[a-z0-9][a-z0-9_\-*/@]{0,255}$/
/** Printable ASCII without comma and equals sign; the last is no blank. */
const value = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/
const mostMembers = 32

/** All of it, of a key that stands there again the first; '' where any member is not valid or they are too many: it is then dropped. */
function stateOf(values: readonly string[]): string {
  if (values.length === 0) return ''
  const members = new Map<string, string>()
  for (const each of values.join(',').split(',')) {
    const member = each.replace(/^[ \t]+|[ \t]+$/g, '')
    if (member === '') continue
    if (!isMember(member) || members.size >= mostMembers) return ''
    const name = member.slice(0, member.indexOf('='))
    if (!members.has(name)) members.set(name, member)
  }
  return [...members.values()].join(',')
}

function isMember(member: string): boolean {
  const equals = member.indexOf('=')
  return equals > 0 && key.test(member.slice(0, equals)) && value.test(member.slice(equals + 1))
}

export const w3cFields = ({ traceId, spanId, isSampled, isRandom, state }: Outgoing): Fields => [
  'traceparent',
  `00-${traceId}-${spanId}-0${(isSampled ? 1 : 0) + (isRandom === true ? 2 : 0)}`,
  ...(state === '' ? [] : ['tracestate', state]),
]
