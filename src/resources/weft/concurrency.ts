/** The part of a BackendPolicy that finds out how many requests at once a workload bears. */

import { z } from 'zod'
import { duration, rules } from '../fields.ts'
import { durationMs } from '../duration.ts'

const atLeast = (least: string) =>
  duration().check(
    rules<string>(function* (text) {
      if (durationMs(text) < durationMs(least)) yield { path: [], says: `is too short: at least ${least}` }
    }),
  )

const percent = (most: number) => z.int().min(0).max(most)

/** The words are Weft's, the numbers those of Envoy's gradient controller, with its defaults. */
export const adaptiveConcurrency = z
  .strictObject({
    interval: atLeast('10ms').default('100ms').describe('How often the limit is found anew.'),
    percentile: percent(100).default(50).describe('Of how long the answers of an interval took, this one counts.'),
    maxLimit: z.int().min(1).max(1_000_000).default(1000).describe('The limit is never above this.'),
    roundTrip: z
      .strictObject({
        interval: atLeast('1s').default('60s').describe('How often it is measured again what an answer takes when few are under way.'),
        requests: z.int().min(1).max(10_000).default(50).describe('Of so many requests.'),
        jitter: percent(100)
          .default(15)
          .describe('Up to so many percent are added to the interval by chance, so that workloads do not measure all at once.'),
        limit: z
          .int()
          .min(1)
          .max(10_000)
          .default(3)
          .describe('So many at once while it is measured, the others are refused; and the limit is never below this.'),
        buffer: percent(1000).default(25).describe('So many percent longer counts as still as fast.'),
      })
      .prefault({})
      .describe('What the limit is measured by: how long an answer takes without a queue.'),
  })
  .check(
    rules(function* ({ maxLimit, roundTrip }) {
      if (maxLimit < roundTrip.limit) yield { path: ['maxLimit'], says: `must not be below roundTrip.limit (${roundTrip.limit})` }
    }),
  )
