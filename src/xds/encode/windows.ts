/**
 * The times at which a rule holds → the condition of a policy of Envoy's RBAC, an expression of CEL on `request.time`.
 *
 * The windows stand in it as text too, which is never empty, and are read from there; a condition that is not what they would be written as is refused.
 */

import { create, equals, type MessageInitShape } from '@bufbuild/protobuf'
import type { TimeWindow } from '#model/view'
import { type Expr, ExprSchema } from '../gen/google/api/expr/v1alpha1/syntax_pb.ts'

type Node = MessageInitShape<typeof ExprSchema>

export function encodeWindows(windows: readonly TimeWindow[]): Expr {
  const kept = call('_!=_', text(JSON.stringify(windows)), text(''))
  const expr = create(
    ExprSchema,
    call(
      '_&&_',
      kept,
      windows.map(windowOf).reduce((one, other) => call('_||_', one, other)),
    ),
  )
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
export function windowsOf(expr: Expr): readonly TimeWindow[] | undefined {
  if (expr.exprKind.case !== 'callExpr') return undefined
  const [kept] = expr.exprKind.value.args
  const said = kept?.exprKind.case === 'callExpr' ? kept.exprKind.value.args[0]?.exprKind : undefined
  const constant = said?.case === 'constExpr' ? said.value.constantKind : undefined
  if (constant?.case !== 'stringValue') return undefined
  try {
    const windows = JSON.parse(constant.value) as readonly TimeWindow[]
    return equals(ExprSchema, encodeWindows(windows), expr) ? windows : undefined
  } catch {
    return undefined
  }
}

function windowOf({ notBefore, notAfter, weekly }: TimeWindow): Node {
  return every([
    ...(notBefore === undefined ? [] : [call('_>=_', time, moment(notBefore))]),
    ...(notAfter === undefined ? [] : [call('_<_', time, moment(notAfter))]),
    ...(weekly === undefined ? [] : [weeklyOf(weekly)]),
  ])
}

function weeklyOf({ days, from, to, timeZone }: NonNullable<TimeWindow['weekly']>): Node {
  const part = (name: string): Node => ({
    exprKind: { case: 'callExpr', value: { target: time, function: name, args: [text(timeZone)] } },
  })
  const minute = call('_+_', call('_*_', part('getHours'), whole(60)), part('getMinutes'))
  const on = (some: readonly number[]): Node =>
    some.map(day => call('_==_', part('getDayOfWeek'), whole(day))).reduce((one, other) => call('_||_', one, other))
  const [begun, notOver] = [call('_>=_', minute, whole(from)), call('_<_', minute, whole(to))]
  if (from < to) return every([on(days), begun, notOver])
  return call('_||_', call('_&&_', on(days), begun), call('_&&_', on(days.map(day => (day + 1) % 7)), notOver))
}

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
