/** What the answers to its health checks make of one endpoint. Owns no clock and no socket. */

import type { HealthCheck } from '#model/endpoint-health'

//   serving ──so many failures on end──▶ failing ──so many successes on end──▶ serving
/** against: how many of the last answers on end speak against the state. */
export type Standing = { readonly state: 'serving' | 'failing'; readonly against: number }

/** Before the first answer the inventory is believed. */
export const atFirst: Standing = { state: 'serving', against: 0 }

const steps = {
  serving: { other: 'failing', after: 'unhealthyAfter' },
  failing: { other: 'serving', after: 'healthyAfter' },
} as const

export function judged({ state, against }: Standing, passed: boolean, by: Pick<HealthCheck, 'unhealthyAfter' | 'healthyAfter'>): Standing {
  if (passed === (state === 'serving')) return { state, against: 0 }
  const { other, after } = steps[state]
  return against + 1 >= by[after] ? { state: other, against: 0 } : { state, against: against + 1 }
}
