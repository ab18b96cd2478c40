/** ServiceSubset: a part of a Service's endpoints, told by labels, to which routes can lead as to a Service. */

import { z } from 'zod'
import { age, conditionColumn, conditions, objectName } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'

const spec = z.strictObject({
  service: objectName().describe('The Service whose endpoints it is a part of, in the same namespace.'),
  labels: z
    .record(z.string().min(1).max(317), z.string().max(63))
    .check(context => {
      if (Object.keys(context.value).length === 0)
        context.issues.push({
          code: 'custom',
          message: 'is empty: name at least one label, such as version: v2',
          input: context.value,
          path: [],
        })
    })
    .describe('Labels that a workload of the Service must all have to belong to it.'),
})
export type ServiceSubset = Resource<z.infer<typeof spec>>

export const serviceSubset: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'ServiceSubset',
  plural: 'servicesubsets',
  singular: 'servicesubset',
  shortNames: ['subset'],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'A ServiceSubset is a part of the endpoints of a Service, told by labels. Routes lead to it by a backendRef of group weft.dev and kind ServiceSubset, with a port of the Service. What BackendPolicies say of the Service holds for it.',
  schema: z.strictObject({
    spec: spec.describe('Which endpoints.'),
    status: z
      .strictObject({ conditions: conditions().optional().describe('Accepted: the Service is there. Ready: it has endpoints.') })
      .optional()
      .describe('What the control plane makes of it.'),
  }),
  columns: [
    { name: 'Service', type: 'string', description: 'The Service', value: r => (r as ServiceSubset).spec?.service },
    {
      name: 'Labels',
      type: 'string',
      description: 'The labels that tell its endpoints',
      value: r =>
        Object.entries((r as ServiceSubset).spec?.labels ?? {})
          .map(([key, value]) => `${key}=${value}`)
          .join(','),
    },
    conditionColumn('Ready'),
    age,
  ],
}
