/** v1 Namespace: a scope for names. */

import { z } from 'zod'
import { age, atomicList, conditions } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'

export type Namespace = Resource

export const namespace: Kind = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  categories: [],
  namespaced: false,
  hasStatus: true,
  description: 'A Namespace is a scope for names. Routes and policies reach into another one only where a ReferenceGrant there permits it.',
  schema: z.strictObject({
    spec: z
      .strictObject({ finalizers: atomicList(z.string()).optional().describe('Who must agree before it is removed.') })
      .optional()
      .describe('What the namespace asks for.'),
    status: z
      .strictObject({
        phase: z.enum(['Active', 'Terminating']).optional().describe('Active, or Terminating while its contents are removed.'),
        conditions: conditions().optional().describe('What is known of it.'),
      })
      .optional()
      .describe('What is known of it.'),
  }),
  columns: [
    {
      name: 'Status',
      type: 'string',
      description: 'Active or Terminating',
      value: r => (r.status as { phase?: string } | undefined)?.phase ?? 'Active',
    },
    age,
  ],
}
