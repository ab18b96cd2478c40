/** What the status of a policy about who may call says of the proxies that keep it. */

import { z } from 'zod'
import { atomicList } from '../fields.ts'
import type { Column, Resource } from '../kind.ts'

export const enforcement = () =>
  z
    .strictObject({
      proxies: z.int32().min(0).describe('How many proxies have to keep it.'),
      enforcing: z.int32().min(0).describe('How many of them keep it as it is written now.'),
      by: atomicList(z.string()).max(64).optional().describe('Which, as NAME.NAMESPACE of their workloads; of many the first.'),
      not: atomicList(
        z.strictObject({
          proxy: z.string().describe('Of which workload.'),
          reason: z
            .enum(['ProxyRefuses', 'NoProxy', 'ProxyAway', 'Pending'])
            .describe('It refuses a part of it; there is none; it is not connected; it has not acknowledged it yet.'),
          message: z.string().describe('The same for people.'),
        }),
      )
        .max(64)
        .optional()
        .describe('Which do not, and why; of many the first.'),
    })
    .optional()
    .describe('Which proxies keep it now.')

/** `3/4`: so many keep it, of so many that have to. */
export const enforcedColumn: Column = {
  name: 'Enforced',
  type: 'string',
  description: 'How many proxies keep it, of how many that have to',
  value: resource => {
    const told = (
      (resource as Resource).status as { readonly enforcement?: { readonly proxies: number; readonly enforcing: number } } | undefined
    )?.enforcement
    return told === undefined ? undefined : `${told.enforcing}/${told.proxies}`
  },
}
