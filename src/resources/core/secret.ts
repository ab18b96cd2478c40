/** v1 Secret: a certificate with its key for a Gateway, or what a LoginPolicy needs to know that nobody else may. */

import { z } from 'zod'
import { age, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'

const base64 = () => z.string().regex(/^[A-Za-z0-9+/\s]*={0,2}\s*$/, { message: 'must be base64' })

export type Secret = Resource & { readonly type?: string; readonly data?: Readonly<Record<string, string>> }

const tls = 'kubernetes.io/tls'

export const secret: Kind = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  singular: 'secret',
  shortNames: [],
  categories: [],
  namespaced: true,
  hasStatus: false,
  description:
    'A Secret of type kubernetes.io/tls holds a certificate (tls.crt) and its key (tls.key), to which listeners of a Gateway refer; any other holds values, such as those of a LoginPolicy. Through the operator API an admin may read it, and others see only which values it has; proxies of that Gateway get it, and nobody else.',
  schema: z
    .strictObject({
      type: z.string().max(253).default('Opaque').describe('kubernetes.io/tls for a certificate with its key; cannot be changed.'),
      data: z.record(z.string(), base64()).optional().describe('Values by name, in base64.'),
      immutable: z.boolean().optional().describe('Whether the data stays as it is.'),
    })
    .check(
      rules<{ readonly type: string; readonly data?: Readonly<Record<string, string>> | undefined }>(function* ({ type, data = {} }) {
        if (type !== tls) return
        for (const name of ['tls.crt', 'tls.key'])
          if (data[name] === undefined) yield { path: ['data', name], says: `is needed for type ${tls}` }
      }),
    ),
  columns: [
    { name: 'Type', type: 'string', description: 'What it holds', value: r => (r as Secret).type ?? 'Opaque' },
    { name: 'Data', type: 'integer', description: 'How many values it holds', value: r => Object.keys((r as Secret).data ?? {}).length },
    age,
  ],
}
