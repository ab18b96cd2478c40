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

export const connectTimeout = duration()
  .check(
    rules<string>(function* (text) {
      if (durationMs(text) < 1) yield { path: [], says: 'must be above 0: no connection can be made in no time' }
    }),
  )
  .describe('How long a connection to an endpoint may take to be made.')

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

const enforcing = () =>
  z.int().min(0).max(100).optional().describe('Of a hundred times that it applies, how often it is done. Absent: always.')
const hosts = () =>
  z.int().min(1).max(100_000).default(5).describe('So many endpoints must have had enough requests; with fewer nothing is compared.')

export const successRate = z.strictObject({
  stdevFactor: z
    .int()
    .min(0)
    .max(100_000)
    .default(1900)
    .describe('How far below the mean, in thousandths of the standard deviation: 1900 is 1.9 times.'),
  minimumHosts: hosts(),
  requestVolume: z.int().min(1).max(1_000_000).default(100).describe('So many requests in an interval, so that an endpoint counts.'),
  enforcing: enforcing(),
  enforcingLocalOrigin: enforcing(),
})
export const failurePercentage = z.strictObject({
  threshold: z.int().min(1).max(100).default(85).describe('So many percent of its answers of an interval, or more.'),
  minimumHosts: hosts(),
  requestVolume: z.int().min(1).max(1_000_000).default(50).describe('So many requests in an interval, so that an endpoint counts.'),
  enforcing: enforcing(),
  enforcingLocalOrigin: enforcing(),
})
export const tooManyRequests = z
  .strictObject({
    pause: interval('a pause').default('1s').describe('For how long, where the answer has no Retry-After.'),
    longestPause: interval('a pause').default('30s').describe('For how long at most, whatever Retry-After says.'),
  })
  .check(
    rules(function* ({ pause, longestPause }) {
      if (isLonger(pause, longestPause)) yield { path: ['longestPause'], says: `must not be shorter than pause (${pause})` }
    }),
  )

const usualLocalOriginFailures = 5

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
      .default(usualLocalOriginFailures)
      .describe('With splitLocalOrigin: after so many requests on end that it gave no answer to; 0: never for that.'),
    interval: interval('an interval')
      .default('10s')
      .describe(
        'Over how long answers are counted for successRate and failurePercentage; and how long an endpoint must serve well after it came back so that its next ejection is one step shorter.',
      ),
    successRate: successRate
      .optional()
      .describe('Leaves out, at the end of each interval, an endpoint that answers well so much more rarely than the others. Absent: no.'),
    failurePercentage: failurePercentage
      .optional()
      .describe('Leaves out, at the end of each interval, an endpoint of whose answers that many failed (5xx, or none). Absent: no.'),
    tooManyRequests: tooManyRequests
      .optional()
      .describe(
        'Spares an endpoint that answers 429 (of gRPC RESOURCE_EXHAUSTED) for as long as its Retry-After or grpc-retry-pushback-ms asks. Absent: such an answer says nothing of it.',
      ),
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
    rules(function* ({
      baseEjectionTime,
      maxEjectionTime,
      splitLocalOrigin,
      consecutiveLocalOriginFailures,
      successRate,
      failurePercentage,
    }) {
      if (!splitLocalOrigin && consecutiveLocalOriginFailures !== usualLocalOriginFailures)
        yield { path: ['consecutiveLocalOriginFailures'], says: 'needs splitLocalOrigin: true' }
      for (const [name, said] of Object.entries({ successRate, failurePercentage }))
        if (said?.enforcingLocalOrigin !== undefined && !splitLocalOrigin)
          yield { path: [name, 'enforcingLocalOrigin'], says: 'needs splitLocalOrigin: true' }
      if (isLonger(baseEjectionTime, maxEjectionTime))
        yield { path: ['maxEjectionTime'], says: `must not be shorter than baseEjectionTime (${baseEjectionTime})` }
    }),
  )
export type OutlierDetectionSpec = z.infer<typeof outlierDetection>
