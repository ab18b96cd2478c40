/** meta.k8s.io/v1 ObjectMeta, and the whole document of a kind: apiVersion, kind, metadata and what the kind declares. */

import { z } from 'zod'
import { atomicList, dnsLabel, dnsName, mapList, rules, setList } from './fields.ts'
import type { Kind } from './kind.ts'

const time = () => z.string().meta({ format: 'date-time' })

const labelKey = z
  .string()
  .max(317)
  .regex(/^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$/, {
    message: 'is not a valid key: up to 63 letters, digits, "-", "_" and ".", with an optional "domain/" before them',
  })
const labelValue = z.string().regex(/^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?$/, {
  message: 'is not a valid label value: up to 63 letters, digits, "-", "_" and ".", starting and ending with a letter or digit',
})

const ownerReference = z.strictObject({
  apiVersion: z.string().describe('API version of the owner.'),
  kind: z.string().describe('Kind of the owner.'),
  name: z.string().describe('Name of the owner.'),
  uid: z.string().describe('UID of the owner.'),
  controller: z.boolean().optional().describe('Whether the owner manages it.'),
  blockOwnerDeletion: z.boolean().optional().describe('Whether the owner stays until this is gone.'),
})

const managedFields = z.strictObject({
  manager: z.string().optional().describe('Who wrote the fields.'),
  operation: z.enum(['Apply', 'Update']).optional().describe('How they were written.'),
  apiVersion: z.string().optional().describe('API version in which they were written.'),
  time: time().optional().describe('When.'),
  fieldsType: z.string().optional().describe('Format of fieldsV1.'),
  fieldsV1: z.looseObject({}).optional().describe('The fields.'),
  subresource: z.string().optional().describe('The subresource through which they were written.'),
})

export const objectMeta = z.strictObject({
  name: dnsName().optional().describe('Name, unique for its kind in its namespace.'),
  generateName: z.string().optional().describe('Beginning of a name that the server completes.'),
  namespace: dnsLabel().optional().describe('The namespace; absent for kinds that have none.'),
  labels: z.record(labelKey, labelValue).optional().describe('Labels, by which objects are selected.'),
  annotations: z.record(labelKey, z.string()).optional().describe('Notes of people and tools.'),
  uid: z.string().optional().describe('Identity of this very object; set by the server.'),
  resourceVersion: z.string().optional().describe('Version of the object; changes with each write.'),
  generation: z.int().optional().describe('Counts the changes of spec; set by the server.'),
  creationTimestamp: time().optional().describe('When it was made; set by the server.'),
  deletionTimestamp: time().optional().describe('When it was asked to go; set by the server.'),
  deletionGracePeriodSeconds: z.int().optional().describe('How long it has to go; set by the server.'),
  finalizers: setList(z.string())
    .meta({ 'x-kubernetes-patch-strategy': 'merge' })
    .optional()
    .describe('Who must agree before it is removed.'),
  ownerReferences: mapList(ownerReference, 'uid')
    .meta({ 'x-kubernetes-patch-strategy': 'merge', 'x-kubernetes-patch-merge-key': 'uid' })
    .optional()
    .describe('Objects with which it goes.'),
  managedFields: atomicList(managedFields).optional().describe('Who wrote which fields; kept by the server.'),
  selfLink: z.string().optional().describe('No longer used.'),
})

const built = new Map<Kind, z.ZodObject>()

/** The strict schema of a whole document of the kind. */
export function documentOf(kind: Kind): z.ZodObject {
  const known = built.get(kind)
  if (known) return known
  const whole = z.strictObject({
    apiVersion: z.string().describe('API group and version of the kind.'),
    kind: z.string().describe('The kind.'),
    metadata: objectMeta.describe('Name, namespace, labels.'),
    ...kind.schema.shape,
  })
  const { check } = kind
  const checked = check === undefined ? whole : whole.check(rules(check))
  built.set(kind, checked)
  return checked
}
