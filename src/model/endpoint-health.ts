/** How it is found out which endpoints serve: by asking them, and by what they answer. */

import type { NameValue } from './filter.ts'

/**
 * The question, and how often: a failure counts after so many on end, and a success then. jitterPercent: up to so much is added to each interval, by chance.
 * idleMs: the interval while no request goes there; absent: then it is not asked.
 */
export type HealthCheck = {
  readonly ask: HealthQuestion
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly unhealthyAfter: number
  readonly healthyAfter: number
  readonly jitterPercent: number
  readonly idleMs?: number
}

/**
 * host: of the request; absent: the service. statuses: both ends belong to it. service: of grpc.health.v1, '' for the whole server. send, expect: bytes in
 * hexadecimal; what is expected may have others before it and between; nothing of both: that the connection stands.
 */
export type HealthQuestion =
  | {
      readonly type: 'http'
      readonly method: HealthMethod
      readonly path: string
      readonly host?: string
      readonly headers: readonly NameValue[]
      readonly statuses: readonly { readonly first: number; readonly last: number }[]
    }
  | { readonly type: 'grpc'; readonly service: string }
  | { readonly type: 'tcp'; readonly send?: string; readonly expect: readonly string[] }

export type HealthMethod = 'GET' | 'HEAD' | 'OPTIONS' | 'POST' | 'PUT'

/**
 * When an endpoint is left out, and for how long: after so many failures on end (0: never), when it stands out among the others, and when it says
 * itself that it has too much to do. Where local origins are split off, what gave no answer counts by itself, else as an answer of 5xx.
 * intervalMs: over how long answers are counted; also of good service, after which the next ejection is one step shorter. percent: of all endpoints, at once.
 */
export type OutlierDetection = {
  readonly consecutive5xx: number
  readonly consecutiveGatewayErrors: number
  readonly consecutiveLocalOriginFailures: number
  readonly splitsLocalOrigin: boolean
  readonly intervalMs: number
  readonly baseEjectionMs: number
  readonly maxEjectionMs: number
  readonly maxEjectionPercent: number
  /** Those whose part of good answers lies so many standard deviations (in thousandths) below the mean of all that had so many requests. */
  readonly successRate?: { readonly minimumHosts: number; readonly requestVolume: number; readonly stdevThousandths: number }
  /** Those of whose answers so many percent failed. */
  readonly failurePercentage?: { readonly percent: number; readonly minimumHosts: number; readonly requestVolume: number }
  /** An endpoint that answers 429 is spared for as long as it asks for, not above longestMs; pauseMs where it does not say. */
  readonly tooManyRequests?: { readonly pauseMs: number; readonly longestMs: number }
  /** Of a hundred times, how often it is done; absent: always. */
  readonly enforcing?: Readonly<Partial<Record<EjectionCause, number>>>
}

/** Why an endpoint is left out; the same words as in a BackendPolicy. */
export type EjectionCause =
  | 'consecutive5xx'
  | 'consecutiveGatewayErrors'
  | 'consecutiveLocalOriginFailures'
  | 'successRate'
  | 'localOriginSuccessRate'
  | 'failurePercentage'
  | 'localOriginFailurePercentage'
  | 'tooManyRequests'
