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
