/** The parts of a BackendPolicy that keep one ill endpoint, or too many callers, from taking the rest down. */

import { z } from 'zod'
import { duration, isLonger, rules } from '../fields.ts'
import { durationMs } from '../duration.ts'

const interval = (field: string) =>
  duration().check(
    rules<string>(function* (text) {
      if (durationMs(text) < 100) yield { path: [], says: `is too short for ${field}: at least 100ms` }
    }),
  )

/** The words and defaults of Gateway API's XBackendTrafficPolicy (GEP-3388). */
export const retryConstraint = z.strictObject({
  budget: z
    .strictObject({
      percent: z.int().min(0).max(100).default(20).describe('So many further tries for a hundred requests.'),
      interval: interval('a budget').default('10s').describe('Over how long both are counted.'),
    })
    .default({ percent: 20, interval: '10s' })
    .describe('The part of the requests that may be tried again. Those of routes with retry are counted, by each caller.'),
  minRetryRate: z
    .strictObject({
      count: z.int().min(0).max(1_000_000).default(10).describe('So many further tries are always allowed in the interval.'),
      interval: interval('a rate').default('1s').describe('In how long.'),
    })
    .default({ count: 10, interval: '1s' })
    .describe('What is allowed whatever the budget says, so that few requests can be tried again too.'),
})
export type RetryConstraintSpec = z.infer<typeof retryConstraint>

const most = (what: string) => z.int().min(0).max(1_000_000).optional().describe(`${what} Absent: no limit.`)

export const limits = z.strictObject({
  connections: most(
    'Connections at once. Where one connection carries many requests each endpoint is allowed at least one; what needs one more waits for room, else it is refused.',
  ),
  pendingRequests: most('Requests at once that wait for a connection.'),
  requests: most('Requests at once, tries included.'),
  retries: most('Further tries at once.'),
})
export type LimitsSpec = z.infer<typeof limits>

export const outlierDetection = z
  .strictObject({
    consecutive5xx: z.int().min(0).max(1_000_000).default(5).describe('After so many answers of 5xx on end; 0: never for that.'),
    consecutiveGatewayErrors: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(0)
      .describe('After so many of 502, 503 or 504 on end; 0: never for that.'),
    splitLocalOrigin: z
      .boolean()
      .default(false)
      .describe(
        'Whether an endpoint that gave no answer (no connection, broken off, too slow) counts by itself, and not as an answer of 5xx.',
      ),
    consecutiveLocalOriginFailures: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(5)
      .describe('With splitLocalOrigin: after so many requests on end that it gave no answer to; 0: never for that.'),
    interval: interval('an interval')
      .default('10s')
      .describe('How long an endpoint must serve well after it came back so that its next ejection is one step shorter.'),
    baseEjectionTime: interval('an ejection')
      .default('30s')
      .describe('How long it is left out the first time; each further time so much longer.'),
    maxEjectionTime: interval('an ejection').default('300s').describe('How long at most.'),
    maxEjectionPercent: z
      .int()
      .min(0)
      .max(100)
      .default(50)
      .describe('How many of the endpoints may be left out at once. Of two endpoints one is 50.'),
  })
  .check(
    rules(function* ({ baseEjectionTime, maxEjectionTime }) {
      if (isLonger(baseEjectionTime, maxEjectionTime))
        yield { path: ['maxEjectionTime'], says: `must not be shorter than baseEjectionTime (${baseEjectionTime})` }
    }),
  )
export type OutlierDetectionSpec = z.infer<typeof outlierDetection>
