/** By what somebody was denied, as the log, the trace and, where it may know, the caller are told. */

import { Failure, type FailureCode, failures } from '#base/failure'

/** decision: its number, '' where there is none. policy: `NAMESPACE/NAME`; rule: its place there; both '' where none allowed it. condition: the first that decided, made when it is asked for. */
export type Denial = { readonly decision: string; readonly policy: string; readonly rule: string; readonly condition: () => string }

/** A failure that rules decided. */
export class Denied extends Failure {
  readonly denial: Denial
  constructor(code: FailureCode, detail: string, denial: Denial) {
    super(code, detail)
    this.denial = denial
  }
}

export const denialOf = (failure: Failure): Denial | undefined => (failure instanceof Denied ? failure.denial : undefined)

/** A rule, a token, a login, a missing identity or somebody who was asked kept it out. reason: a failure code, or ''. */
export function isDenied(reason: string, denial: Denial | undefined): boolean {
  if (denial !== undefined) return true
  if (reason === '' || !Object.hasOwn(failures, reason)) return false
  const { status, blame } = failures[reason as FailureCode]
  return blame === 'policy' && (status === 401 || status === 403)
}
