/** XBackendTrafficPolicy, experimental: a budget of retries for calls to Services, as BackendPolicy has it. */

import { z } from 'zod'
import { age, atomicList, conditions, controllerName, groupName, kindName, objectName } from '../fields.ts'
import type { Kind } from '../kind.ts'
import { retryConstraint } from '../weft/resilience.ts'
import { parentRef } from './references.ts'
import { sessionPersistence } from './session.ts'

export const experimentalGroup = 'gateway.networking.x-k8s.io'

const spec = z.strictObject({
  targetRefs: atomicList(
    z.strictObject({
      group: groupName().default('').describe('API group of the target; "" for a Service.'),
      kind: kindName().default('Service').describe('Kind of the target, such as Service.'),
      name: objectName().describe('Name of the target, in the same namespace.'),
    }),
  )
    .min(1)
    .max(16)
    .describe('The Services for which it holds.'),
  retryConstraint: retryConstraint.optional().describe('How many further tries the retry of routes may make.'),
  sessionPersistence: sessionPersistence.optional().describe('Not carried out here, which its status says: write it in the route.'),
})

export const xBackendTrafficPolicy: Kind = {
  group: experimentalGroup,
  version: 'v1alpha1',
  kind: 'XBackendTrafficPolicy',
  plural: 'xbackendtrafficpolicies',
  singular: 'xbackendtrafficpolicy',
  shortNames: ['xbtrafficpolicy'],
  categories: ['gateway-api'],
  namespaced: true,
  hasStatus: true,
  description:
    'An XBackendTrafficPolicy bounds how often calls to a Service are tried again. It means what BackendPolicy says with the same field.',
  schema: z.strictObject({
    spec: spec.describe('The Services and the bound.'),
    status: z
      .strictObject({
        ancestors: atomicList(
          z.strictObject({
            ancestorRef: parentRef.describe('The target in question.'),
            controllerName: controllerName().describe('Who reports.'),
            conditions: conditions().describe('Accepted, PartiallyInvalid.'),
          }),
        )
          .max(16)
          .describe('One entry for each target.'),
      })
      .optional()
      .describe('What is reported.'),
  }),
  columns: [age],
}
