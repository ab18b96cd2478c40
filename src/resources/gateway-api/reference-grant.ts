/** ReferenceGrant: a namespace permits others to refer into it. */

import { z } from 'zod'
import { age, atomicList, dnsLabel, groupName, kindName, objectName } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { gatewayGroup } from './references.ts'

const spec = z.strictObject({
  from: atomicList(
    z.strictObject({
      group: groupName().describe('API group of what refers.'),
      kind: kindName().describe('Kind of what refers, such as HTTPRoute.'),
      namespace: dnsLabel().describe('Namespace of what refers.'),
    }),
  )
    .min(1)
    .max(16)
    .describe('Who may refer; any of these.'),
  to: atomicList(
    z.strictObject({
      group: groupName().describe('API group of what is referred to; "" for core.'),
      kind: kindName().describe('Kind of what is referred to, such as Service.'),
      name: objectName().optional().describe('Name of it; absent: every one of that kind in this namespace.'),
    }),
  )
    .min(1)
    .max(16)
    .describe('To what; any of these.'),
})
export type ReferenceGrantSpec = z.infer<typeof spec>
export type ReferenceGrant = Resource<ReferenceGrantSpec>

export const referenceGrant: Kind = {
  group: gatewayGroup,
  version: 'v1beta1',
  alsoVersions: ['v1', 'v1alpha2'],
  kind: 'ReferenceGrant',
  plural: 'referencegrants',
  singular: 'referencegrant',
  shortNames: ['refgrant'],
  categories: ['gateway-api'],
  namespaced: true,
  hasStatus: false,
  description:
    'A ReferenceGrant permits objects of other namespaces to refer to objects of its own namespace. Without one such references are refused, but for a route of Services that leads back to the namespace of one of them.',
  schema: z.strictObject({ spec: spec.describe('Who may refer to what.') }),
  columns: [age],
}
