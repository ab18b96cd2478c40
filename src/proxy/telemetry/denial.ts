/** By what somebody was denied, as the log, the trace and, where it may know, the caller are told. */

import { Failure, type FailureCode, failures } from '#base/failure'
import type { Route } from '#model/route'

/** decision: its number. policy: `NAMESPACE/NAME`; rule: its place there; each '' where there is none. condition: the first that decided, made when it is asked for. */
export type Denial = { readonly decision: string; readonly policy: string; readonly rule: string; readonly condition: () => string }

/** A failure that rules decided. */
export class Denied extends Failure {
  readonly denial: Denial
  constructor(code: FailureCode, detail: string, denial: Denial) {
    super(code, detail)
    this.denial = denial
  }
}

/** What the numbers of decisions begin with, so that those of two runs differ. */
const run = Math.floor(Math.random() * 36 ** 4)
  .toString(36)
  .padStart(4, '0')
let decisions = 0

/** The number of a decision, by which its log, its trace and its caller speak of the same one. */
export const nextDecision = (): string => `${run}-${((decisions = (decisions + 1) % 0x3fff_ffff)).toString(36)}`

/** By what a failure denied: its rules, or the policy of its route that denies so. route: of the request, where there is one. Undefined: it is no denial. */
export function denialOf(failure: Failure, route?: Route): Denial | undefined {
  if (failure instanceof Denied) return failure.denial
  if (!isDenied(failure.code, undefined)) return undefined
  return { decision: nextDecision(), policy: policyBehind(failure.code, route) ?? '', rule: '', condition: () => failure.says }
}

/** The policy of a route by which it fails so. reason: a failure code. */
export function policyBehind(reason: string, route: Route | undefined): string | undefined {
  if (route === undefined) return undefined
  if (reason.startsWith('token-') || reason === 'keys-unavailable') return route.tokens
  if (reason.startsWith('login-')) return route.login
  if (reason.startsWith('external-authorization-')) return route.authorize?.join()
  if (reason.startsWith('rate-limit')) return route.quota?.name ?? route.rateLimit?.name
  return reason === 'fault-injected' ? route.fault?.policy : undefined
}

/** A rule, a token, a login, a missing identity or somebody who was asked kept it out. reason: a failure code, or ''. */
export function isDenied(reason: string, denial: Denial | undefined): boolean {
  if (denial !== undefined) return true
  if (reason === '' || !Object.hasOwn(failures, reason)) return false
  const { status, blame } = failures[reason as FailureCode]
  return blame === 'policy' && (status === 401 || status === 403)
}
