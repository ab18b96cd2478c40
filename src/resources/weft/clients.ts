/** Whose requests a policy is about: the shape of `from`, which policies share. */

import { z } from 'zod'
import { atomicList, dnsLabel, rules, stringMap } from '../fields.ts'

const client = z
  .strictObject({
    namespace: dnsLabel().optional().describe('Namespace of the client; absent: that of the policy.'),
    service: z.string().min(1).max(253).optional().describe('Service of the client, as its identity names it; absent: any.'),
    labels: stringMap().optional().describe('Labels that the workload must all have.'),
  })
  .check(
    rules(function* (one) {
      if (Object.keys(one).length === 0) yield { path: [], says: 'must name a namespace, a service or labels' }
    }),
  )
export type ClientSpec = z.infer<typeof client>

export const clients = () =>
  atomicList(client)
    .min(1)
    .max(16)
    .optional()
    .describe(
      "Whose requests: any of these clients; absent: everybody's. Of two policies for one target the one that names clients goes first.",
    )
