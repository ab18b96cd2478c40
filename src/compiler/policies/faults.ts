/** FaultPolicies: where one can be carried out, and what is left of them when their time is over. */

import type { Abort, Fault, Spread } from '#model/fault'
import { durationMs } from '#resources/duration'
import type { FaultPolicy, FaultPolicySpec } from '#resources/weft'
import { nameOf } from '../gather.ts'
import type { Judging, Objection } from './targets.ts'

/** In millionths, of `percent` or `fraction`. */
export function millionths(part: {
  readonly percent?: number | undefined
  readonly fraction?: { readonly numerator: number; readonly denominator: number } | undefined
}): number {
  if (part.fraction !== undefined) return Math.round((1_000_000 * part.fraction.numerator) / part.fraction.denominator)
  return 10_000 * (part.percent ?? 100)
}

function whyNoFault(policy: FaultPolicy, now: number): Objection | undefined {
  const expires = policy.spec?.expires
  if (expires === undefined || Date.parse(expires) > now) return undefined
  return { reason: 'Expired', says: `spec.expires: it ended by itself at ${expires}; delete it, or give a later time` }
}

/** Opaque bytes have no statuses: their connections can be held up or reset. now: ms since the epoch. */
export const judgingFaults = (now: number): Judging<FaultPolicy> => ({
  unable: ({ spec }, _, { carriers }) =>
    (carriers.includes('requests') && isOfRequests(spec)) ||
    (carriers.includes('connections') && isOfConnections(spec)) ||
    (carriers.includes('datagrams') && isOfDatagrams(spec))
      ? undefined
      : 'opaque connections can be held up, slowed down or reset, datagrams held up or dropped, and statuses are for requests of HTTP',
  objection: policy => whyNoFault(policy, now),
})

type Broken = Pick<FaultPolicySpec, 'abort' | 'bandwidth'> | undefined
export const isOfRequests = (spec: Broken): boolean => spec?.abort?.drop !== true
export const isOfDatagrams = (spec: Broken): boolean =>
  (spec?.abort === undefined || spec.abort.drop === true) && spec?.bandwidth === undefined
export const isOfConnections = (spec: Pick<FaultPolicySpec, 'abort'> | undefined): boolean =>
  spec?.abort === undefined || spec.abort.reset === true

export function lowerFault(policy: FaultPolicy): Fault {
  const { delay, abort, bandwidth, expires } = policy.spec!
  return {
    policy: nameOf(policy),
    ...(expires === undefined ? {} : { endsAt: Date.parse(expires) }),
    ...(delay === undefined
      ? {}
      : {
          delay: {
            ms: durationMs(delay.fixed),
            ...(delay.jitter === undefined ? {} : { jitterMs: durationMs(delay.jitter) }),
            ...(spreads[delay.distribution ?? 'Uniform'] ?? {}),
            share: millionths(delay),
          },
        }),
    ...(bandwidth === undefined ? {} : { bandwidth: lineOf(bandwidth) }),
    ...(abort === undefined ? {} : { abort: { ...kindOf(abort), share: millionths(abort) } }),
  }
}

const spreads: Readonly<Record<string, { readonly spread: Spread }>> = {
  Normal: { spread: 'normal' },
  Exponential: { spread: 'exponential' },
  Pareto: { spread: 'pareto' },
}

const lineOf = (bandwidth: NonNullable<FaultPolicySpec['bandwidth']>): NonNullable<Fault['bandwidth']> => ({
  share: millionths(bandwidth),
  ...(bandwidth.requests === undefined ? {} : { requestsBps: bandwidth.requests }),
  ...(bandwidth.responses === undefined ? {} : { answersBps: bandwidth.responses }),
})

function kindOf(abort: NonNullable<NonNullable<FaultPolicy['spec']>['abort']>): Abort {
  if (abort.httpStatus !== undefined) return { type: 'http', status: abort.httpStatus }
  if (abort.drop === true) return { type: 'drop' }
  return abort.grpcStatus === undefined ? { type: 'reset' } : { type: 'grpc', status: abort.grpcStatus }
}

/** The next time at which a policy ends; undefined where none will. */
export function nextExpiry(policies: readonly FaultPolicy[], now: number): number | undefined {
  const times = policies.flatMap(({ spec }) => (spec?.expires === undefined ? [] : [Date.parse(spec.expires)])).filter(time => time > now)
  return times.length === 0 ? undefined : Math.min(...times)
}
