/** B3 of Zipkin (https://github.com/openzipkin/b3-propagation): in one header, `b3`, or in several, `x-b3-*`. */

import type { Fields } from '../http1.ts'
import type { B3, Incoming, Outgoing } from './trace.ts'
import { valuesOf } from './fields.ts'
import { isSpanId, isTraceId } from './ids.ts'

const names = new Set(['b3', 'x-b3-traceid', 'x-b3-spanid', 'x-b3-parentspanid', 'x-b3-sampled', 'x-b3-flags'])
export const isB3 = (lower: string): boolean => names.has(lower)

/** `b3` comes before `x-b3-*`, as its description has it. */
export function readB3(fields: Fields): Incoming | undefined {
  const single = valuesOf(fields, 'b3')
  if (single.length > 1) return undefined
  return (single.length === 1 ? readSingle(single[0]!.trim()) : undefined) ?? readMulti(fields)
}

/** `TRACE-SPAN`, `TRACE-SPAN-DECISION`, `TRACE-SPAN-DECISION-PARENT` or `DECISION`. */
function readSingle(text: string): Incoming | undefined {
  const parts = text.split('-')
  if (parts.length === 1) return decided(text, 'single')
  const [trace, span, decision, parent] = parts
  if (parts.length > 4 || (parent !== undefined && !isSpanId(parent))) return undefined
  if (decision !== undefined && !['0', '1', 'd'].includes(decision)) return undefined
  const ids = idsOf(trace, span)
  return ids && { ...ids, ...(decided(decision ?? '', 'single') ?? undecided('single')) }
}

function readMulti(fields: Fields): Incoming | undefined {
  const read = (name: string): string | undefined => {
    const values = valuesOf(fields, name)
    return values.length === 1 ? values[0]!.trim() : undefined
  }
  const isDebug = read('x-b3-flags') === '1'
  const sampled = read('x-b3-sampled')?.toLowerCase()
  // The first implementations wrote true and false.
  const decision = isDebug ? 'd' : sampled === 'true' ? '1' : sampled === 'false' ? '0' : (sampled ?? '')
  const found = decided(decision, 'multi')
  const ids = idsOf(read('x-b3-traceid'), read('x-b3-spanid'))
  return ids === undefined ? found : { ...ids, ...(found ?? undecided('multi')) }
}

/** Ids of traces may have half the length (64 bits): the first half is then zeros. */
function idsOf(trace: string | undefined, span: string | undefined): Pick<Incoming, 'traceId' | 'spanId'> | undefined {
  if (trace === undefined || span === undefined || (trace.length !== 16 && trace.length !== 32)) return undefined
  const traceId = trace.padStart(32, '0')
  return isTraceId(traceId) && isSpanId(span) ? { traceId, spanId: span } : undefined
}

const decided = (decision: string, form: B3['form']): Incoming | undefined =>
  decision === '0' || decision === '1' || decision === 'd'
    ? { isSampled: decision !== '0', state: '', b3: { form, isDebug: decision === 'd' } }
    : undefined

const undecided = (form: B3['form']): Incoming => ({ isSampled: undefined, state: '', b3: { form, isDebug: false } })

/** In the form in which it came; else in several headers, which the oldest readers know too. */
export function b3Fields({ traceId, spanId, parentId, isSampled, b3 }: Outgoing): Fields {
  const isDebug = isSampled && b3?.isDebug === true
  const parent = parentId === '' ? undefined : parentId
  if (b3?.form === 'single')
    return ['b3', `${traceId}-${spanId}-${isDebug ? 'd' : isSampled ? '1' : '0'}${parent === undefined ? '' : `-${parent}`}`]
  return [
    'x-b3-traceid',
    traceId,
    'x-b3-spanid',
    spanId,
    ...(parent === undefined ? [] : ['x-b3-parentspanid', parent]),
    ...(isDebug ? ['x-b3-flags', '1'] : ['x-b3-sampled', isSampled ? '1' : '0']),
  ]
}
