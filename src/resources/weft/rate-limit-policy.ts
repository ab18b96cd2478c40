/** RateLimitPolicy: how many requests a workload takes in. */

import { z } from 'zod'
import { durationMs } from '../duration.ts'
import { age, duration, headerName, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { policyStatus, policyTargets, targetsColumn } from './route-targets.ts'

const local = z
  .strictObject({
    requests: z.int32().min(1).describe('How many requests in each interval.'),
    interval: duration().default('1s').describe('The interval; requests are let in evenly over it.'),
    burst: z.int32().min(1).optional().describe('How many may come at once after a pause; absent: as many as requests.'),
  })
  .check(
    rules(function* ({ interval }) {
      if (durationMs(interval) < 50) yield { path: ['interval'], says: 'must be at least 50ms' }
    }),
  )

const by = z
  .strictObject({
    type: z
      .enum(['Identity', 'Header'])
      .describe('Identity: the SPIFFE id that the caller proved. Header: the value of a header, as the caller wrote it.'),
    header: headerName().optional().describe('Name of the header, for type Header.'),
  })
  .check(
    rules(function* ({ type, header }) {
      if (type === 'Header' && header === undefined) yield { path: ['header'], says: 'is needed for type Header' }
      if (type === 'Identity' && header !== undefined) yield { path: ['header'], says: 'does not go with type Identity: remove it' }
    }),
  )

const spec = z.strictObject({
  targetRefs: policyTargets('Mesh', 'Namespace', 'Workload', 'Service', 'HTTPRoute', 'GRPCRoute'),
  local: local.describe('The limit that each workload keeps for itself: two workloads let in twice as many.'),
  by: by
    .optional()
    .describe(
      'Each of these has the whole limit for itself; absent: all callers share it. Those without an identity or without the header share one. Beyond 10,000 at once, new ones share one too.',
    ),
})
export type RateLimitPolicySpec = z.infer<typeof spec>
export type RateLimitPolicy = Resource<RateLimitPolicySpec>

export const rateLimitPolicy: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'RateLimitPolicy',
  plural: 'ratelimitpolicies',
  singular: 'ratelimitpolicy',
  shortNames: [],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'A RateLimitPolicy says how many requests a workload takes in. The proxy of the called workload keeps the limit: what is too much is answered 429, with Retry-After, and gRPC calls with RESOURCE_EXHAUSTED.',
  schema: z.strictObject({ spec: spec.describe('For what it holds and the limit.'), status: policyStatus() }),
  columns: [
    targetsColumn,
    {
      name: 'Limit',
      type: 'string',
      description: 'Requests and interval',
      value: r => {
        const { spec: said } = r as RateLimitPolicy
        return said && `${said.local.requests}/${said.local.interval}`
      },
    },
    { name: 'By', type: 'string', description: 'Who has a limit of its own', value: r => (r as RateLimitPolicy).spec?.by?.type },
    age,
  ],
}
