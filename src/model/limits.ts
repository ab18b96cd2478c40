/** Which rate holds for what a limit tells apart, and in which bucket it is counted. */

import type { Rate, RateLimit } from './view.ts'

/** What stands for a value that is not there. */
export const noValue = '-'

/** values: in the order of `by`. */
export function rateFor(limit: RateLimit, values: readonly string[]): Rate {
  return limit.overrides?.find(({ when }) => when.every(each => each.values.includes(values[each.key] ?? noValue))) ?? limit
}

/** No value of HTTP has this character in it. */
export const bucketName = (values: readonly string[]): string => (values.length === 1 ? values[0]! : values.join('\0'))

// What callers are told of a limit: draft-ietf-httpapi-ratelimit-headers-10.

export const policyField = (name: string, { requests, intervalMs }: Pick<Rate, 'requests' | 'intervalMs'>): string =>
  `"${name}";q=${requests};w=${seconds(intervalMs)}`
export const limitField = (name: string, remaining: number, resetMs: number): string => `"${name}";r=${remaining};t=${seconds(resetMs)}`

/** Of a header: whole, and never none. */
export const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)))
