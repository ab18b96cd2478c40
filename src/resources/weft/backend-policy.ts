/** BackendPolicy: how a Service is called, for all its callers. */

import { z } from 'zod'
import { age, atomicList, conditions, controllerName, dnsName, duration, objectName, rules } from '../fields.ts'
import { parentRef } from '../gateway-api/references.ts'
import type { Kind, Resource } from '../kind.ts'
import { balancing, fitting } from './balance.ts'
import { limits, outlierDetection, retryConstraint } from './resilience.ts'

const targetRef = z.strictObject({
  group: z.literal('').default('').describe('API group of the target: "" for a Service.'),
  kind: z.literal('Service').default('Service').describe('Kind of the target: Service.'),
  name: objectName().describe('Name of the Service, in the same namespace.'),
  sectionName: dnsName().optional().describe('A port name of the Service; absent: all its ports.'),
})

const spec = z
  .strictObject({
    targetRefs: atomicList(targetRef)
      .min(1)
      .max(16)
      .check(
        rules(function* (refs) {
          for (const [at, one] of refs.entries())
            if (refs.findIndex(other => other.name === one.name && other.sectionName === one.sectionName) < at)
              yield { path: [at], says: 'repeats an earlier entry: remove one' }
        }),
      )
      .describe('The Services for which it holds. One port is narrower than the whole Service and wins; of two equals the older.'),
    ...balancing,
    connectTimeout: duration().optional().describe('How long a connection to an endpoint may take to be made.'),
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
  })
  .check(rules(fitting))
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
    'A BackendPolicy says how a Service is called: how an endpoint is chosen, how long a connection may take, how many further tries the service bears, how much may be under way at once, and when an endpoint that keeps failing is left out.',
  schema: z.strictObject({
    spec: spec.describe('The Services and the settings.'),
    status: z
      .strictObject({
        ancestors: atomicList(
          z.strictObject({
            ancestorRef: parentRef.describe('The Service in question.'),
            controllerName: controllerName().describe('Who reports.'),
            conditions: conditions().describe('Accepted.'),
          }),
        )
          .max(16)
          .describe('One entry for each target.'),
      })
      .optional()
      .describe('What the control plane makes of it.'),
  }),
  columns: [
    {
      name: 'Targets',
      type: 'string',
      description: 'The Services for which it holds',
      value: r => ((r as BackendPolicy).spec?.targetRefs ?? []).map(each => each.name).join(','),
    },
    { name: 'Balance', type: 'string', description: 'How an endpoint is chosen', value: r => (r as BackendPolicy).spec?.balance },
    age,
  ],
}
