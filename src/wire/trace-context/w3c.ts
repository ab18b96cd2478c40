/** W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context-1/): traceparent and tracestate. */

import type { Fields } from '../http1.ts'
import type { Incoming, Outgoing } from './trace.ts'
import { valuesOf } from './fields.ts'
import { isSpanId, isTraceId } from './ids.ts'

export const isW3c = (lower: string): boolean => lower === 'traceparent' || lower === 'tracestate'

/** Undefined where there is no traceparent, several, or one that is not valid (§3.2.2.5): tracestate is then not looked at. */
export function readW3c(fields: Fields): Incoming | undefined {
  const parents = valuesOf(fields, 'traceparent')
  if (parents.length !== 1) return undefined
  const parent = parentOf(parents[0]!.trim())
  return parent === undefined ? undefined : { ...parent, state: stateOf(valuesOf(fields, 'tracestate')) }
}

/** `VERSION-TRACE-PARENT-FLAGS` in lower case. Of a later version (§4) what this one has is read, where more follows it is after a dash. */
function parentOf(text: string): (Required<Pick<Incoming, 'traceId' | 'spanId'>> & Pick<Incoming, 'isSampled'>) | undefined {
  const [all, version, traceId, spanId, flags] = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/.exec(text) ?? []
  if (all === undefined || version === 'ff') return undefined
  // Of version 00 nothing may follow, not even the dash.
  if (version === '00' && text.length !== 55) return undefined
  if (!isTraceId(traceId!) || !isSpanId(spanId!)) return undefined
  return { traceId: traceId!, spanId: spanId!, isSampled: (Number.parseInt(flags!, 16) & 1) === 1 }
}

/** §3.3.1.3, with room for systems in front (`tenant@system`). */
const key = /^(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})$/
/** Printable ASCII without comma and equals sign; the last is no blank. */
const value = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/
const mostMembers = 32

/** All of it, or '' where any member is not valid or stands twice, or where they are too many: it is then dropped (§3.3.1.1). */
function stateOf(values: readonly string[]): string {
  if (values.length === 0) return ''
  const members = values
    .join(',')
    .split(',')
    .map(member => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter(member => member !== '')
  const keys = new Set(members.map(member => member.slice(0, Math.max(0, member.indexOf('=')))))
  if (members.length > mostMembers || keys.size < members.length) return ''
  return members.every(isMember) ? members.join(',') : ''
}

function isMember(member: string): boolean {
  const equals = member.indexOf('=')
  return equals > 0 && key.test(member.slice(0, equals)) && value.test(member.slice(equals + 1))
}

export const w3cFields = ({ traceId, spanId, isSampled, state }: Outgoing): Fields => [
  'traceparent',
  `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`,
  ...(state === '' ? [] : ['tracestate', state]),
]
