/** v1 ConfigMap: values that are no secret; certificates of authorities, for a Gateway that checks its callers. */

import { z } from 'zod'
import { age, stringMap } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'

export type ConfigMap = Resource & { readonly data?: Readonly<Record<string, string>> }

export const configMap: Kind = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  singular: 'configmap',
  shortNames: ['cm'],
  categories: [],
  namespaced: true,
  hasStatus: false,
  description:
    'A ConfigMap holds values that are no secret. With certificates of authorities in ca.crt a Gateway refers to it, to check the certificates of its callers.',
  schema: z.strictObject({
    data: stringMap().optional().describe('Values by name.'),
    binaryData: stringMap().optional().describe('Values by name, in base64; none of them is used.'),
    immutable: z.boolean().optional().describe('Whether the data stays as it is.'),
  }),
  columns: [
    { name: 'Data', type: 'integer', description: 'How many values it holds', value: r => Object.keys((r as ConfigMap).data ?? {}).length },
    age,
  ],
}
