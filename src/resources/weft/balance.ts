/** How an endpoint of a Service is chosen: the part of BackendPolicy that says so. */

import { z } from 'zod'
import type { Broken } from '../kind.ts'
import { atomicList, duration, headerName, intOrString } from '../fields.ts'

const algorithms = ['RoundRobin', 'Random', 'LeastRequest', 'PeakEWMA', 'RingHash', 'Maglev'] as const

/** Those that need nothing of the request: for all Services at once. */
export const plainBalance = () => z.enum(['RoundRobin', 'Random', 'LeastRequest', 'PeakEWMA'])

const hashOn = z
  .strictObject({
    header: headerName().optional().describe('The value of this header.'),
    query: z.string().min(1).max(1024).optional().describe('The value of this query parameter.'),
    cookie: z
      .strictObject({
        name: headerName().describe('Its name.'),
        ttl: duration()
          .optional()
          .describe('A client without the cookie is given one for so long; 0s: until the browser closes. Absent: none is given.'),
        path: z
          .string()
          .min(1)
          .max(1024)
          .regex(/^\/[!-:<-~]*$/, { message: 'must be a path such as "/", without ";"' })
          .default('/')
          .describe('Path of the cookie that is given.'),
      })
      .optional()
      .describe('The value of this cookie.'),
    sourceIP: z.literal(true).optional().describe('The address of the caller; of a workload in the mesh, its name.'),
  })
  .check(context => {
    const said = Object.values(context.value).filter(value => value !== undefined).length
    if (said !== 1)
      context.issues.push({
        code: 'custom',
        message: 'names exactly one of header, query, cookie and sourceIP: make it one entry for each',
        input: context.value,
        path: [],
      })
  })

export const balancing = {
  balance: z
    .enum(algorithms)
    .optional()
    .describe(
      'How an endpoint is chosen. LeastRequest: the less busy of two drawn at random. PeakEWMA: of two, the one with the shorter wait by what was measured. RingHash and Maglev: the same for the same hash.',
    ),
  choices: intOrString()
    .check(context => {
      const { value } = context
      if (value !== 'All' && !(typeof value === 'number' && value >= 2 && value <= 100))
        context.issues.push({ code: 'custom', message: 'must be a number from 2 to 100, or All', input: value, path: [] })
    })
    .optional()
    .describe('With LeastRequest: how many endpoints are looked at; All: every one. Absent: two.'),
  hash: atomicList(hashOn)
    .min(1)
    .max(8)
    .optional()
    .describe(
      'With RingHash and Maglev: by what a request is recognised. What it has of these counts together; a request that has none of them goes anywhere.',
    ),
  slowStart: duration()
    .optional()
    .describe('With RoundRobin, LeastRequest and PeakEWMA: how long it takes until an endpoint that has just come gets its full part.'),
  panicThreshold: z
    .int()
    .min(0)
    .max(100)
    .optional()
    .describe('Percent: where fewer of the endpoints may serve, all are called whatever their health. Absent or 0: never.'),
  locality: z
    .strictObject({
      prefer: z
        .enum(['None', 'Region', 'Zone', 'Host'])
        .default('Zone')
        .describe('Endpoints of the same place as the caller come first, then those of the next wider place, then all others.'),
      failover: atomicList(z.string().min(1).max(253))
        .max(16)
        .optional()
        .describe('Other regions in the order in which they help; regions that are not listed come last.'),
    })
    .optional()
    .describe('Which endpoints are near, and therefore come first. Where fewer than 72 % of a place are healthy, the next help.'),
}

type Said = { readonly [Key in keyof typeof balancing]?: z.infer<(typeof balancing)[Key]> }

/** What belongs to an algorithm stands beside it, so that a narrower policy replaces both together. */
export function* fitting({ balance, choices, hash, slowStart }: Said): Iterable<Broken> {
  const isHash = balance === 'RingHash' || balance === 'Maglev'
  if (isHash && hash === undefined) yield { path: ['hash'], says: `is needed for ${balance}: by what is a request recognised?` }
  if (!isHash && hash !== undefined) yield { path: ['hash'], says: 'needs balance: RingHash or Maglev in the same policy' }
  if (choices !== undefined && balance !== 'LeastRequest')
    yield { path: ['choices'], says: 'needs balance: LeastRequest in the same policy' }
  if (slowStart !== undefined && balance !== 'RoundRobin' && balance !== 'LeastRequest' && balance !== 'PeakEWMA')
    yield { path: ['slowStart'], says: 'needs balance: RoundRobin, LeastRequest or PeakEWMA in the same policy' }
}
