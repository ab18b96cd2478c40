/**
 * The times at which a rule holds → the condition of a policy of Envoy's RBAC, an expression of CEL on `request.time`.
 *
 * The windows stand in it as text too, which is never empty, and are read from there; a condition that is not what they would be written as is refused.
 */

import { create, equals, type MessageInitShape } from '@bufbuild/protobuf'
import { lastKnown, offsetsOf } from '#model/access'
import type { TimeWindow } from '#model/access-rule'
import { type Expr, ExprSchema } from '../gen/google/api/expr/v1alpha1/syntax_pb.ts'

type Node = MessageInitShape<typeof ExprSchema>

/** isDenied: of a rule that denies; beyond the years of which time zones are known such a rule denies, and others allow nothing. */
export function encodeWindows(windows: readonly TimeWindow[], isDenied: boolean): Expr {
  const kept = call('_!=_', text(JSON.stringify(windows)), text(''))
  const expr = create(ExprSchema, call('_&&_', kept, some(windows.map(each => windowOf(each, isDenied)))))
  let last = 0n
  const number = (node: Expr): void => {
    node.id = last += 1n
    const { case: kind, value } = node.exprKind
    if (kind === 'selectExpr' && value.operand !== undefined) number(value.operand)
    if (kind === 'callExpr') for (const each of [...(value.target === undefined ? [] : [value.target]), ...value.args]) number(each)
  }
  number(expr)
  return expr
}

/** Undefined: it is nothing that `encodeWindows` writes. */
export function windowsOf(expr: Expr, isDenied: boolean): readonly TimeWindow[] | undefined {
  if (expr.exprKind.case !== 'callExpr') return undefined
  const [kept] = expr.exprKind.value.args
  const said = kept?.exprKind.case === 'callExpr' ? kept.exprKind.value.args[0]?.exprKind : undefined
  const constant = said?.case === 'constExpr' ? said.value.constantKind : undefined
  if (constant?.case !== 'stringValue') return undefined
  try {
    const windows = JSON.parse(constant.value) as readonly TimeWindow[]
    return equals(ExprSchema, encodeWindows(windows, isDenied), expr) ? windows : undefined
  } catch {
    return undefined
  }
}

function windowOf({ notBefore, notAfter, weekly }: TimeWindow, isDenied: boolean): Node {
  return every([
    ...(notBefore === undefined ? [] : [call('_>=_', time, moment(notBefore))]),
    ...(notAfter === undefined ? [] : [call('_<_', time, moment(notAfter))]),
    ...(weekly === undefined ? [] : [weeklyOf(weekly, isDenied)]),
  ])
}

/** By offsets and not by name: where Envoy runs there may be no list of time zones, and what it cannot evaluate denies nobody. */
function weeklyOf(weekly: Weekly, isDenied: boolean): Node {
  const parts = [...offsetsOf(weekly.timeZone)].map(([minutes, spans]) =>
    call(
      '_&&_',
      some(spans.map(([from, to]) => call('_&&_', call('_>=_', time, moment(from)), call('_<_', time, moment(to))))),
      hoursOf(weekly, minutes),
    ),
  )
  return some([...parts, ...(isDenied ? [call('_>=_', time, moment(lastKnown))] : [])])
}

function hoursOf({ days, from, to }: Weekly, offset: number): Node {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0')
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.abs(offset) / 60)}:${two(Math.abs(offset) % 60)}`
  const part = (name: string): Node => ({
    exprKind: { case: 'callExpr', value: { target: time, function: name, args: [text(zone)] } },
  })
  const minute = call('_+_', call('_*_', part('getHours'), whole(60)), part('getMinutes'))
  const on = (which: readonly number[]): Node => some(which.map(day => call('_==_', part('getDayOfWeek'), whole(day))))
  const [begun, notOver] = [call('_>=_', minute, whole(from)), call('_<_', minute, whole(to))]
  if (from < to) return every([on(days), begun, notOver])
  return call('_||_', call('_&&_', on(days), begun), call('_&&_', on(days.map(day => (day + 1) % 7)), notOver))
}

type Weekly = NonNullable<TimeWindow['weekly']>
const some = (all: readonly Node[]): Node => all.reduce((one, other) => call('_||_', one, other))
const every = (all: readonly Node[]): Node => all.reduce((one, other) => call('_&&_', one, other))
const call = (name: string, ...args: Node[]): Node => ({ exprKind: { case: 'callExpr', value: { function: name, args } } })
const text = (value: string): Node => ({
  exprKind: { case: 'constExpr', value: { constantKind: { case: 'stringValue', value } } },
})
const whole = (value: number): Node => ({
  exprKind: { case: 'constExpr', value: { constantKind: { case: 'int64Value', value: BigInt(value) } } },
})
const moment = (ms: number): Node => call('timestamp', text(new Date(ms).toISOString()))
const time: Node = {
  exprKind: { case: 'selectExpr', value: { operand: { exprKind: { case: 'identExpr', value: { name: 'request' } } }, field: 'time' } },
}
