/** BackendPolicy: how a Service is called, for all its callers. */

import { z } from 'zod'
import { age, rules, saying } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { backendObject } from '../gateway-api/references.ts'
import { clients } from './clients.ts'
import { balancing, fitting } from './balance.ts'
import { adaptiveConcurrency } from './concurrency.ts'
import { healthCheck } from './health-check.ts'
import { connectTimeout, limits, outlierDetection, retryConstraint } from './resilience.ts'
import { policyStatus, policyTargets, targetsColumn } from './route-targets.ts'

const spec = z
  .strictObject({
    targetRefs: policyTargets('Mesh', 'Namespace', 'Service', 'ServiceSubset', 'ExternalService'),
    from: clients(),
    ...balancing,
    connectTimeout: connectTimeout.optional(),
    retryConstraint: retryConstraint
      .optional()
      .describe('How many further tries the retry of routes may make. Absent: a fifth of the requests of ten seconds, or ten a second.'),
    limits: limits
      .optional()
      .describe(
        'How much one caller may have under way at once. What is beyond is answered 503 without delay, with the reason backend-limit.',
      ),
    outlierDetection: outlierDetection
      .optional()
      .describe('When an endpoint that keeps failing is left out for a while. Absent: never. Each caller judges by what it sees.'),
    fallback: backendObject
      .optional()
      .describe(
        'Another Service, to which requests go while no endpoint of this one may serve (none is there, all are ill or left out) or its limits are reached. That of another namespace must permit it by a ReferenceGrant.',
      ),
    adaptiveConcurrency: adaptiveConcurrency
      .optional()
      .describe(
        'Each workload behind the Service takes in only as many requests at once as it answers without a queue, which is found out from how long answers take; what is beyond is answered 503 with the reason concurrency-limit. For all callers. Absent: no such limit.',
      ),
    healthCheck: healthCheck
      .optional()
      .describe('How callers ask the endpoints whether they serve; those that fail are left out until they pass. Absent: nobody asks.'),
  })
  .check(rules(fitting))
  .check(saying())
  .check(
    rules(function* ({ targetRefs, from, fallback, adaptiveConcurrency }) {
      if (fallback !== undefined && targetRefs.some(({ kind }) => kind !== 'Service'))
        yield { path: ['fallback'], says: 'is for Services: name them in targetRefs, each with what helps it out' }
      if (adaptiveConcurrency !== undefined && from !== undefined)
        yield {
          path: ['adaptiveConcurrency'],
          says: 'is for all callers, whose requests wait in one queue: write it in a policy without from',
        }
    }),
  )
export type BackendPolicySpec = z.infer<typeof spec>
export type BackendPolicy = Resource<BackendPolicySpec>

export const backendPolicy: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'BackendPolicy',
  plural: 'backendpolicies',
  singular: 'backendpolicy',
  shortNames: [],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'A BackendPolicy says how a Service is called: how an endpoint is chosen, how long a connection may take, how many further tries the service bears, how much may be under way at once, when an endpoint that keeps failing is left out, and who helps out when none is left.',
  schema: z.strictObject({
    spec: spec.describe('The Services and the settings.'),
    status: policyStatus(),
  }),
  columns: [
    targetsColumn,
    { name: 'Balance', type: 'string', description: 'How an endpoint is chosen', value: r => (r as BackendPolicy).spec?.balance },
    age,
  ],
}
